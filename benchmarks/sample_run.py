"""Time and memory of a run of the sample preset, from the start of the process to the pushed model."""

import tempfile

from benchmarks.measure import report, runner


def main() -> None:
    """Runs the sample once and prints its time and its peak memory."""
    with tempfile.TemporaryDirectory() as output:
        run = runner("--output", output)
    if run.code != 0:
        raise SystemExit(f"exit code {run.code}, expected 0:\n{run.printed}")
    report("sample, start to pushed model", f"{run.seconds:.1f} s", "<= 120 s", run.seconds <= 120)
    report("sample, peak memory", f"{run.gigabytes:.2f} GB", "<= 4 GB", run.gigabytes <= 4)


if __name__ == "__main__":
    main()
