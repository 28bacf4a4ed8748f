"""Asks a server for predictions of photos."""

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from errors import UserError, quoted, shortened

# Few retries of a connection, so that a wrong address is reported at once; many of a busy server.
_RETRIES = Retry(
    connect=1, read=2, status=10, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504), allowed_methods=None
)
_TIMEOUT_S = (10, 120)  # to connect, and to read
_NOT_FOUND = 404

Answer = dict[str, Any]


class Server:
    """A server with TensorFlow Serving's REST API: this project's or TensorFlow Serving itself."""

    def __init__(self, url: str, token: str | None = None):
        """Makes a client.

        Args:
          url: the model's address, `http://HOST:PORT/v1/models/NAME`.
          token: the bearer token, if the server expects one.

        Raises:
          UserError: when the address has another form, or the server does not serve this model.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "/v1/models/" not in parts.path:
            raise UserError(f"--url: expected http://HOST:PORT/v1/models/NAME, received {quoted(url)}")
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # no password of .netrc and no proxy for a local address
        self._session.mount(f"{parts.scheme}://", HTTPAdapter(max_retries=_RETRIES))
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self.name = parts.path.rpartition("/")[2]
        self.version = self._newest()

    def predict(self, photos: Sequence[bytes]) -> tuple[int, list[Answer]]:
        """Returns the version that answered, and an answer for each photo.

        Every request names the version, because the answer does not. When the server has replaced the version, the
        request is sent again to the new one.

        Raises:
          UserError: when the server cannot be reached or refuses the request.
        """
        body = {"instances": [{"b64": base64.b64encode(photo).decode()} for photo in photos]}
        version = self.version
        response = self._send("POST", f"/versions/{version}:predict", body)
        if response.status_code == _NOT_FOUND and (newest := self._newest()) != version:
            version = self.version = newest
            response = self._send("POST", f"/versions/{version}:predict", body)
        return version, self._json(response)["predictions"]

    def _newest(self) -> int:
        states = self._json(self._send("GET", ""))["model_version_status"]
        numbers = [int(each["version"]) for each in states if each["state"] == "AVAILABLE"]
        if not numbers:
            raise UserError(f"{self._url} has no version that is available; look into the server's log")
        return max(numbers)

    def _send(self, method: str, path: str, body: Any = None) -> requests.Response:
        try:
            return self._session.request(method, self._url + path, json=body, timeout=_TIMEOUT_S)
        except requests.RequestException as error:
            raise UserError(
                f"no answer from {self._url}: {shortened(str(error))}; check --url, and start the server with: "
                "python -m serving --model runs/pushed/NAME"
            ) from None

    def _json(self, response: requests.Response) -> Any:
        try:
            value = response.json()
        except requests.JSONDecodeError:
            value = {"error": shortened(response.text)}
        if not response.ok:
            reason = value.get("error") if isinstance(value, dict) else value
            raise UserError(f"{response.url} answered {response.status_code}: {reason}")
        return value
