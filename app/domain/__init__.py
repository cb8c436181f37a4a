"""The domain layer: prices, plans and limits. It does not depend on HTTP."""
