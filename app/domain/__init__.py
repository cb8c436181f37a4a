"""Policy: price, plan, limits. Knows nothing of HTTP."""
