"""TensorFlow Serving's own gRPC client, of the package tensorflow-serving-api, against the server."""

import base64
import socket

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.__main__ import main
from tests.helpers import records, served


@pytest.fixture
def channel(client):
    with grpc.insecure_channel(client.grpc) as opened:
        grpc.channel_ready_future(opened).result(timeout=60)  # the port opens when the model is loaded
        yield opened


@pytest.fixture
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def _predict(photos):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = served.NAME
    request.model_spec.signature_name = "serving_default"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(photos, shape=[len(photos)], dtype=tf.string))
    return request


def _by_rest(client, photos):
    instances = [{"b64": base64.b64encode(photo).decode()} for photo in photos]
    return client.predict({"instances": instances}).json()["predictions"]


def test_predict_gives_the_answers_of_rest(stub, client):
    sent = [served.PHOTOS[0], b"no photo", served.PHOTOS[1]]
    response = stub.Predict(_predict(sent), timeout=30)
    rows = _by_rest(client, sent)
    outputs = {name: tf.make_ndarray(each) for name, each in response.outputs.items()}
    assert set(outputs) == set(rows[0])
    assert [each.decode() for each in outputs["label"]] == [row["label"] for row in rows]
    assert [each.decode() for each in outputs["status"]] == [row["status"] for row in rows]
    assert np.allclose(outputs["probabilities"], [row["probabilities"] for row in rows], atol=1e-6)
    assert response.model_spec.version.value == 7 and response.model_spec.name == served.NAME


def test_the_output_filter_chooses_outputs(stub):
    request = _predict(served.PHOTOS[:1])
    request.output_filter.append("label")
    assert set(stub.Predict(request, timeout=30).outputs) == {"label"}
    request.output_filter.append("labl")
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(request, timeout=30)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    expected = "unknown output of output_filter in the request: 'labl'; did you mean 'label'?"
    assert expected in raised.value.details()


@pytest.mark.parametrize("with_context", [False, True])
def test_classify_gives_each_class_with_its_score(with_context, stub, client):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = served.NAME
    examples = [
        tf.train.Example.FromString(records.example(0, photo).SerializeToString()) for photo in served.PHOTOS[:2]
    ]
    if with_context:
        request.input.example_list_with_context.examples.extend(examples[:1] + [tf.train.Example()])
        request.input.example_list_with_context.context.CopyFrom(examples[1])
    else:
        request.input.example_list.examples.extend(examples)
    rows = stub.Classify(request, timeout=30).result.classifications
    expected = _by_rest(client, served.PHOTOS[:2])
    for row, answer in zip(rows, expected, strict=True):
        assert [each.score for each in row.classes] == pytest.approx(answer["probabilities"], abs=1e-6)
        assert max(row.classes, key=lambda each: each.score).label == answer["label"]


def test_metadata_and_status(stub, channel):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = served.NAME
    response = stub.GetModelMetadata(request, timeout=30)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["classify"].method_name == "tensorflow/serving/classify"
    assert set(signatures.signature_def["serving_default"].inputs) == {"image_bytes"}
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = served.NAME
    (state,) = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked, timeout=30).model_version_status
    assert state.version == 7 and state.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE


def _huge():
    """Returns a tensor that states many values and has one."""
    tensor = tf.make_tensor_proto([b""])
    tensor.tensor_shape.dim[0].size = 10**12
    return tensor


def _repeated():
    """Returns a tensor that states two values and has one, which TensorFlow would repeat."""
    tensor = tf.make_tensor_proto([b""])
    tensor.tensor_shape.dim[0].size = 2
    return tensor


def _wrong(**changes):
    request = _predict([b""])
    if "name" in changes:
        request.model_spec.name = changes["name"]
    if "version" in changes:
        request.model_spec.version.value = changes["version"]
    if "label" in changes:
        request.model_spec.version_label = changes["label"]
    if "signature" in changes:
        request.model_spec.signature_name = changes["signature"]
    if "tensor" in changes:
        request.inputs["image_bytes"].CopyFrom(changes["tensor"])
    if "input" in changes:
        request.inputs[changes["input"]].CopyFrom(tf.make_tensor_proto([1]))
    return request


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ({"name": "other"}, "NOT_FOUND", "unknown model in the request: 'other'"),
        ({"version": 8}, "NOT_FOUND", "version 8 of"),
        ({"label": "stable"}, "NOT_FOUND", "label"),
        ({"signature": "serving_defalt"}, "INVALID_ARGUMENT", "did you mean 'serving_default'?"),
        ({"input": "size"}, "INVALID_ARGUMENT", "unknown input of inputs in the request: 'size'"),
        ({"tensor": tf.make_tensor_proto([1.0])}, "INVALID_ARGUMENT", "image_bytes: expected values of string"),
        ({"tensor": tensor_pb2.TensorProto(dtype=20)}, "INVALID_ARGUMENT", "image_bytes: expected values of string"),
        ({"tensor": tf.make_tensor_proto([[b""]])}, "INVALID_ARGUMENT", "image_bytes: expected values of the shape"),
        ({"tensor": _huge()}, "INVALID_ARGUMENT", "expected at most 16 photos in a request"),
        ({"tensor": _repeated()}, "INVALID_ARGUMENT", "image_bytes: expected the values of a tensor of [2]"),
        ({"tensor": tf.make_tensor_proto([b""] * 17)}, "INVALID_ARGUMENT", "expected at most 16 photos in a request"),
    ],
)
def test_a_mistake_has_its_code_and_text(changes, code, expected, stub):
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(_wrong(**changes), timeout=30)
    assert raised.value.code().name == code and expected in raised.value.details()


def test_a_message_that_is_too_large_is_refused(stub):
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(_predict([bytes(served.SMALL.max_body_mb * 2**20 + 1)]), timeout=30)
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_context_counts_for_each_example(stub):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = served.NAME
    listed = request.input.example_list_with_context
    listed.context.features.feature["image"].bytes_list.value.append(bytes(2**19 - 1000))
    listed.examples.extend([tf.train.Example()] * 2)
    assert len(stub.Classify(request, timeout=30).result.classifications) == 2
    listed.examples.add()
    with pytest.raises(grpc.RpcError, match="at most 1,048,576 bytes with their context"):
        stub.Classify(request, timeout=30)
    listed.examples.extend([tf.train.Example()] * 100_000)
    with pytest.raises(grpc.RpcError, match="at most 16 photos"):
        stub.Classify(request, timeout=30)


def test_a_port_in_use_is_one_line(pushed, capsys):
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        assert main(["--model", str(pushed), "--port", "0", "--grpc-port", str(port)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"serving: cannot use 127.0.0.1, port {port}, for gRPC: ") and "(--grpc-port)" in line


def test_the_token_is_metadata(protected, token_file):
    token = token_file.read_text().strip()
    with grpc.insecure_channel(protected.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.Predict(_predict(served.PHOTOS[:1]), timeout=30)
        assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
        metadata = [("authorization", f"Bearer {token}")]
        assert stub.Predict(_predict(served.PHOTOS[:1]), timeout=30, metadata=metadata).outputs
