"""The object store, and what is kept in it."""
