"""Jobs of any kind: submission, listing, status updates, and worker wake-up."""
