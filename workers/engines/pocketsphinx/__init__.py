"""The PocketSphinx recogniser."""
