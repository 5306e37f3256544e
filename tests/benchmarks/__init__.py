"""Figures of speed, printed: python -m tests.benchmarks.routing."""
