"""The HTTP routes: TensorFlow Serving's REST API, photos as bodies, health, readiness and metrics."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPMethod
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import json_format
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from serving import bodies, classify, forms, metrics, openapi
from serving.calls import CLASSIFY, PREDICT, run, signature_of
from serving.errors import RequestError, brief, refuse_unknown
from serving.keeping import Keep
from serving.traffic import Chosen, Traffic
from serving.versions import Signature, Version, Versions

_NAME = r"[^/:]+"
_MODEL = re.compile(
    rf"(?P<name>{_NAME})(?:/versions/(?P<version>[0-9]{{1,18}})|/labels/(?P<label>{_NAME}))?(?P<rest>/metadata|:{_NAME})?"
)
_PREDICT, _CLASSIFY, _METADATA, _STATUS = ":predict", ":classify", "/metadata", ""
_GET, _POST = ("GET", "HEAD"), ("POST",)
_METHODS = {_PREDICT: _POST, _CLASSIFY: _POST, _METADATA: _GET, _STATUS: _GET}
_LARGE = 2**17  # bytes that take about as long to convert as to hand over to a thread

_log = logging.getLogger("serving")


class Rest:
    """The routes of one model."""

    def __init__(self, versions: Versions, traffic: Traffic, reader: bodies.Reader, most: int, keep: Keep):
        """Makes the routes; `most` is the largest number of photos in a request, `keep` receives the answers."""
        self._versions = versions
        self._traffic = traffic
        self._keep = keep
        self._reader = reader
        self._most = most
        self._actions: dict[str, Callable[[Request, Chosen], Awaitable[Response]]] = {
            _PREDICT: self._predict,
            _CLASSIFY: self._classify,
            _METADATA: self._metadata,
        }

    def routes(self) -> list[Route]:
        """Returns the routes for Starlette, which tries them in order; that of the most requests is the first."""
        return [
            Route("/v1/models/{rest:path}", self._model, methods=list(HTTPMethod)),  # it refuses the others
            Route("/healthz", self._health, methods=["GET"]),
            Route("/readyz", self._readiness, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
        ]

    async def _health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readiness(self, request: Request) -> Response:
        ready = self._versions.ready
        return PlainTextResponse("ready\n" if ready else "no version is loaded\n", 200 if ready else 503)

    async def _metrics(self, request: Request) -> Response:
        return Response(metrics.text(), media_type=metrics.MEDIA_TYPE)

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(openapi.description(self._versions.name))

    async def _model(self, request: Request) -> Response:
        target = _target(request.path_params["rest"])
        if target.name != self._versions.name:
            refuse_unknown(404, "model", target.name, [self._versions.name])
        if target.action not in _METHODS:
            refuse_unknown(404, "method", target.action, filter(None, _METHODS))
        if request.method not in _METHODS[target.action]:
            allowed = ", ".join(_METHODS[target.action])
            raise HTTPException(405, f"expected the method {allowed}, received {request.method}", {"Allow": allowed})
        request.state.action = target.action or "status"
        if target.action == _STATUS:
            return JSONResponse(self._status(target))
        asked = target.version, target.label
        is_divided = _METHODS[target.action] == _POST
        chosen = self._traffic.choose(*asked) if is_divided else Chosen(self._versions.get(*asked))
        request.state.version = chosen.version.number
        return await self._actions[target.action](request, chosen)

    def _status(self, target: "_Target") -> dict[str, Any]:
        number = self._versions.get(label=target.label).number if target.label else target.version
        whole = self._versions.overview() if number is None else {}
        return {"model_version_status": self._versions.status(number)} | whole

    async def _metadata(self, request: Request, chosen: Chosen) -> Response:
        definitions = await asyncio.to_thread(_json, chosen.version.definitions)
        spec = {"name": self._versions.name, "signature_name": "", "version": str(chosen.version.number)}
        return JSONResponse({"model_spec": spec, "metadata": {"signature_def": {"signature_def": definitions}}})

    async def _predict(self, request: Request, chosen: Chosen) -> Response:
        async with self._reader.read(request) as body:
            query, signature = await _away(len(body.content), _parse, body, chosen.version, self._most)
            outputs = await run(signature, query.inputs, self._reader.most)
        request.state.photos = len(next(iter(outputs.values()), ()))
        metrics.count(chosen.version.number, outputs)
        if request.headers.get("x-keep") != "no":
            self._keep(chosen.version.number, query.inputs, outputs)
        size = sum(each.nbytes for each in outputs.values())
        content = await _away(size, forms.answer, outputs, query.by_row)
        return self._answer(content, chosen, query.signature, query.inputs, outputs)

    async def _classify(self, request: Request, chosen: Chosen) -> Response:
        async with self._reader.read(request) as body:
            parsed = await _away(len(body.content), forms.parse, body.content)
            name = forms.signature_of(parsed, "classify")
            signature = signature_of(chosen.version, name, CLASSIFY)
            # in a thread in any case: a small body may have a context for many examples
            examples = await asyncio.to_thread(classify.examples, parsed, self._most, self._reader.most)
            outputs = await run(signature, {"inputs": examples}, self._reader.most)
        request.state.photos = len(examples)
        metrics.count(chosen.version.number, outputs)
        return self._answer(classify.answer(outputs), chosen, name, {"inputs": examples}, outputs)

    def _answer(self, content: bytes, *repeated: Any) -> Response:
        """Returns the response; when it is sent, `Traffic.repeat` receives the other arguments."""

        async def repeat() -> None:  # Starlette would start a thread for a function that is not async
            self._traffic.repeat(*repeated)

        return Response(content, media_type="application/json", background=BackgroundTask(repeat))


def _json(protos: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json_format.MessageToDict(each, preserving_proto_field_name=True) for name, each in protos.items()}


async def _away(size: int, function: Callable[..., Any], *args: Any) -> Any:
    """Returns what a function returns; for many bytes, in a thread, so that other requests do not wait."""
    return await asyncio.to_thread(function, *args) if size > _LARGE else function(*args)


class _Target(NamedTuple):
    name: str
    version: int | None
    label: str | None
    action: str


def _target(path: str) -> _Target:
    found = _MODEL.fullmatch(path)
    if not found:
        raise RequestError(
            404, f"unknown path {brief(path)}; expected NAME[/versions/V]:predict, :classify or /metadata"
        )
    version = found["version"]
    return _Target(found["name"], int(version) if version else None, found["label"], found["rest"] or "")


def _parse(body: bodies.Body, version: Version, most: int) -> tuple[forms.Query, Signature]:
    """Returns the request in a body, and the signature that answers it. It may run in a thread."""
    if body.photos is not None:
        signature = signature_of(version, forms.DEFAULT, PREDICT)
        inputs = {forms.PHOTO: np.array([*body.photos, None], dtype=object)[:-1]}
        forms.check_names(inputs, signature.inputs, "a photo as the body")
        return forms.Query(forms.DEFAULT, inputs), signature
    parsed = forms.parse(body.content)
    signature = signature_of(version, forms.signature_of(parsed), PREDICT)
    return forms.query(parsed, signature.inputs, most), signature
