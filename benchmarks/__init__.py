"""Benchmarks: each prints a ratio or a rate of one run, never a verdict. `make bench`."""
