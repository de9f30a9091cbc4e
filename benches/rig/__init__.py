"""What the benchmarks share: preparation, servers, load, and the reading of processes."""
