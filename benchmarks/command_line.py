"""Time of `local_runner.py --help` and of an error in the settings, neither of which imports TFX."""

from benchmarks.measure import report, runner


def main() -> None:
    """Prints the best of three runs each."""
    seconds = min(runner("--help").seconds for _ in range(3))
    report("local_runner.py --help", f"{seconds:.2f} s", "< 1 s", seconds < 1)
    seconds = min(runner("--set", "trainer.epoch=5").seconds for _ in range(3))
    report("an error in the settings", f"{seconds:.2f} s", "< 2 s", seconds < 2)


if __name__ == "__main__":
    main()
