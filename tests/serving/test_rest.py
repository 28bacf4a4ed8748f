"""TensorFlow Serving's REST API, case by case as https://www.tensorflow.org/tfx/serving/api_rest describes it.

The client is `requests`, with the bodies of that page.
"""

import base64

import numpy as np
import pytest
import tensorflow as tf

from ingest.sample import CLASSES
from tests.helpers import records
from tests.helpers.served import NAME, PHOTOS

B64 = [{"b64": base64.b64encode(photo).decode()} for photo in PHOTOS]
EXAMPLES = [records.example(0, photo).SerializeToString() for photo in PHOTOS]


@pytest.fixture(scope="module")
def direct(loaded):
    """The answers of the SavedModel for PHOTOS."""
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant(PHOTOS))
    return {name: value.numpy() for name, value in answer.items()}


def _matches(rows, direct, count):
    assert [row["label"] for row in rows] == [label.decode() for label in direct["label"][:count]]
    assert [row["class_index"] for row in rows] == direct["class_index"][:count].tolist()
    assert [row["sure"] for row in rows] == direct["sure"][:count].tolist()
    assert np.allclose([row["probabilities"] for row in rows], direct["probabilities"][:count], atol=1e-5)
    assert {row["status"] for row in rows} == {""}


@pytest.mark.parametrize("end", [":predict", "/versions/7:predict"])
@pytest.mark.parametrize("instance", [lambda value: value, lambda value: {"image_bytes": value}])
def test_rows_with_and_without_the_name_of_the_input(client, direct, instance, end):
    answer = client.predict({"instances": [instance(value) for value in B64[:3]]}, end)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["predictions"]
    _matches(answer.json()["predictions"], direct, 3)


@pytest.mark.parametrize("inputs", [B64[:2], {"image_bytes": B64[:2]}])
def test_columns_with_and_without_the_name_of_the_input(client, direct, inputs):
    answer = client.predict({"signature_name": "serving_default", "inputs": inputs}).json()
    assert list(answer) == ["outputs"]
    columns = answer["outputs"]
    assert set(columns) == set(direct)
    _matches([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], direct, 2)


def test_a_column_may_be_a_single_value(client, direct):
    outputs = client.predict({"inputs": B64[0]}).json()["outputs"]
    assert outputs["label"] == [direct["label"][0].decode()]


def test_base64_may_have_line_breaks_and_no_padding(client):
    text = base64.encodebytes(PHOTOS[1]).decode().rstrip("=\n")
    assert "\n" in text
    rows = [client.predict({"instances": [each]}).json()["predictions"] for each in ({"b64": text}, B64[1])]
    assert rows[0] == rows[1]


def test_other_signatures(client, loaded):
    rows = client.predict({"signature_name": "prediction_set", "instances": B64[:2]}).json()["predictions"]
    assert [set(row) for row in rows] == [{"labels", "size", "status"}] * 2
    body = {"signature_name": "transform_features", "instances": [{"b64": base64.b64encode(EXAMPLES[0]).decode()}]}
    (row,) = client.predict(body).json()["predictions"]
    pixels = loaded.signatures["transform_features"](examples=tf.constant(EXAMPLES[:1]))["pixels"][0]
    assert np.allclose(row["pixels"], pixels, atol=1e-5)


def test_many_photos_are_answered_in_order(client, loaded):
    sent = [PHOTOS[index % 6] for index in range(11)]  # above max_batch
    body = {"instances": [{"b64": base64.b64encode(photo).decode()} for photo in sent]}
    rows = client.predict(body).json()["predictions"]
    direct = loaded.signatures["serving_default"](image_bytes=tf.constant(sent))
    assert np.allclose([row["probabilities"] for row in rows], direct["probabilities"], atol=1e-5)


def test_an_empty_batch_has_an_empty_answer(client, direct):
    assert client.predict({"instances": []}).json() == {"predictions": []}
    assert client.predict({"inputs": []}).json() == {"outputs": dict.fromkeys(direct, [])}
    assert client.predict({"examples": []}, ":classify").json() == {"result": []}


def test_a_damaged_photo_fails_alone(client, direct):
    rows = client.predict({"instances": [B64[0], {"b64": ""}, "no photo", B64[1]]}).json()["predictions"]
    assert [bool(row["status"]) for row in rows] == [False, True, True, False]
    assert [row["label"] for row in rows[1:3]] == ["", ""]
    _matches([rows[0], rows[3]], direct, 2)


def test_classify_with_a_context(client, loaded):
    context = {"label": "rose", "class": 1, "size": [1, 1], "one_hot_class": [1.0, 0, 0, 0, 0]}
    body = {"signature_name": "classify", "context": context, "examples": [{"image": each} for each in B64[:2]]}
    answer = client.predict(body, ":classify").json()
    assert list(answer) == ["result"]
    direct = loaded.signatures["classify"](inputs=tf.constant(EXAMPLES[:2]))
    assert [[pair[0] for pair in row] for row in answer["result"]] == [list(CLASSES)] * 2
    assert np.allclose([[pair[1] for pair in row] for row in answer["result"]], direct["scores"], atol=1e-5)
    del body["signature_name"]
    assert client.predict(body, "/versions/7:classify").json() == answer


def test_status(client):
    state = {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert client.get(f"/v1/models/{NAME}/versions/7").json() == {"model_version_status": [state]}
    answer = client.get(f"/v1/models/{NAME}").json()
    served = {"served_version": "7", "aliases": {}, "alias_problems": []}
    assert answer == {"model_version_status": [state]} | served


def test_metadata(client):
    answer = client.get(f"/v1/models/{NAME}/metadata").json()
    assert answer["model_spec"] == {"name": NAME, "signature_name": "", "version": "7"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {
        "serving_default",
        "prediction_set",
        "serve_examples",
        "classify",
        "transform_features",
    }
    (name, tensor), *others = signatures["serving_default"]["inputs"].items()
    assert (name, others, tensor["dtype"]) == ("image_bytes", [], "DT_STRING")
    assert tensor["tensor_shape"]["dim"] == [{"size": "-1"}]
    assert signatures["classify"]["method_name"] == "tensorflow/serving/classify"
    assert client.get(f"/v1/models/{NAME}/versions/7/metadata").json() == answer


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("POST", "/v1/models/pet:predict", 404, "unknown model in the request: 'pet'; did you mean 'pets'?"),
        ("POST", "/v1/models/pets:regress", 404, "unknown method in the request: ':regress'; "),
        ("POST", "/v1/models/pets/versions/8:predict", 404, "version 8 of pets is not served; expected one of: 7"),
        ("GET", "/v1/models/pets/versions/8", 404, "version 8 of pets is not served"),
        ("GET", "/v1/models/pets/versions/8/metadata", 404, "version 8 of pets is not served"),
        ("POST", "/v1/models/pets/versions/new:predict", 404, "unknown path 'pets/versions/new:predict'"),
        ("POST", "/v1/models/pets/labels/champion:predict", 404, "unknown label 'champion'; the model has no labels"),
        ("GET", "/v1/models/pets/labels/champion", 404, "unknown label 'champion'"),
        ("GET", "/v1/models/pets:predict", 405, "expected the method POST, received GET"),
        ("PUT", "/v1/models/pets", 405, "expected the method GET, HEAD, received PUT"),
        ("DELETE", "/healthz", 405, "Method Not Allowed"),
        ("GET", "/v2/models/pets", 404, "Not Found"),
        ("GET", "/healthz/", 404, "Not Found"),
        ("GET", "/v1/models/%2e%2e/%2e%2e/etc/passwd", 404, "unknown path '../../etc/passwd'"),
        ("GET", "/v1/models/pets/versions/7%00", 404, "unknown path"),
        ("GET", "/v1/models/pets/versions/%D9%A7", 404, "unknown path"),  # a digit, but not of ASCII
        ("GET", "/v1/models/" + "x" * 5000, 404, "unknown model in the request: 'xxx"),
    ],
)
def test_errors_of_paths(client, method, path, status, text):
    # without a client, which would resolve the dots
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    received = client.exchange(head.encode())
    assert received.startswith(f"HTTP/1.1 {status} ")
    assert '{"error":"' in received and text in received.replace('\\"', '"')
    assert len(received) < 1000
    if status == 405:
        assert "\r\nallow: " in received.lower()


def test_there_is_no_cors(client):
    answer = client.options(f"/v1/models/{NAME}:predict", headers={"Origin": "https://example.org"})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
