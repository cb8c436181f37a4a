"""Processes that a worker starts, and how they are confined."""
