"""The token for Kubeflow Pipelines."""

import os
import re
from pathlib import Path

VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # kfp's client reads it too
ADVICE = f"give a token if this is a login page ({VARIABLE}), or correct the address"  # for a page instead of JSON
_TOKEN = re.compile(rb"[!-~]+")  # a header's value without spaces


class Unusable(Exception):
    """The file has no token, or cannot be read; the text says why."""


def read() -> str | None:
    """Returns the token in the file that KF_PIPELINES_SA_TOKEN_PATH names; None without this variable.

    Raises:
      Unusable: when the file cannot be read, or has something else than a token.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    try:
        token = Path(path).read_bytes().strip()
    except OSError as error:
        raise Unusable(f"cannot read the token: {error}") from None
    if not _TOKEN.fullmatch(token):
        raise Unusable(f"expected only a token (printable ASCII without spaces) in the file {path}")
    return token.decode("ascii")
