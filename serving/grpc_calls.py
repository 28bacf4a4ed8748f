"""What happens to each gRPC call before and after its method: token, message, metrics, errors and the log."""

import hmac
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving import metrics
from serving.errors import RequestError

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_log = logging.getLogger("serving")
answered: ContextVar[dict[str, int]] = ContextVar("answered")  # the version and the number of photos, for the log


class Interceptor(grpc.aio.ServerInterceptor):
    """Checks the token, parses the message, counts calls, and answers a RequestError with its code and text.

    gRPC would parse the message of a caller without the token, and log a stack trace for one that cannot be parsed.
    """

    def __init__(self, token: str | None, checks: Mapping[str, Callable[[bytes], None]]):
        """Makes an interceptor.

        Args:
          token: the bearer token; None accepts all calls.
          checks: for the name of a method, what checks a message before it is parsed.
        """
        self._checks = checks
        self._token = f"Bearer {token}".encode() if token else None

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Returns the handler of a method, with what happens before and after it."""
        handler = await continuation(details)
        if handler is None or not handler.unary_unary:
            return handler
        method = details.method.rpartition("/")[2]
        given = dict(details.invocation_metadata or ()).get("authorization", "")
        allowed = self._token is None or hmac.compare_digest(str(given).encode(), self._token)

        async def answer(message: bytes, context: Any) -> Any:
            start, code, reason = time.perf_counter(), grpc.StatusCode.OK, ""
            of_call: dict[str, int] = {}
            answered.set(of_call)
            try:
                request = _parsed(handler, method, message, allowed, self._checks.get(method))
                return await handler.unary_unary(request, context)
            except RequestError as error:
                code, reason = _CODES[error.status], str(error)
            except Exception:
                _log.exception("a call of %s failed", method)
                code, reason = grpc.StatusCode.INTERNAL, "the server failed; its log has the reason"
            finally:
                seconds = time.perf_counter() - start
                metrics.count_request(method, code.name, of_call.get("version", ""), seconds)
                line = {"method": "gRPC", "path": method, "status": code.name, "ms": round(seconds * 1000, 1)}
                _log.info(line | of_call)
            return await context.abort(code, reason)

        return grpc.unary_unary_rpc_method_handler(answer, response_serializer=handler.response_serializer)


def _parsed(handler: Any, method: str, message: bytes, allowed: bool, check: Callable[[bytes], None] | None) -> Any:
    """Returns the message of a call.

    Raises:
      RequestError: 401, when the caller is not allowed; 501, when the service lacks the method; 400, when the message
        cannot be parsed; what `check` raises.
    """
    if not allowed:
        text = "expected the metadata 'authorization: Bearer TOKEN', received none or another token"
        raise RequestError(401, text)
    if not inspect.iscoroutinefunction(handler.unary_unary):  # of TensorFlow Serving's base class
        raise RequestError(501, f"{method} is not implemented; expected Predict, Classify or a method for metadata")
    try:
        if check:
            check(message)
        return handler.request_deserializer(message)
    except DecodeError:
        raise RequestError(400, f"expected a message of {method}, received bytes that cannot be parsed") from None
