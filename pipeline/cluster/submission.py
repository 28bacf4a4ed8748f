"""Submits a run to a cluster's API and prints the run's progress."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lineage.remote import calls
from pipeline.cluster.errors import ContactLost

POLL_S = 15.0  # between two requests for a run's state
QUIET_S = 300.0  # without a change of a state, until `Service.waiting` is printed

# Final states in both services' spelling. A paused run needs manual action, so `--wait` stops.
EXIT_CODES = {"SUCCEEDED": 0, "SKIPPED": 0, "FAILED": 1, "CANCELLED": 130, "CANCELED": 130, "PAUSED": 130}
EXIT_CODES |= {"EXPIRED": 1, "PARTIALLY_SUCCEEDED": 1}


class Progress(NamedTuple):
    """State of a run. `tasks` maps a key to the task's name, state and error ('' if none)."""

    state: str
    error: str
    tasks: dict[str, tuple[str, str, str]]


@dataclass(frozen=True)
class Service(calls.Service):
    """A cluster's API to which runs are submitted. `waiting` says where to look if no state changes; '' if nowhere."""

    waiting: str = ""

    def follow(self, link: str, get_progress: Callable[[], Progress] | None) -> int:
        """Prints the run's link and, with `get_progress`, its progress until it ends; returns the exit code."""
        print(f"started on {self.name}: {link}", flush=True)
        if get_progress is None:
            return 0
        with self.translate_errors(ContactLost, f"; the run continues: {link}"):
            return _print_progress(get_progress, self.waiting)


def unique_name(name: str) -> str:
    """Returns a name for one run, by which the run can be found if the answer to its submission is lost."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def _print_progress(get_progress: Callable[[], Progress], waiting: str) -> int:
    """Prints each change of a task's state until the run ends, and `waiting` once if none changes for QUIET_S.

    Returns the exit code.
    """
    states: dict[str, str] = {}
    changed = time.monotonic()
    while True:
        progress = get_progress()
        for key, (name, state, error) in progress.tasks.items():
            if states.get(key) != state:
                states[key] = state
                changed = time.monotonic()
                print(_line(name, state, error), flush=True)
        if progress.state in EXIT_CODES:
            print(_line("the run", progress.state, progress.error))
            return EXIT_CODES[progress.state]
        if waiting and time.monotonic() - changed > QUIET_S:
            print(waiting, flush=True)
            waiting = ""
        time.sleep(POLL_S)


def _line(name: str, state: str, error: str) -> str:
    return f"{name}: {state.lower().replace('_', ' ')}" + (f": {' '.join(error.split())}" if error else "")
