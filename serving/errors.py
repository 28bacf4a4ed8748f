"""Errors that a client receives: an HTTP status and a text that says what was expected, received and what to do."""


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
