"""The record's history: tables by version; functions, views and rights as they are now."""
