"""The Kokoro engine."""
