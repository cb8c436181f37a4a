"""Prices, credits, statements and usage."""
