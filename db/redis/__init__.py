"""Redis: wake-ups, live audio, rate-limit tokens, open streams."""
