"""The common part of the neural engines: confined children that speak pieces from one fair queue."""
