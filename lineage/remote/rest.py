"""GET requests to a JSON API, with retries; each problem becomes one line."""

import json
import time
from collections.abc import Callable, Iterator
from http.client import BadStatusLine, RemoteDisconnected
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError

from errors import UserError
from lineage.remote import calls, token
from lineage.remote.calls import Fault
from storage import certificates

Json = dict[str, Any]
_PART_BYTES = 2**16  # with a limit, `read1` notices a body that is cut off
NOT_JSON = "a web page or text, not JSON"
NOT_AN_API = (200, 301, 302, 303, 307, 308)  # statuses of answers that are a page or a redirect instead of JSON


class Refusal(Exception):
    """An answer that is not the JSON that was asked for; `args` are the HTTP status and the text."""


class Rest:
    """An API.

    Args:
      service: its name, and the advice for each HTTP status.
      url: the address before each path.
      session: sends the requests.
      authorize: adds a token to a request and returns it; may raise `token.Unusable`. Without it, the session does.
    """

    def __init__(
        self,
        service: calls.Service,
        url: str,
        session: requests.Session,
        authorize: Callable[[requests.PreparedRequest], requests.PreparedRequest] = lambda request: request,
    ):
        self._service, self._url, self._session, self._authorize = service, url, session, authorize

    def get(self, *path: str, **query: Any) -> Json:
        """Returns the JSON object at a path, given in parts that are quoted.

        Raises:
          UserError: when the service cannot be reached, refuses the request, or answers with something else.
        """
        with self._service.translate_errors(UserError):
            return self._retried(path, query)

    def find(self, *path: str, **query: Any) -> Json | None:
        """Returns the same as `get`; None if there is no such object."""
        with self._service.translate_errors(UserError):
            try:
                return self._retried(path, query)
            except Refusal as refusal:
                if refusal.args[0] != 404:
                    raise
        return None

    def pages(self, *path: str, items: str, following: str, **query: Any) -> Iterator[Json]:
        """Yields the items of a list, one page after the other, and only the pages that are used.

        Args:
          path: see `get`.
          items: the key of a page's items.
          following: the key of the next page's token: "next_page_token" or "nextPageToken".
          query: further parameters.

        Raises:
          UserError: see `get`; or when the service repeats a page's token.
        """
        parameter = {"next_page_token": "page_token", "nextPageToken": "pageToken"}[following]
        asked: list[Any] = [None]
        while True:
            page = self.get(*path, **query, **{parameter: asked[-1]})
            yield from page.get(items, [])
            if not page.get(following):
                return
            if page[following] in asked:
                raise UserError(
                    f"{self._service.name} repeats the pages of a list; check the address, or try again later"
                )
            asked.append(page[following])

    def _retried(self, path: tuple[str, ...], query: Json) -> Json:
        url = "/".join([self._url, *(quote(part, safe=":") for part in path)])
        asked = {key: value for key, value in query.items() if value not in (None, "")}
        return self._service.retry(calls.at_first_contact)(self._request)(url, asked)

    def _request(self, url: str, query: Json) -> Json:
        timeout, until = calls.REQUEST_S, time.monotonic() + calls.ANSWER_S
        # a login page is reached by a redirect; following it would hide that the API was not reached.
        # without `auth`, requests would replace the token by a password of ~/.netrc
        with self._session.get(
            url, params=query, auth=self._authorize, timeout=(timeout, timeout), allow_redirects=False, stream=True
        ) as answer:
            if answer.is_redirect:
                raise Refusal(answer.status_code, redirect(answer.headers["location"]))
            body = _body(answer, until)
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if answer.status_code != 200:
            raise Refusal(answer.status_code, _message(content) or answer.reason or "no reason given")
        if not isinstance(content, dict):
            raise Refusal(200, NOT_JSON)
        return content


def _body(answer: requests.Response, until: float) -> bytes:
    """Returns the body; raises requests.ConnectionError if it is not complete at a time of the monotonic clock."""
    parts = []
    try:
        while part := answer.raw.read1(_PART_BYTES, decode_content=True):
            parts.append(part)
            if time.monotonic() > until:
                raise requests.ReadTimeout(request=answer.request)
    except HTTPError as error:  # of urllib3
        raise requests.ConnectionError(error, request=answer.request) from None
    return b"".join(parts)


def redirect(url: str) -> str:
    """Returns the text of a redirect without the address's query, which may contain secrets."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc}{parts.path}" if parts.netloc else parts.path
    return f"a redirect to {place}, not JSON"


def _message(content: Any) -> str:
    """Returns the text of an error of Kubeflow Pipelines or Google Cloud."""
    error = content.get("error") if isinstance(content, dict) else None
    nested = error if isinstance(error, dict) else content if isinstance(content, dict) else {}
    return str(nested.get("message") or (error if isinstance(error, str) else ""))


def read_error(error: BaseException) -> Fault | None:
    """Returns the fault of an error of `Rest`; None if it is not one."""
    if isinstance(error, Refusal):
        return Fault(error.args[0], error.args[1], maybe_processed=error.args[0] != 429)
    if isinstance(error, requests.exceptions.SSLError):
        return tls_fault(error, _host(error))
    if isinstance(error, requests.RequestException):
        return _connection(error)
    if isinstance(error, token.Unusable):
        return Fault(calls.NO_LOGIN, str(error), maybe_processed=False)
    return None


def _connection(error: requests.RequestException) -> Fault:
    cause = error.args[0] if error.args else None
    if fault := protocol_fault(cause, _host(error)):
        return fault
    unreached = isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError))
    unreached = unreached or isinstance(getattr(cause, "reason", None), NewConnectionError)
    if unreached:
        return Fault(0, f"cannot reach {_host(error)}", maybe_processed=False)
    return Fault(0, f"the connection to {_host(error)} broke or timed out", maybe_processed=True)


def protocol_fault(error: object, host: str) -> Fault | None:
    """Returns the fault of an error of urllib3 after an answer that is not HTTP; None for another error."""
    inner = error.args[1] if isinstance(error, ProtocolError) and len(error.args) > 1 else None
    if not isinstance(inner, BadStatusLine) or isinstance(inner, RemoteDisconnected):
        return None
    return Fault(0, f"{host} does not answer in HTTP", maybe_processed=False)


def tls_fault(error: Exception, host: str) -> Fault:
    """Returns the fault of an SSLError of requests or urllib3; its text has the reason that `ssl` gives."""
    inner: Any = error
    while isinstance(cause := getattr(inner, "reason", None) or (inner.args or [None])[0], Exception):
        inner = cause  # of requests, of urllib3's retries, of urllib3, of ssl
    reason = getattr(inner, "verify_message", None) or getattr(inner, "reason", None) or inner
    advice = f"if its certificate is private, name the authority's file in {certificates.VARIABLE}"
    return Fault(0, f"TLS failed with {host}: {reason}; {advice}", maybe_processed=False)


def _host(error: requests.RequestException) -> str:
    return urlsplit(str(error.request.url)).netloc if error.request else "the service"


def text(value: str) -> str:
    """Returns a text in double quotes for a filter of Google Cloud."""
    return json.dumps(value, ensure_ascii=False)
