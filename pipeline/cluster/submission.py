"""Submits a run to a cluster's API: retries, error messages, and printing the run's progress."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from google.api_core import exceptions, retry

from pipeline.cluster.errors import ContactLost, SubmissionFailed

REQUEST_S = 30.0  # timeout for connecting, and for the answer
FIRST_WAIT_S = 1.0  # before the first retry; each retry at most doubles the wait
RETRY_S = 60.0  # for one request with its retries
POLL_S = 15.0  # between two requests for a run's state

# Final states in both services' spelling. A paused run needs manual action, so `--wait` stops.
EXIT_CODES = {"SUCCEEDED": 0, "SKIPPED": 0, "FAILED": 1, "CANCELLED": 130, "CANCELED": 130, "PAUSED": 130}
_TRANSIENT = (0, 429, 500, 502, 503, 504)


class Fault(NamedTuple):
    """Why a request failed.

    Attributes:
      status: the HTTP status; 0 if there was no answer.
      text: the error's text.
      maybe_processed: whether the service may have processed the request.
    """

    status: int
    text: str
    maybe_processed: bool

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in _TRANSIENT


class Progress(NamedTuple):
    """State of a run. `tasks` maps a key to the task's name, state and error ('' if none)."""

    state: str
    error: str
    tasks: dict[str, tuple[str, str, str]]


Reader = Callable[[BaseException], Fault | None]  # None if the error does not come from the service


class Service(NamedTuple):
    """A cluster's API.

    Attributes:
      name: the service's name in messages.
      read: converts an error to a Fault.
      advice: what the user can do, by HTTP status.
    """

    name: str
    read: Reader
    advice: dict[int, str]

    def retry(
        self, when: Callable[[Fault], bool] = lambda fault: fault.transient, errors: list[BaseException] | None = None
    ) -> retry.Retry:
        """Returns a decorator that repeats a failed request with back-off, for at most RETRY_S.

        Args:
          when: returns whether to retry after a fault.
          errors: receives each error after which the request is repeated.
        """

        def predicate(error: BaseException) -> bool:
            fault = self.read(error)
            return fault is not None and when(fault)

        on_error = errors.append if errors is not None else None
        return retry.Retry(predicate=predicate, initial=FIRST_WAIT_S, timeout=RETRY_S, on_error=on_error)

    @contextmanager
    def translate_errors(self, failure: type[Exception] = SubmissionFailed, advice: str = "") -> Iterator[None]:
        """Raises the service's errors as `failure` with a one-line message."""
        try:
            yield
        except Exception as error:
            fault = self.fault(error)
            if fault is None:
                raise
            raise failure(self.message(fault) + advice) from None

    def follow(self, link: str, get_progress: Callable[[], Progress] | None) -> int:
        """Prints the run's link and, with `get_progress`, its progress until it ends; returns the exit code."""
        print(f"started on {self.name}: {link}", flush=True)
        if get_progress is None:
            return 0
        with self.translate_errors(ContactLost, f"; the run continues: {link}"):
            return _print_progress(get_progress)

    def fault(self, error: Exception) -> Fault | None:
        """Returns the fault of an error that a request with `retry` raised."""
        return self.read(error.cause if isinstance(error, exceptions.RetryError) and error.cause else error)

    def message(self, fault: Fault) -> str:
        """Returns the fault's text and the advice for its status."""
        answer = f"{self.name} answered {fault.status}" if fault.status else f"no answer from {self.name}"
        text = " ".join(fault.text.split())[:500]
        advice = self.advice.get(fault.status, "try again later" if fault.transient else "")
        return "; ".join(part for part in (f"{answer}: {text}", advice) if part)


def unique_name(name: str) -> str:
    """Returns a name for one run, by which the run can be found if the answer to its submission is lost."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def _print_progress(get_progress: Callable[[], Progress]) -> int:
    """Prints each change of a task's state until the run ends; returns the exit code."""
    states: dict[str, str] = {}
    while True:
        progress = get_progress()
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
