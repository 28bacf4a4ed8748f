"""TensorFlow Serving's own gRPC client, of the package tensorflow-serving-api, against the server."""

import base64
import logging
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
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
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


def _photos_of_batches(client):
    lines = client.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith("serving_batch_photos_sum")]


def test_a_wrong_output_filter_is_refused_before_the_model_runs(stub, client):
    before = _photos_of_batches(client)
    request = _predict(served.PHOTOS[:1])
    request.output_filter.append("labl")
    with pytest.raises(grpc.RpcError, match="unknown output of output_filter"):
        stub.Predict(request, timeout=30)
    assert _photos_of_batches(client) == before
    request.output_filter[:] = ["label"] * 100_000
    assert set(stub.Predict(request, timeout=30).outputs) == {"label"}
    assert _photos_of_batches(client) != before


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


def _of_many_dimensions():
    """Returns a tensor whose shape is as long as a message may be."""
    return tensor_pb2.TensorProto(dtype=7, tensor_shape={"dim": [{"size": 1}] * 200_000})


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
        ({"tensor": _of_many_dimensions()}, "INVALID_ARGUMENT", "image_bytes: expected values of the shape []"),
        ({"tensor": tf.make_tensor_proto([b""] * 17)}, "INVALID_ARGUMENT", "expected at most 16 photos in a request"),
    ],
)
def test_a_mistake_has_its_code_and_text(changes, code, expected, stub):
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(_wrong(**changes), timeout=30)
    assert raised.value.code().name == code and expected in raised.value.details()
    assert len(raised.value.details()) < 1000


def test_a_text_about_a_long_field_is_short(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["x" * 500_000] * 2)
    request.model_spec.name = served.NAME
    with pytest.raises(grpc.RpcError) as raised:
        stub.GetModelMetadata(request, timeout=30)
    details = raised.value.details()
    assert details.startswith("metadata_field: expected ['signature_def'], received ['xx") and len(details) < 1000


def _send_bytes(channel, message, metadata=None):
    """Returns the error of a message that is no PredictRequest."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(message, timeout=30, metadata=metadata)
    return raised.value


def test_a_message_that_cannot_be_parsed_is_counted_and_has_one_line_in_the_log(channel, client, caplog):
    with caplog.at_level(logging.INFO):
        error = _send_bytes(channel, b"\xff" * 1000)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "expected a message of Predict, received bytes that cannot be parsed"
    # only of this call: other libraries log too, and so do the servers of other tests
    (record,) = [each for each in caplog.records if isinstance(each.msg, dict) and each.msg.get("path") == "Predict"]
    # gRPC's event loops of one process disturb each other now and then, which asyncio logs
    assert not [each for each in caplog.records if each.exc_info and each.name != "asyncio"]
    assert record.msg["status"] == "INVALID_ARGUMENT" and not record.exc_info
    assert 'serving_requests_total{path="Predict",status="INVALID_ARGUMENT",version=""}' in client.get("/metrics").text


def _missing(channel):
    """Returns the methods that the server lacks, each with a request."""
    predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    return {
        "Regress": (predictions.Regress, regression_pb2.RegressionRequest()),
        "MultiInference": (predictions.MultiInference, inference_pb2.MultiInferenceRequest()),
        "HandleReloadConfigRequest": (models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    }


def test_a_method_that_is_missing_is_unimplemented(channel):
    for name, (call, request) in _missing(channel).items():
        with pytest.raises(grpc.RpcError) as raised:
            call(request, timeout=30)
        assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert raised.value.details().startswith(f"{name} is not implemented; expected Predict")


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
    for index in range(1000):
        listed.examples[0].features.feature[str(index)].int64_list.value.append(index)
    with pytest.raises(grpc.RpcError, match="at most 1,000 features in an example with its context, received 1,001"):
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
        assert _send_bytes(channel, b"\xff" * 1000).code() == grpc.StatusCode.UNAUTHENTICATED
        metadata = [("authorization", f"Bearer {token}")]
        assert stub.Predict(_predict(served.PHOTOS[:1]), timeout=30, metadata=metadata).outputs
