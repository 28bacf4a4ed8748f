"""What submitting to any cluster takes: patience with its API, clear words, and an eye on the run until its end."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from google.api_core import exceptions, retry

from pipeline.cluster.errors import ContactLost, SubmissionFailed

REQUEST_S = 30.0  # to connect, and to answer
FIRST_WAIT_S = 1.0  # before a request is sent again; each next wait is up to twice as long
TRY_S = 60.0  # for one request with its repetitions
POLL_S = 15.0  # between two looks at a run

# How a run ends, in either service's spelling; a paused one waits for somebody, so nobody waits for it.
EXIT_CODES = {"SUCCEEDED": 0, "SKIPPED": 0, "FAILED": 1, "CANCELLED": 130, "CANCELED": 130, "PAUSED": 130}
_TRANSIENT = (0, 429, 500, 502, 503, 504)


class Fault(NamedTuple):
    """Why a request failed: the status of the answer, or 0 where none came, and whether it may have been acted on."""

    status: int
    text: str
    taken: bool

    @property
    def transient(self) -> bool:
        """Whether the same request may do better later."""
        return self.status in _TRANSIENT


class Progress(NamedTuple):
    """A look at a run. `tasks` is by key: the name, the state and the error, if any."""

    state: str
    error: str
    tasks: dict[str, tuple[str, str, str]]


Reader = Callable[[BaseException], Fault | None]  # None for an error that is no answer of the service


class Service(NamedTuple):
    """A cluster's API: its name, how to read its errors, and what to do about a status."""

    name: str
    read: Reader
    advice: dict[int, str]

    def retried(
        self, when: Callable[[Fault], bool] = lambda fault: fault.transient, seen: list[BaseException] | None = None
    ) -> retry.Retry:
        """Returns a decorator that sends a request again, with back-off for TRY_S, on faults that `when` names.

        Args:
          when: says of a fault whether to go on.
          seen: gets each of these faults.
        """

        def predicate(error: BaseException) -> bool:
            fault = self.read(error)
            return fault is not None and when(fault)

        on_error = seen.append if seen is not None else None
        return retry.Retry(predicate=predicate, initial=FIRST_WAIT_S, timeout=TRY_S, on_error=on_error)

    @contextmanager
    def reported(self, failure: type[Exception] = SubmissionFailed, also: str = "") -> Iterator[None]:
        """Turns the service's errors into one line, raised as `failure`."""
        try:
            yield
        except Exception as error:
            fault = self.fault(error)
            if fault is None:
                raise
            raise failure(self.sentence(fault) + also) from None

    def started(self, link: str, look: Callable[[], Progress] | None) -> int:
        """Says where the run is and, with `look`, follows it; returns the exit code."""
        print(f"started on {self.name}: {link}", flush=True)
        if look is None:
            return 0
        with self.reported(ContactLost, f"; the run goes on: {link}"):
            return _follow(look)

    def fault(self, error: Exception) -> Fault | None:
        """Reads an error that came out of `retried`."""
        return self.read(error.cause if isinstance(error, exceptions.RetryError) and error.cause else error)

    def sentence(self, fault: Fault) -> str:
        """Returns what came, and what to do."""
        came = f"{self.name} answered {fault.status}" if fault.status else f"no answer of {self.name}"
        text = " ".join(fault.text.split())[:500]
        advice = self.advice.get(fault.status, "try later" if fault.transient else "")
        return "; ".join(part for part in (f"{came}: {text}", advice) if part)


def unique(name: str) -> str:
    """Returns a name for one run, made once, before it is sent: by it the run is known when answers get lost."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def _follow(look: Callable[[], Progress]) -> int:
    """Says each change of a task's state until the run ends."""
    states: dict[str, str] = {}
    while True:
        progress = look()
        for key, (name, state, error) in progress.tasks.items():
            if states.get(key) != state:
                states[key] = state
                print(_line(name, state, error), flush=True)
        if progress.state in EXIT_CODES:
            print(_line("the run", progress.state, progress.error))
            return EXIT_CODES[progress.state]
        time.sleep(POLL_S)


def _line(name: str, state: str, error: str) -> str:
    return f"{name}: {state.lower().replace('_', ' ')}" + (f": {' '.join(error.split())}" if error else "")
