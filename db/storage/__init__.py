"""The object store, and the objects kept in it."""
