"""Runs commands and measures their time and memory."""

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("FLOWERS_DATA", ROOT.parent / "shared" / "data"))

_NODE = re.compile(r"^(?:done|cached) +(\w+) +([\d.]+) s", re.MULTILINE)


class Measured(NamedTuple):
    """A finished run: its exit code, wall time, peak memory and printed text."""

    code: int
    seconds: float
    gigabytes: float
    printed: str

    @property
    def nodes(self) -> dict[str, float]:
        """Seconds by node."""
        return {node: float(seconds) for node, seconds in _NODE.findall(self.printed)}


def runner(*arguments: object) -> Measured:
    """Runs local_runner.py. The memory is the peak of all child processes that this process has had so far."""
    started = time.monotonic()
    command = [sys.executable, "local_runner.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return Measured(done.returncode, seconds, peak, done.stdout + done.stderr)


def run_module(name: str, *arguments: object, python: str | Path = sys.executable) -> str:
    """Runs `python -m NAME` in a new process, without TensorFlow's log messages, and returns the printed text.

    Raises:
      SystemExit: with the error output, if the process fails.
    """
    command = [str(python), "-m", name, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def report(name: str, value: str, goal: str, reached: bool) -> None:
    """Prints a result next to its goal."""
    print(f"{name:<58} {value:>14}   goal {goal:<10} {'reached' if reached else 'MISSED'}", flush=True)
