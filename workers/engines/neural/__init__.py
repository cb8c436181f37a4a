"""What the neural engines share: confined children that speak pieces from one fair queue."""
