"""Authentication: API keys, tokens, principals and their cache."""
