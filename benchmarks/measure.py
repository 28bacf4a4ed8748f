"""Starts a command and measures its wall time and its peak memory, children included."""

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
    """What a run took."""

    code: int
    seconds: float
    gigabytes: float
    printed: str

    @property
    def nodes(self) -> dict[str, float]:
        """Seconds by node."""
        return {node: float(seconds) for node, seconds in _NODE.findall(self.printed)}


def runner(*arguments: object) -> Measured:
    """Runs local_runner.py. Memory is the largest of all children of this process so far."""
    started = time.monotonic()
    command = [sys.executable, "local_runner.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return Measured(done.returncode, seconds, peak, done.stdout + done.stderr)


def report(what: str, value: str, goal: str, reached: bool) -> None:
    """Prints one figure beside its goal."""
    print(f"{what:<58} {value:>14}   goal {goal:<10} {'reached' if reached else 'MISSED'}", flush=True)
