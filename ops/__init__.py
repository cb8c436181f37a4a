"""The outside hand: command line, one-machine stack, audit, benchmarks."""
