"""`local_runner.py --help` and a mistake in the settings: answered before TFX could be imported."""

from benchmarks.measure import report, runner


def main() -> None:
    """Prints the best of three."""
    helped = min(runner("--help").seconds for _ in range(3))
    report("local_runner.py --help", f"{helped:.2f} s", "< 1 s", helped < 1)
    mistaken = min(runner("--set", "trainer.epoch=5").seconds for _ in range(3))
    report("a mistake in the settings", f"{mistaken:.2f} s", "< 2 s", mistaken < 2)


if __name__ == "__main__":
    main()
