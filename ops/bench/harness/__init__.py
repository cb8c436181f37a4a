"""What benchmarks stand on: environment, load, engines made for them, peers."""
