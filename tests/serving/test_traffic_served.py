"""`--canary` and `--shadow` as clients see them, by REST and gRPC, with one worker and several."""

import base64
import logging
import time
from collections import Counter

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from ingest import kept
from serving import metrics
from tests.helpers import served
from tests.helpers.rivals import ALL, FAILING, OTHER, SAME, count, set_aliases
from tests.helpers.served import NAME, SMALL


def _json(*photos):
    return {"instances": [{"b64": base64.b64encode(photo).decode()} for photo in photos]}


def _grpc(client, *photos, **spec):
    """Sends photos over gRPC; returns the version that answered, and the labels."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(list(photos)))
    with grpc.insecure_channel(client.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    return response.model_spec.version.value, list(response.outputs["label"].string_val)


def _version(response):
    return response.status_code, response.headers.get("X-Model-Version")


def test_a_canary_over_rest_and_grpc(folder, caplog):
    settings = SMALL._replace(model=str(folder), canary=ALL)
    with caplog.at_level(logging.INFO, "serving"), served.in_thread(settings) as client:
        client.wait_for(2)
        answer = client.predict(_json(OTHER, OTHER))
        assert _version(answer) == (200, "2")
        assert [each["label"] for each in answer.json()["predictions"]] == ["odd", "odd"]
        assert _version(client.predict(_json(FAILING))) == (400, "2")  # an error is the canary's, too
        assert _version(client.predict(_json(OTHER), "/labels/champion:predict")) == (200, "1")
        assert _version(client.predict(_json(OTHER), "/versions/1:predict")) == (200, "1")
        assert _version(client.get(f"/v1/models/{NAME}/metadata")) == (200, "1")
        assert _version(client.get(f"/v1/models/{NAME}")) == (200, None)
        assert _version(client.predict(_json(OTHER), "/versions/9:predict")) == (404, None)
        assert _grpc(client, OTHER, SAME) == (2, [b"odd", b"4"])
        assert _grpc(client, OTHER, label="champion") == (1, [b"5"])
        text = client.get("/metrics").text
        set_aliases(folder, champion=1)
        _wait(lambda: _version(client.predict(_json(OTHER))) == (200, "1"))
    for of_request in ('path=":predict",status="400"', 'path="Predict",status="OK"'):
        assert f'serving_requests_total{{{of_request},version="2"}}' in text
    assert 'serving_classes_total{label="odd",version="2"}' in text
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict) and record.msg["method"] == "gRPC"]
    assert [(line["version"], line["photos"]) for line in lines] == [(2, 2), (1, 1)]


def _wait(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("timeout")


def test_a_shadow_over_rest_and_grpc_changes_no_answer_and_is_not_kept(folder, tmp_path):
    (tmp_path / "kept").mkdir()
    even = served.PHOTOS[0] + bytes(len(served.PHOTOS[0]) % 2)
    settings = SMALL._replace(model=str(folder), shadow=ALL, keep=tmp_path / "kept", keep_share=1.0)
    names = ("same", "other", "failed")
    before = [count(name) for name in names]
    with served.in_thread(settings) as client:
        client.wait_for(2)
        for photo, label in ((SAME, "4"), (OTHER, "5"), (FAILING, "4")):
            answer = client.predict(_json(photo))
            assert _version(answer) == (200, "1") and answer.json()["predictions"][0]["label"] == label
        assert _grpc(client, OTHER, SAME, even) == (1, [b"5", b"4", str(len(even)).encode()])
        assert _version(client.predict(_json(SAME), "/labels/champion:predict")) == (200, "1")  # has no shadow
        assert _version(client.predict({"signature_name": "pixels", **_json(SAME)})) == (200, "1")  # is not compared
        _wait(lambda: [count(name) - value for name, value in zip(names, before, strict=True)] == [3, 2, 1])
    assert [each.version for _, each in kept.read(tmp_path / "kept")] == [1]  # the other photos cannot be measured


def test_classify_has_a_shadow_and_is_counted(exported, push):
    push(1, exported), push(2, exported)
    folder = push(3, exported)
    set_aliases(folder, champion=1, challenger=2)
    before, unused = count("same"), metrics.UNUSED.labels(1)._value.get()
    with served.in_thread(SMALL._replace(model=str(folder), shadow=ALL)) as client:
        client.wait_for(2)
        examples = [{"image": _json(photo)["instances"][0]} for photo in (served.PHOTOS[0], b"no photo")]
        answer = client.predict({"examples": examples}, ":classify")
        assert _version(answer) == (200, "1")
        _wait(lambda: count("same") - before == 2)
        text = client.get("/metrics").text
    label = max(answer.json()["result"][0], key=lambda pair: pair[1])[0]
    assert f'serving_classes_total{{label="{label}",version="1"}}' in text
    assert metrics.UNUSED.labels(1)._value.get() - unused == 1


def test_each_worker_draws_and_the_metrics_are_those_of_all(folder):
    flags = ("--workers", 2, "--canary", "challenger=0.5", "--shadow", "challenger=1")
    with served.process(folder, *flags) as server:
        _wait(lambda: server.get(f"/v1/models/{NAME}/versions/2").status_code == 200)
        counted = Counter()
        for _ in range(300):
            with served.Client(server.url) as fresh:  # a new connection, which any worker may accept
                counted[_version(fresh.predict(_json(SAME)))] += 1
        (first, second) = counted[200, "1"], counted[200, "2"]
        assert first + second == 300 and 75 < second < 225  # 8 standard deviations
        metric = 'serving_shadow_photos_total{result="same",version="2"}'
        _wait(lambda: f"{metric} {first:.1f}" in server.get("/metrics").text)
        text = server.get("/metrics").text
        for version, count in ((1, first), (2, second)):
            assert f'{{path=":predict",status="200",version="{version}"}} {count:.1f}' in text
