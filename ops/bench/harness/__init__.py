"""What benchmarks share: environment, load, engines made for them, peers."""
