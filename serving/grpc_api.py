"""TensorFlow Serving's gRPC services, PredictionService and ModelService, for the versions that REST serves.

https://github.com/tensorflow/serving/blob/master/tensorflow_serving/apis/prediction_service.proto
"""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from errors import shortened
from serving import forms, metrics, outline, ports
from serving.calls import CLASSIFY, PREDICT, run, signature_of
from serving.errors import RequestError, brief, check_count, refuse_unknown
from serving.forms import Arrays, Input
from serving.grpc_calls import Interceptor, answered
from serving.keeping import Keep
from serving.settings import Settings
from serving.traffic import Chosen, Traffic
from serving.versions import Version, Versions

_METADATA = "signature_def"
_MOST_CALLS = 64  # at once in a worker; each may have the largest message


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify and GetModelMetadata; Regress and MultiInference are not implemented."""

    def __init__(self, versions: Versions, traffic: Traffic, most: int, most_bytes: int, keep: Keep):
        """Makes the service; `most` photos and `most_bytes` bytes are the limits; `keep` receives the answers."""
        self._keep = keep
        self._traffic = traffic
        self._versions = versions
        self._most = most
        self._most_bytes = most_bytes

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers a PredictRequest."""
        chosen = self._choose(request.model_spec)
        name = request.model_spec.signature_name or forms.DEFAULT
        signature = signature_of(chosen.version, name, PREDICT)
        wanted = _wanted(request.output_filter, chosen.version.definitions[name].outputs)
        inputs = self._inputs(request.inputs, signature.inputs)
        outputs = await self._run(chosen, name, inputs, context)
        self._keep(chosen.version.number, inputs, outputs)
        response = predict_pb2.PredictResponse(model_spec=_spec(self._versions, chosen.version, name))
        for each in wanted:
            response.outputs[each].CopyFrom(tf.make_tensor_proto(outputs[each]))
        return response

    def _choose(self, spec: Any) -> Chosen:
        _check_name(self._versions, spec)
        chosen = self._traffic.choose(*_asked(spec))
        answered.get()["version"] = chosen.version.number
        return chosen

    async def _run(self, chosen: Chosen, name: str, inputs: Arrays, context: Any) -> Arrays:
        """Returns the outputs of a signature. They are counted, and repeated by a shadow when they are sent."""
        outputs = await run(chosen.version.signatures[name], inputs, self._most_bytes)
        answered.get()["photos"] = len(next(iter(outputs.values()), ()))
        metrics.count(chosen.version.number, outputs)
        context.add_done_callback(lambda _: self._traffic.repeat(chosen, name, inputs, outputs))
        return outputs

    def _inputs(self, tensors: Mapping[str, Any], expected: Mapping[str, Input]) -> Arrays:
        """Returns the tensors of a request as arrays.

        Raises:
          RequestError: 400, when they are not the inputs of the signature; 413, when there are too many values.
        """
        forms.check_names(tensors, expected, "inputs")
        arrays = {name: self._array(name, tensor, expected[name]) for name, tensor in tensors.items()}
        forms.check_lengths(arrays)
        return arrays

    def _array(self, name: str, tensor: Any, expected: Input) -> np.ndarray:
        """Returns the array of a tensor. The checks come first, because `make_ndarray` repeats a single value."""
        first = itertools.islice(tensor.tensor_shape.dim, len(expected.shape) + 2)  # one too many is enough to refuse
        sizes = [each.size for each in first] or [1]
        dtype = tf.as_dtype(expected.dtype)
        if tensor.dtype != dtype.as_datatype_enum:
            raise RequestError(400, f"{name}: expected values of {dtype.name}, received the type {tensor.dtype}")
        check_count(sizes[0], self._most)
        forms.check_shape(name, sizes, expected)
        values, texts = math.prod(sizes), len(tensor.string_val)
        is_wrong = values != texts if dtype == tf.string else values > self._most_bytes // dtype.size
        if min(sizes) < 0 or is_wrong:
            raise RequestError(400, f"{name}: expected the values of a tensor of {sizes}, received too few or too many")
        try:
            array = tf.make_ndarray(tensor)
        except (TypeError, ValueError) as error:
            text = f"{name}: expected a tensor, received one that cannot be read: {shortened(str(error))}"
            raise RequestError(400, text) from None
        return array if array.ndim else array[np.newaxis]

    async def Classify(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers a ClassificationRequest."""
        chosen = self._choose(request.model_spec)
        name = request.model_spec.signature_name or "classify"
        signature_of(chosen.version, name, CLASSIFY)
        serialized = await asyncio.to_thread(self._examples, request.input)  # the context may be copied many times
        examples = np.array([*serialized, None], dtype=object)[:-1]
        outputs = await self._run(chosen, name, {"inputs": examples}, context)
        response = classification_pb2.ClassificationResponse(model_spec=_spec(self._versions, chosen.version, name))
        for labels, scores in zip(outputs["classes"].tolist(), outputs["scores"].tolist(), strict=True):
            row = response.result.classifications.add()
            for label, score in zip(labels, scores, strict=True):
                row.classes.add(label=label.decode(), score=score)
        return response

    def _examples(self, given: Any) -> list[bytes]:
        """Returns the serialised tf.Examples of an Input; the features of a context belong to each example.

        Raises:
          RequestError: 413, when they are too large with their context.
        """
        with_context = given.WhichOneof("kind") == "example_list_with_context"
        listed = given.example_list_with_context if with_context else given.example_list
        context = listed.context if with_context else tf.train.Example()
        size = len(listed.examples) * context.ByteSize() + sum(each.ByteSize() for each in listed.examples)
        if size > self._most_bytes:
            raise RequestError(
                413, f"expected examples of at most {self._most_bytes:,} bytes with their context; send fewer examples"
            )
        return [_merged(context, each) for each in listed.examples]

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers a GetModelMetadataRequest with the signatures."""
        version = _version(self._versions, request.model_spec)
        if request.metadata_field != [_METADATA]:
            received = brief(request.metadata_field[:10])
            raise RequestError(400, f"metadata_field: expected [{_METADATA!r}], received {received}")
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(self._versions, version, ""))
        response.metadata[_METADATA].Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=version.definitions))
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; HandleReloadConfigRequest is not implemented, because the folder says what is served."""

    def __init__(self, versions: Versions):
        self._versions = versions

    async def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answers a GetModelStatusRequest."""
        spec = request.model_spec
        _check_name(self._versions, spec)
        named = spec.WhichOneof("version_choice") is not None
        number = spec.version.value if spec.HasField("version") else None
        if named and number is None:
            number = _version(self._versions, spec).number
        response = get_model_status_pb2.GetModelStatusResponse()
        for each in self._versions.status(number):
            json_format.ParseDict(each, response.model_version_status.add())
        return response


def _wanted(given: Iterable[str], outputs: Collection[str]) -> list[str]:
    """Returns the names of the outputs that an output filter chooses; without one, all.

    Raises:
      RequestError: 400, when the signature has no output of a name.
    """
    wanted = list(dict.fromkeys(given)) or list(outputs)
    if others := [each for each in wanted if each not in outputs]:
        refuse_unknown(400, "output of output_filter", others[0], outputs)
    return wanted


def _check_name(versions: Versions, spec: Any) -> None:
    if spec.name != versions.name:
        refuse_unknown(404, "model", spec.name, [versions.name])


def _asked(spec: Any) -> tuple[int | None, str | None]:
    """Returns the number and the label that a request names."""
    number = spec.version.value if spec.HasField("version") else None
    return number, spec.version_label if spec.HasField("version_label") else None


def _version(versions: Versions, spec: Any) -> Version:
    _check_name(versions, spec)
    version = versions.get(*_asked(spec))
    answered.get()["version"] = version.number
    return version


def _spec(versions: Versions, version: Version, signature: str) -> Any:
    spec = model_pb2.ModelSpec(name=versions.name, signature_name=signature)
    spec.version.value = version.number
    return spec


def _merged(context: Any, example: Any) -> bytes:
    merged = tf.train.Example()
    merged.CopyFrom(context)
    for name, feature in example.features.feature.items():
        merged.features.feature[name].CopyFrom(feature)
    return merged.SerializeToString()


@asynccontextmanager
async def serving(
    versions: Versions, traffic: Traffic, settings: Settings, token: str | None, keep: Keep
) -> AsyncIterator[None]:
    """Serves gRPC while the block runs; then calls that have begun are answered.

    Args:
      versions: the versions to serve.
      traffic: decides which version answers.
      settings: the settings; several workers use the same port.
      token: the bearer token; None for no token.
      keep: receives the answers.
    """
    most_bytes = settings.max_body_mb * 2**20
    options = [("grpc.max_receive_message_length", most_bytes), ("grpc.so_reuseport", 1)]
    checks = {"Classify": partial(outline.check, most=settings.max_queue)}
    interceptors = [Interceptor(token, checks)]
    server = grpc.aio.server(interceptors=interceptors, options=options, maximum_concurrent_rpcs=_MOST_CALLS)
    service = PredictionService(versions, traffic, settings.max_queue, most_bytes, keep)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(versions), server)
    server.add_insecure_port(ports.address(settings.host, settings.grpc_port or 0))
    await server.start()
    try:
        yield
    finally:
        await server.stop(settings.timeout_s)
