"""Processes that a worker starts, and their confinement; the worker's own shutdown."""
