"""Thin dialects: decode, one domain call, encode."""
