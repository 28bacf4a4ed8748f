"""Asks a server for predictions of photos."""

import base64
import re
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from errors import UserError, quoted, shortened

# Few retries of a connection, so that a wrong address is reported at once; many of a busy server.
_RETRIES = Retry(
    connect=1,
    read=2,
    status=8,
    backoff_factor=0.5,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=None,
    respect_retry_after_header=False,  # it may be an hour
)
_TIMEOUT_S = (10, 120)  # to connect, and to read
_REPLACED_S, _PAUSE_S = 20.0, 0.5  # until all workers have a new version

Answer = dict[str, Any]


class Server:
    """A server with TensorFlow Serving's REST API: this project's or TensorFlow Serving itself."""

    def __init__(self, url: str, token: str | None = None):
        """Makes a client.

        Args:
          url: the model's address, `http://HOST:PORT/v1/models/NAME`, or with `/labels/L` or `/versions/V` at the end.
          token: the bearer token, if the server expects one.

        Raises:
          UserError: when the address has another form, or the server does not serve this model.
        """
        if "@" in url.partition("/v1/models/")[0]:
            raise UserError(
                "--url: expected http://HOST:PORT/v1/models/NAME without a user name and password, received an @ "
                "(the text before it is not shown); to give a token, use --token-file FILE"
            )
        if not _host(url) or "/v1/models/" not in url:
            raise UserError(f"--url: expected http://HOST:PORT/v1/models/NAME, received {quoted(url)}")
        self._url, self._which = _parted(url)
        self._session = requests.Session()
        self._session.trust_env = False  # no password of .netrc and no proxy for a local address
        self._session.mount("http", HTTPAdapter(max_retries=_RETRIES))
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self.name = unquote(self._url.rpartition("/")[2])
        self.version = self._served()

    def predict(self, photos: Sequence[bytes]) -> tuple[int, list[Answer]]:
        """Returns the version that answered, and an answer for each photo.

        Every request names the version, because the answer does not. If the server has replaced the version, the
        request is sent again to the new one; with several workers, some may have it seconds before the others. A
        request that is too large is divided; the `status` of a single photo that is too large has the reason.

        Raises:
          UserError: when the server cannot be reached, refuses the request or answers in another form.
        """
        body = {"instances": [{"b64": base64.b64encode(photo).decode()} for photo in photos]}
        deadline = time.monotonic() + _REPLACED_S
        while True:
            version = self.version
            response = self._send("POST", f"/versions/{version}:predict", body)
            if response.status_code != HTTPStatus.NOT_FOUND or time.monotonic() > deadline:
                break
            time.sleep(_PAUSE_S)
            self.version = self._served()
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return self._divided(photos, response)
        return version, self._answers(response, len(photos))

    def _divided(self, photos: Sequence[bytes], response: requests.Response) -> tuple[int, list[Answer]]:
        if len(photos) == 1:
            return self.version, [{"status": f"the server refuses it: {_reason(response)}"}]
        half = len(photos) // 2
        first, second = self.predict(photos[:half]), self.predict(photos[half:])
        return second[0], first[1] + second[1]

    def _answers(self, response: requests.Response, count: int) -> list[Answer]:
        value = self._json(response)
        answers = value.get("predictions") if isinstance(value, dict) else None
        if not isinstance(answers, list) or len(answers) != count:
            raise UserError(
                f"expected {count} predictions from {self._url}, received {quoted(value)}; check that --url is the "
                "model of a server with TensorFlow Serving's REST API"
            )
        return answers

    def _served(self) -> int:
        """Returns the version of the label or number in the address, or the one that is served by default.

        TensorFlow Serving does not say which one it serves by default: the newest.

        Raises:
          UserError: when the server cannot be reached, or has no version.
        """
        value = self._json(self._send("GET", self._which))
        try:
            states = value["model_version_status"]
            numbers = [int(each["version"]) for each in states if each["state"] == "AVAILABLE"]
            if value.get("served_version") is not None:
                return int(value["served_version"])
        except (KeyError, TypeError, ValueError):
            raise UserError(f"expected the versions of {self._url}, received {quoted(value)}; check --url") from None
        if not numbers:
            raise UserError(f"{self._url} has no version that is available; look into the server's log")
        return max(numbers)

    def _send(self, method: str, path: str, body: Any = None) -> requests.Response:
        try:
            return self._session.request(method, self._url + path, json=body, timeout=_TIMEOUT_S)
        except requests.RequestException as error:
            raise UserError(
                f"no answer from {self._url}: {_cause(error)}; check --url, and start the server with: "
                "python -m serving --model runs/pushed/NAME"
            ) from None

    def _json(self, response: requests.Response) -> Any:
        if not response.ok:
            hint = "; give the server's token: --token-file FILE" * (response.status_code == HTTPStatus.UNAUTHORIZED)
            raise UserError(f"{response.url} answered {response.status_code}: {_reason(response)}{hint}")
        try:
            return response.json()
        except requests.JSONDecodeError:
            raise UserError(
                f"expected JSON from {response.url}, received {quoted(response.text)}; check --url"
            ) from None


def _reason(response: requests.Response) -> str:
    try:
        value = response.json()
    except requests.JSONDecodeError:
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        value = "a web page, which is no server of models; check --url" if is_page else response.text
    return shortened(str(value.get("error", value) if isinstance(value, dict) else value))


def _cause(error: requests.RequestException) -> str:
    """Returns the operating system's reason, such as 'Connection refused', or else the library's text."""
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return found[1] if found else shortened(str(error))


def _parted(url: str) -> tuple[str, str]:
    """Returns the model's address, and what names a version: `/labels/L`, `/versions/V` or nothing."""
    found = re.search(r"(?:/labels/|/versions/)[^/]+/?$", url.partition("/v1/models/")[2])
    which = found[0] if found else ""
    return url.removesuffix(which).rstrip("/"), which.rstrip("/")


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.scheme in ("http", "https") and not parts.query + parts.fragment else None
    except ValueError:
        return None
