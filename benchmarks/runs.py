"""Time and memory of `local_runner.py`: `--help`, an error in the settings, the sample, and the flowers."""

import tempfile

from benchmarks.measure import DATA, report, runner


def main() -> None:
    """Prints the best of three runs that do not import TFX, and one run of the sample from its start to the push."""
    seconds = min(runner("--help").seconds for _ in range(3))
    report("local_runner.py --help", f"{seconds:.2f} s", "< 1 s", seconds < 1)
    seconds = min(runner("--set", "trainer.epoch=5").seconds for _ in range(3))
    report("an error in the settings", f"{seconds:.2f} s", "< 2 s", seconds < 2)
    with tempfile.TemporaryDirectory() as output:
        run = runner("--output", output)
    if run.code != 0:
        raise SystemExit(f"exit code {run.code}, expected 0:\n{run.printed}")
    report("sample, start to pushed model", f"{run.seconds:.1f} s", "<= 120 s", run.seconds <= 120)
    report("sample, peak memory", f"{run.gigabytes:.2f} GB", "<= 4 GB", run.gigabytes <= 4)


def flowers() -> None:
    """Prints the time of a run with all 3,670 photos (a convnet, one epoch), and of a cached second run."""
    with tempfile.TemporaryDirectory() as output:
        flags = ["--preset", "flowers-convnet", "--data", DATA / "flowers-192", "--output", output]
        flags += ["--set", "trainer.epochs=1"]
        first, second = runner(*flags), runner(*flags)
    if {first.code, second.code} - {0, 3}:  # 3: the gate refuses the model, because one epoch may be too short
        raise SystemExit(
            f"exit codes {first.code} and {second.code}, expected 0 or 3:\n{first.printed}{second.printed}"
        )
    seconds = first.seconds - first.nodes["Trainer"]
    report("flowers, without Trainer, including imports", f"{seconds:.1f} s", "<= 30 s", seconds <= 30)
    report("flowers, cached second run", f"{second.seconds:.1f} s", "<= 12 s", second.seconds <= 12)
    for node, node_seconds in first.nodes.items():
        print(f"  {node:<20} {node_seconds:6.1f} s")


if __name__ == "__main__":
    main()
    flowers()
