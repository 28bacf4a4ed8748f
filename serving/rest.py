"""The HTTP routes: TensorFlow Serving's REST API, photos as bodies, health, readiness and metrics."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from errors import choices, quoted, shortened
from serving import bodies, classify, forms, metrics
from serving.errors import RequestError
from serving.forms import Arrays
from serving.versions import Signature, Version, Versions

_NAME = r"[^/:]+"
_MODEL = re.compile(
    rf"(?P<name>{_NAME})(?:/versions/(?P<version>\d{{1,18}})|/labels/(?P<label>{_NAME}))?(?P<rest>/metadata|:{_NAME})?"
)
_PREDICT, _CLASSIFY, _METADATA, _STATUS = ":predict", ":classify", "/metadata", ""
_METHODS = {_PREDICT: "POST", _CLASSIFY: "POST", _METADATA: "GET", _STATUS: "GET"}
_PHOTO = "image_bytes"  # the input of a body that is a photo


class Rest:
    """The routes of one model."""

    def __init__(self, versions: Versions, reader: bodies.Reader):
        """Makes the routes."""
        self._versions = versions
        self._reader = reader
        self._actions: dict[str, Callable[[Request, Version], Awaitable[Response]]] = {
            _PREDICT: self._predict,
            _CLASSIFY: self._classify,
            _METADATA: self._metadata,
        }

    def routes(self) -> list[Route]:
        """Returns the routes for Starlette."""
        return [
            Route("/healthz", self._health, methods=["GET"]),
            Route("/readyz", self._readiness, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            Route("/v1/models/{rest:path}", self._model, methods=["GET", "POST"]),
        ]

    async def _health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readiness(self, request: Request) -> Response:
        ready = self._versions.ready
        return PlainTextResponse("ready\n" if ready else "no version is loaded\n", 200 if ready else 503)

    async def _metrics(self, request: Request) -> Response:
        return Response(metrics.text(), media_type=metrics.MEDIA_TYPE)

    async def _model(self, request: Request) -> Response:
        target = _target(request.path_params["rest"])
        if target.name != self._versions.name:
            raise RequestError(
                404, f"unknown model {quoted(target.name)}; {choices(target.name, [self._versions.name])}"
            )
        if target.action not in _METHODS:
            raise RequestError(
                404, f"unknown method {quoted(target.action)}; {choices(target.action, filter(None, _METHODS))}"
            )
        if request.method != _METHODS[target.action]:
            raise RequestError(405, f"expected {_METHODS[target.action]}, received {request.method}")
        if target.label:
            raise RequestError(404, f"unknown label {quoted(target.label)}; the model has no labels")
        request.state.action = target.action or "status"
        if target.action == _STATUS:
            return JSONResponse({"model_version_status": self._status(target.version)})
        return await self._actions[target.action](request, self._versions.get(target.version))

    def _status(self, number: int | None) -> list[dict]:
        listed = [each for each in self._versions.status() if number is None or each["version"] == str(number)]
        if number is not None and not listed:
            self._versions.get(number)
        return listed

    async def _metadata(self, request: Request, version: Version) -> Response:
        definitions = {
            name: json_format.MessageToDict(each, preserving_proto_field_name=True)
            for name, each in version.definitions.items()
        }
        spec = {"name": self._versions.name, "signature_name": "", "version": str(version.number)}
        return JSONResponse({"model_spec": spec, "metadata": {"signature_def": {"signature_def": definitions}}})

    async def _predict(self, request: Request, version: Version) -> Response:
        async with self._reader.read(request) as body:
            query, signature = await asyncio.to_thread(_parse, body, version)
            outputs = await _run(signature, query.inputs)
        request.state.version, request.state.photos = version.number, len(next(iter(outputs.values()), ()))
        metrics.count(outputs)
        return Response(await asyncio.to_thread(forms.answer, outputs, query.by_row), media_type="application/json")

    async def _classify(self, request: Request, version: Version) -> Response:
        async with self._reader.read(request) as body:
            parsed = await asyncio.to_thread(forms.parse, body.content)
            signature = _signature(version, parsed.get("signature_name") or "classify", "tensorflow/serving/classify")
            examples = await asyncio.to_thread(classify.examples, parsed)
            outputs = await _run(signature, {"inputs": examples})
        request.state.version, request.state.photos = version.number, len(examples)
        return Response(classify.answer(outputs), media_type="application/json")


class _Target(NamedTuple):
    name: str
    version: int | None
    label: str | None
    action: str


def _target(path: str) -> _Target:
    found = _MODEL.fullmatch(path)
    if not found:
        raise RequestError(
            404, f"unknown path {quoted(path)}; expected NAME[/versions/V]:predict, :classify or /metadata"
        )
    version = found["version"]
    return _Target(found["name"], int(version) if version else None, found["label"], found["rest"] or "")


def _signature(version: Version, name: object, method: str) -> Signature:
    known = [each for each, signature in version.signatures.items() if signature.method == method]
    if not isinstance(name, str) or name not in known:
        raise RequestError(400, f"unknown signature {quoted(name)} of {method}; {choices(str(name), known)}")
    return version.signatures[name]


def _parse(body: bodies.Body, version: Version) -> tuple[forms.Query, Signature]:
    """Returns the request in a body, and the signature that answers it. It runs outside the event loop."""
    method = "tensorflow/serving/predict"
    if body.photos is not None:
        photos = np.array([*body.photos, None], dtype=object)[:-1]
        return forms.Query(forms.DEFAULT, {_PHOTO: photos}), _signature(version, forms.DEFAULT, method)
    parsed = forms.parse(body.content)
    signature = _signature(version, forms.signature_of(parsed), method)
    return forms.query(parsed, signature.inputs), signature


async def _run(signature: Signature, inputs: Arrays) -> Arrays:
    try:
        return await signature.batch(inputs)
    except tf.errors.InvalidArgumentError as error:
        raise RequestError(400, f"the model refuses the inputs: {shortened(error.message)}") from None
    except tf.errors.OpError as error:
        logging.exception("the model failed")
        raise RequestError(500, f"the model failed: {shortened(error.message)}; see the server's log") from None
