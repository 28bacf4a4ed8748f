"""Calls to a cluster's API: timeouts, retries and one-line error messages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from google.api_core import exceptions, retry

from errors import UserError, shortened

REQUEST_S = 30.0  # timeout for connecting, and for each part of the answer
ANSWER_S = 300.0  # for a whole answer; a page of runs may have 5 MB
FIRST_WAIT_S = 1.0  # before the first retry; each retry at most doubles the wait
RETRY_S = 60.0  # for one request with its retries
NO_LOGIN = -1  # the status of a request that was not sent, because there are no valid credentials on this machine
_TRANSIENT = (0, 429, 500, 502, 503, 504)


class Fault(NamedTuple):
    """Why a request failed.

    Attributes:
      status: the HTTP status; 0 if there was no answer, NO_LOGIN if nothing was sent.
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


def at_first_contact(fault: Fault) -> bool:
    """Returns whether to repeat a first request: a wrong address or a closed port is reported at once."""
    return fault.transient and (fault.status != 0 or fault.maybe_processed)


Reader = Callable[[BaseException], Fault | None]  # None if the error does not come from the service


@dataclass(frozen=True)
class Service:
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
    def translate_errors(self, failure: type[Exception], advice: str = "") -> Iterator[None]:
        """Raises the service's errors as `failure` with a one-line message."""
        try:
            yield
        except Exception as error:
            fault = self.fault(error)
            if fault is None:
                raise
            raise failure(self.message(fault) + advice) from None

    @contextmanager
    def known_form(self) -> Iterator[None]:
        """Raises UserError for an answer whose values are missing or have other types than the API's."""
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
            reason = shortened(f"{type(error).__name__}: {' '.join(str(error).split())}")
            advice = "check the address, and whether docs/lineage.md names this version"
            raise UserError(f"{self.name} answered in an unknown form ({reason}); {advice}") from error

    def fault(self, error: Exception) -> Fault | None:
        """Returns the fault of an error that a request with `retry` raised."""
        return self.read(error.cause if isinstance(error, exceptions.RetryError) and error.cause else error)

    def message(self, fault: Fault) -> str:
        """Returns the fault's text and the advice for its status."""
        if fault.status == NO_LOGIN:
            answer = f"cannot log in to {self.name}"
        else:
            answer = f"{self.name} answered {fault.status}" if fault.status else f"no answer from {self.name}"
        text = " ".join(fault.text.split())[:500]
        status = 401 if fault.status == NO_LOGIN else fault.status
        advice = self.advice.get(status, "try again later" if fault.transient else "")
        return "; ".join(part for part in (f"{answer}: {text}", advice) if part)
