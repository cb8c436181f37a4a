"""Operations tooling: command line, one-machine stack, audit, benchmarks."""
