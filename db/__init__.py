"""The record: all that outlives a process."""
