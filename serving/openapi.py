"""The OpenAPI description of the server."""

from typing import Any
from urllib.parse import quote

Json = dict[str, Any]

_ERRORS = {
    400: "The request is not valid.",
    401: "The bearer token is missing or wrong.",
    404: "The model, the version or the label is not served.",
    408: "The body was not complete in time.",
    413: "The request or its answer is too large.",
    429: "Too many photos wait.",
    500: "The model failed.",
    503: "No version is loaded, or no answer in time.",
}
_READING = (400, 401, 404, 503)
_PREDICTING = tuple(_ERRORS)
_ANSWERED = {"X-Model-Version": {"description": "The version that answered.", "schema": {"type": "string"}}}
_RETRY_AFTER = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
_VERSION, _LABEL = ({"$ref": f"#/components/parameters/{name}"} for name in ("Version", "Label"))
_PHOTO_TYPES = ("image/jpeg", "image/png", "image/gif", "image/bmp")


def description(name: str) -> Json:
    """Returns the description of the server of a model."""
    model = f"/v1/models/{quote(name, safe='')}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": "1",
            "description": "TensorFlow Serving's REST API for one model; photos may also be sent as they are.",
        },
        "paths": _paths(model, [])
        | _paths(f"{model}/versions/{{version}}", [_VERSION])
        | _paths(f"{model}/labels/{{label}}", [_LABEL])
        | _OPERATIONS,
        "components": {"parameters": _PARAMETERS, "schemas": _SCHEMAS, "securitySchemes": _TOKEN},
        "security": [{}, {"Token": []}],
    }


def _paths(model: str, parameters: list[Json]) -> Json:
    shared = {"parameters": parameters} if parameters else {}
    operations = {
        "": {"get": _operation("Returns the state of each version", "Status", _READING)},
        "/metadata": {"get": _operation("Returns the signatures of a version", "Metadata", _READING)},
        ":predict": {
            "post": _operation("Predicts the classes of photos", "PredictResponse", _PREDICTING)
            | {"requestBody": {"required": True, "content": _json("PredictRequest") | _PHOTOS}}
        },
        ":classify": {
            "post": _operation("Returns the probabilities for tf.Examples", "ClassifyResponse", _PREDICTING)
            | {"requestBody": {"required": True, "content": _json("ClassifyRequest")}}
        },
    }
    return {f"{model}{end}": shared | operation for end, operation in operations.items()}


def _operation(summary: str, answer: str, statuses: tuple[int, ...]) -> Json:
    headers = {} if answer == "Status" else {"headers": _ANSWERED}
    answers = {"200": {"description": "The answer.", "content": _json(answer), **headers}}
    return {"summary": summary, "responses": answers | {str(status): _error(status) for status in statuses}}


def _error(status: int) -> Json:
    headers = {"headers": _RETRY_AFTER} if status in (429, 503) else {}
    return {"description": _ERRORS[status], "content": _json("Error")} | headers


def _json(schema: str) -> Json:
    return {"application/json": {"schema": _ref(schema)}}


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(required: Json, optional: Json | None = None, **more: Any) -> Json:
    return {"type": "object", "properties": required | (optional or {}), "required": list(required)} | more


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _text(summary: str, **responses: Json) -> Json:
    answers = {"200": {"description": "The answer.", "content": _PLAIN}, "400": _error(400)}
    return {"get": {"summary": summary, "responses": answers | responses}}


_STRING: Json = {"type": "string"}
_PLAIN = {"text/plain": {"schema": _STRING}}
_BINARY = _STRING | {"format": "binary"}
_PHOTOS = {kind: {"schema": _BINARY} for kind in _PHOTO_TYPES} | {
    "multipart/form-data": {"schema": _object({"photo": _list(_BINARY) | {"minItems": 1}})}
}
_OPERATIONS = {
    "/healthz": _text("Returns whether the process answers"),
    "/readyz": _text("Returns whether a version is loaded", **{"503": {"description": "None.", "content": _PLAIN}}),
    "/metrics": _text("Returns metrics in Prometheus' form", **{"401": _error(401)}),
}
_PARAMETERS: Json = {
    "Version": {
        "name": "version",
        "in": "path",
        "required": True,
        "description": "The number of a version; without it, the champion answers, or else the newest version, and a "
        "canary a share of the requests.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    },
    "Label": {
        "name": "label",
        "in": "path",
        "required": True,
        "description": "An alias of a version.",
        "schema": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9._-]{0,62}$"},
    },
}
_TOKEN = {"Token": {"type": "http", "scheme": "bearer", "description": "If the server has a token."}}
_VALUE = {"oneOf": [_STRING, _ref("Bytes")]}
_FEATURES = {
    "type": "object",
    "additionalProperties": {"oneOf": [{"type": "number"}, _STRING, _ref("Bytes"), {"type": "array"}]},
}
_SIGNATURE = {"signature_name": _STRING}
_STATE = {"error_code": _STRING, "error_message": _STRING}
_SCHEMAS: Json = {
    "Error": _object({"error": _STRING}),
    "Bytes": _object({"b64": _STRING | {"format": "byte"}}, additionalProperties=False),
    "PredictRequest": {
        "description": "Rows (instances) or columns (inputs) of the signature's inputs.",
        "oneOf": [
            _object({"instances": _list({"oneOf": [_STRING, {"type": "object"}]})}, _SIGNATURE),
            _object({"inputs": {"oneOf": [_list(_VALUE), {"type": "object"}]}}, _SIGNATURE),
        ],
    },
    "PredictResponse": {"oneOf": [_object({"predictions": {"type": "array"}}), _object({"outputs": {}})]},
    "ClassifyRequest": _object({"examples": _list(_FEATURES)}, _SIGNATURE | {"context": _FEATURES}),
    "ClassifyResponse": _object({"result": _list(_list({"type": "array", "minItems": 2, "maxItems": 2}))}),
    "Status": _object(
        {
            "model_version_status": _list(
                _object({"version": _STRING, "state": {"enum": ["AVAILABLE", "END"]}, "status": _object(_STATE)})
            )
        },
        {
            "served_version": {"type": ["string", "null"]},
            "aliases": {"type": "object", "additionalProperties": _STRING},
            "alias_problems": _list(_STRING),
        },
    ),
    "Metadata": _object({"model_spec": {"type": "object"}, "metadata": {"type": "object"}}),
}
