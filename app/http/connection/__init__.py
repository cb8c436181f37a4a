"""The HTTP protocol on one connection."""
