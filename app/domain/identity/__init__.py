"""Who is asking: API keys, tokens, principals and how long they are remembered."""
