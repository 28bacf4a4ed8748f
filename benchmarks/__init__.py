"""What is measured: each module runs alone (`python -m benchmarks.NAME`); `python -m benchmarks` runs them all."""
