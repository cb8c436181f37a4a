"""Randomly generated texts of every shape, script and length, spoken by the real engine."""
