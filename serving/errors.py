"""Errors that a client receives: an HTTP status and a text that says what was expected, received and what to do."""

import reprlib
from collections.abc import Iterable, Mapping
from typing import NoReturn

from starlette.responses import JSONResponse

from errors import choices

_LONGEST = 100  # characters of a value in a text

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict, _REPR.maxstring = 3, 3, 3, _LONGEST


class RequestError(Exception):
    """A request that is not answered.

    Attributes:
      status: the HTTP status.
      retry_after: seconds after which the request may succeed; None if it must be changed first.
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None):
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


def error_answer(status: int, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Returns the answer for an error, in the form of TensorFlow Serving's REST API."""
    return JSONResponse({"error": reason}, status, headers)


def brief(value: object) -> str:
    """Returns the shortened repr of a value of a request. Unlike `errors.quoted`, it does not visit all of a value."""
    return _REPR.repr(value)


def refuse_unknown(status: int, what: str, received: object, valid: Iterable[str]) -> NoReturn:
    """Raises an error about an unknown name: with the closest valid name, if any, and all valid names.

    Raises:
      RequestError: in each case.
    """
    reason = f"unknown {what} in the request: {brief(received)}; {choices(str(received)[:_LONGEST], valid)}"
    raise RequestError(status, reason)


def check_count(count: int, most: int) -> None:
    """Checks the number of photos in a request.

    Raises:
      RequestError: 413, when it is above `most`.
    """
    if count > most:
        raise RequestError(
            413, f"expected at most {most:,} photos in a request, received {count:,}; send several requests"
        )
