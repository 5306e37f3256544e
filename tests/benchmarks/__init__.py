"""Benchmarks: figures and ratios measured in one run, never assertions. `make bench` runs them all."""
