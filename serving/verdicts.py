"""The gate's verdict and the report of a version, which the pipeline's node Report adds to a pushed version."""

import asyncio
import logging
from typing import Any
from urllib.parse import urlencode

import tensorflow as tf
from pydantic import BaseModel, Field, FiniteFloat
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from components.report.sources import POLICY, VERSION_REPORT, VERSION_VERDICT
from errors import shortened
from serving import tokens
from serving.errors import RequestError, brief
from serving.versions import Version, Versions

REPORT = "/report"
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HIDDEN = (
    f"The report contains training photos, so this server shows it only with a token (--token-file) or on 127.0.0.1. "
    f"It is the file {VERSION_REPORT} of this version."
)
_DAMAGED = "The verdict of this version cannot be read; the server's log has the reason."

_log = logging.getLogger("serving")


class _Check(BaseModel):
    """What the page needs of a check of `components.report`; `decimals` are those of `value` and `floor`."""

    what: str
    value: FiniteFloat | None
    floor: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None
    n: int
    decimals: int = Field(ge=0, le=17)
    passed: bool
    undecided: bool
    upper: bool
    comparison: str
    problem: str


class _Verdict(BaseModel):
    blessed: bool
    split: str
    checks: list[_Check]


class Verdicts:
    """The routes of the verdicts and reports of one model."""

    def __init__(self, versions: Versions, token: str | None, shows_reports: bool):
        """Makes the routes.

        Args:
          versions: the loaded versions.
          token: signs the links to reports, because a browser sends no Authorization header for a link.
          shows_reports: whether only trusted people reach this server. A report contains training photos.
        """
        self._versions = versions
        self._token = token
        self._shows_reports = shows_reports

    def routes(self) -> list[Route]:
        """Returns the routes for Starlette."""
        return [Route("/verdict", self._verdict, methods=["GET"]), Route(REPORT, self._report, methods=["GET"])]

    async def _verdict(self, request: Request) -> Response:
        """Returns the verdict, null if the version has none; the link to the report, or null; and what is missing."""
        version = asked(self._versions, request)
        verdict, has_report, note = await asyncio.to_thread(_read, version)
        if has_report and not self._shows_reports:
            note = f"{note} {_HIDDEN}".strip()
        link = self._link(str(version.number)) if has_report and self._shows_reports else None
        return JSONResponse({"version": str(version.number), "verdict": verdict, "report": link, "note": note})

    def _link(self, number: str) -> str:
        signed = {"signed": tokens.sign(self._token, number)} if self._token else {}
        return f"{REPORT[1:]}?{urlencode({'version': number} | signed)}"

    async def _report(self, request: Request) -> Response:
        version = asked(self._versions, request)
        if not self._shows_reports:
            raise RequestError(403, _HIDDEN)
        html = await asyncio.to_thread(_content, f"{version.folder}/{VERSION_REPORT}")
        if html is None:
            raise RequestError(404, f"version {version.number} has no report; the pipeline adds it after the push")
        return Response(html, media_type="text/html", headers=_HEADERS)


def asked(versions: Versions, request: Request) -> Version:
    """Returns the loaded version that the query names, by default the one that is served.

    Raises:
      RequestError: 400, when the query is no number; 404, when this version is not loaded; 503, when no version is.
    """
    given = request.query_params.get("version", "")
    if given and not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise RequestError(400, f"version: expected a number, received {brief(given)}")
    return versions.get(int(given) if given else None)


def _read(version: Version) -> tuple[dict[str, Any] | None, bool, str]:
    """Returns the verdict of a version, whether it has a report, and what is wrong."""
    has_report = False
    try:
        has_report = tf.io.gfile.exists(f"{version.folder}/{VERSION_REPORT}")
        text = _content(f"{version.folder}/{VERSION_VERDICT}")
        return None if text is None else _Verdict.model_validate_json(text).model_dump(), has_report, ""
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = shortened(" ".join(str(error).split()))
        _log.error("the verdict of version %d cannot be read: %s", version.number, reason)
        return None, has_report, _DAMAGED


def _content(file: str) -> Any:
    """Returns the content of a file as bytes; None if there is none."""
    if not tf.io.gfile.exists(file):
        return None
    with tf.io.gfile.GFile(file, "rb") as opened:
        return opened.read()
