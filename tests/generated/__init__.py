"""Texts nobody writes, made by chance: every shape, script and length, spoken by the real engine."""
