"""Benchmarks: `python -m benchmarks.NAME` runs one, `python -m benchmarks` runs all that `make bench` needs."""
