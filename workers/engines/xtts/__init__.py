"""The XTTS engine; its inference is in `workers/xtts`."""
