"""Voices: the catalog, names and aliases, and which voice speaks for a name."""
