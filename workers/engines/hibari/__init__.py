"""The hibari engine."""
