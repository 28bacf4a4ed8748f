"""Checks the file of certificate authorities that the environment names; each HTTP client fails in another way."""

import os

from errors import UserError, quoted

VARIABLE = "REQUESTS_CA_BUNDLE"
_OTHER = "CURL_CA_BUNDLE"  # requests reads it too


def check(url: str = "https://") -> None:
    """Checks that the file or folder exists, if it is needed for requests to `url`.

    Raises:
      UserError: when it does not exist.
    """
    name = next((each for each in (VARIABLE, _OTHER) if os.environ.get(each)), None)
    if name and not url.startswith("http://") and not os.path.exists(path := os.environ[name]):  # noqa: PTH110 (no error)
        raise UserError(
            f"{name}: expected the file of a certificate authority, received {quoted(path)}, which does not exist; "
            "correct or unset this environment variable"
        )
