"""The stack that a storm rages over, and its disk."""
