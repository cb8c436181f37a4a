"""Jobs of any kind: submitted, listed, followed; workers woken for them."""
