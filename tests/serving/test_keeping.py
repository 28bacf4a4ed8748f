"""`--keep`: which answers are kept, through each interface, and what never is."""

import base64
import random
import re
import stat
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from ingest import kept
from ingest.example_proto import Example
from serving import keeping
from serving.__main__ import main
from serving.kept_files import KeptFiles
from tests.helpers import records, served
from tests.helpers.served import PHOTOS, SMALL

MARK = "mark-of-a-client"


def _server(pushed, folder, **changes):
    kept_files = {"keep": folder, "keep_share": 1.0}
    return served.in_thread(SMALL._replace(model=str(pushed), **kept_files | changes))


def _ask(client):
    """Sends a photo in each way; returns the labels of the answers."""
    client.wait_for(7)
    path = f"/v1/models/{served.NAME}:predict"
    row = {"instances": [{"b64": base64.b64encode(PHOTOS[0]).decode()}, {"b64": "aaaa"}]}
    answers = [
        client.post(path, data=PHOTOS[1], headers={"Content-Type": "image/jpeg", "X-Mark": MARK}),
        client.post(path, files=[("photo", (MARK, PHOTOS[2])), ("photo", (MARK, PHOTOS[3]))]),
        client.predict(row),
    ]
    labels = [each["label"] for answer in answers for each in answer.json()["predictions"] if not each["status"]]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = served.NAME
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(PHOTOS[4:6]))
    with grpc.insecure_channel(client.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(request, timeout=30, metadata=[("x-mark", MARK)])
    return labels + [each.decode() for each in response.outputs["label"].string_val]


def test_the_photos_of_rest_forms_bodies_and_grpc_are_kept(pushed, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    before = int(time.time())
    with _server(pushed, folder, keep_photos=True) as client:
        labels = _ask(client)
        assert "may keep your photos" in client.get("/").text
    found = [each for _, each in kept.read(folder)]
    assert [each.image for each in found] == [*PHOTOS[1:4], PHOTOS[0], *PHOTOS[4:6]]
    assert [each.label.decode() for each in found] == labels
    for each in found:
        assert each.version == 7 and before <= each.time <= time.time()
        assert list(each.size) == [40, 40] and 0 < each.probability <= 1
    red, green, blue = found[0].colours
    assert np.allclose((red, green, blue), np.array([40, 210, 30]) / 255, atol=0.03)
    assert 0.4 < found[0].brightness < 0.7 and found[0].contrast < 0.02


def test_without_keep_photos_there_is_no_photo_and_nothing_of_the_client(pushed, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    with _server(pushed, folder) as client:
        assert len(_ask(client)) == 6
        assert "keep" not in client.get("/").text
    assert len(list(kept.read(folder))) == 6
    for path in kept.files(folder):
        content = path.read_bytes()
        assert MARK.encode() not in content and b"127.0.0.1" not in content
        assert not any(photo[:20] in content or photo[-20:] in content for photo in PHOTOS)
    features = {name for place, _ in kept.read(folder) for name in _features(place)}
    measured = {"brightness", "contrast", "colours", "label", "probability", "time", "version"}
    assert features == {"size", *(f"served/{name}" for name in measured)}


def test_a_request_that_does_not_want_it_is_not_kept(pushed, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    with _server(pushed, folder, keep_photos=True) as client:
        client.wait_for(7)
        for photo, wish in ((PHOTOS[0], {"X-Keep": "no"}), (PHOTOS[1], {})):
            headers = {"Content-Type": "image/jpeg", **wish}
            assert client.post(f"/v1/models/{served.NAME}:predict", data=photo, headers=headers).status_code == 200
    assert [each.image for _, each in kept.read(folder)] == [PHOTOS[1]]


def _features(place):
    (record,) = [each for number, each in enumerate(_raw(place.file)) if number == place.number]
    return Example.FromString(record).features.feature


def _raw(path):
    return [each.numpy() for each in tf.data.TFRecordDataset(str(path))]  # TensorFlow reads the files, too


def test_without_keep_nothing_is_written(pushed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with served.in_thread(SMALL._replace(model=str(pushed))) as client:
        _ask(client)
    assert list(tmp_path.iterdir()) == []


def _answers(count):
    labels, probabilities = np.array([b"a", None], object)[:1], np.array([[0.7, 0.3]], np.float32)
    outputs = {"label": labels, "probabilities": probabilities, "status": np.array([b""], object)}
    return [({"image_bytes": np.array([PHOTOS[0], None], object)[:1]}, outputs) for _ in range(count)]


def test_the_share_is_that_of_the_photos(tmp_path):
    files = KeptFiles(tmp_path, 2**24, 1)
    draw = random.Random(4).random
    with keeping.Keeper(files, 0.1, False, draw) as keeper:
        for inputs, outputs in _answers(2000):
            keeper.keep(1, inputs, outputs)
            while keeper._waiting.qsize() > 100:  # so that none is dropped
                time.sleep(0.001)
    expected = _below(4, 2000, 0.1)
    assert len(list(kept.read(tmp_path))) == expected
    assert 160 < expected < 240


def _below(seed, count, share):
    draw = random.Random(seed).random
    return sum(draw() < share for _ in range(count))


def test_answers_of_other_signatures_and_unused_photos_are_not_kept(tmp_path):
    inputs, outputs = _answers(1)[0]
    with keeping.Keeper(KeptFiles(tmp_path, 2**24, 1), 1.0, True) as keeper:
        keeper.keep(1, inputs, {"pixels": np.zeros([1, 2])})
        keeper.keep(1, {"examples": inputs["image_bytes"]}, outputs)
        keeper.keep(1, inputs, outputs | {"status": np.array([b"damaged"], object)})
    assert list(tmp_path.iterdir()) == []


def _not_kept(reason):
    from serving import metrics

    return metrics.NOT_KEPT.labels(reason)._value.get()


def test_a_full_queue_drops_and_counts_and_never_waits(tmp_path):
    before = _not_kept("busy")
    keeper = keeping.Keeper(KeptFiles(tmp_path, 2**24, 1), 1.0, True)  # its thread has not started
    started = time.perf_counter()
    for inputs, outputs in _answers(1000):
        keeper.keep(1, inputs, outputs)
    assert time.perf_counter() - started < 1
    assert _not_kept("busy") - before == 1000 - keeping._MOST_WAITING
    large, outputs = _answers(1)[0]
    large["image_bytes"][0] = b"x" * keeping._MOST_BYTES
    empty = keeping.Keeper(KeptFiles(tmp_path, 2**24, 1), 1.0, True)
    empty.keep(1, large, outputs)
    empty.keep(1, *_answers(1)[0])
    assert _not_kept("busy") - before == 1001 - keeping._MOST_WAITING


def test_a_photo_of_many_pixels_is_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "_MOST_PIXELS", 40 * 40 - 1)
    before = _not_kept("large")
    with keeping.Keeper(KeptFiles(tmp_path, 2**24, 1), 1.0, True) as keeper:
        keeper.keep(1, *_answers(1)[0])
    assert _not_kept("large") - before == 1 and list(tmp_path.iterdir()) == []


def test_a_full_disk_is_logged_once_and_no_answer_fails(pushed, tmp_path, monkeypatch, caplog):
    from serving import kept_files

    folder = tmp_path / "kept"
    folder.mkdir()
    full, write = [True], kept_files._write_all

    def write_all(file, content):
        if full[0]:
            file.write(content[:10])
            raise OSError(28, "No space left on device")
        write(file, content)

    monkeypatch.setattr(kept_files, "_write_all", write_all)
    with _server(pushed, folder) as client:
        assert len(_ask(client)) == 6
        _wait(lambda: _not_kept("disk") >= 6)
        full[0] = False
        assert len(_ask(client)) == 6
    errors = [each for each in caplog.records if each.levelname == "ERROR" and each.name == "serving"]
    assert [each.getMessage() for each in errors] == ["answers are not kept: No space left on device"]
    assert len(list(kept.read(folder))) == 6 and len(kept.files(folder)) == 1


def _wait(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("timeout")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--keep-photos"], "--keep-photos: expected with --keep DIR"),
        (["--keep", "new", "--keep-share", "0"], "--keep-share: expected a number above 0 and at most 1, received 0"),
        (["--keep", "new", "--keep-share", "nan"], "--keep-share: expected a number above 0"),
        (["--keep", "new", "--keep-mb", "0"], "--keep-mb: expected a number above 0, received 0"),
        (["--keep", "file"], "--keep: cannot write to file: File exists; give another folder"),
        (["--keep", "/proc/new"], "--keep: cannot write to /proc/new: "),
    ],
)
def test_wrong_flags_are_one_line(push, tmp_path, monkeypatch, capsys, flags, text):
    push(), (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    assert main(["--model", served.NAME, *flags]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"serving: {text}") and printed.err.count("\n") == 1
    assert not Path("new").exists()


def test_the_server_says_what_it_keeps_and_files_are_private(push, tmp_path):
    folder = tmp_path / "a" / "kept"
    with served.process(push(), "--keep", folder, "--keep-share", 1, "--keep-photos", "--keep-mb", 2) as server:
        line = server.process.stdout.readline()
        server.wait_for(1)
        photo = records.jpeg((10, 20, 30))
        assert server.post(f"/v1/models/{served.NAME}:predict", data=photo, headers={"Content-Type": "image/png"}).ok
        _wait(lambda: "serving_kept_photos_total 1.0" in server.get("/metrics").text)
        (path,) = kept.files(folder)
        assert path.name.endswith(kept.OPEN) and [each.image for _, each in kept.read(folder)] == [photo]
        server.process.terminate()
        assert server.stopped()[0] == 0
    assert line == f"keeps 100 % of the answers with their photos in {folder}, at most 2 MiB\n"
    (path,) = folder.iterdir()
    assert re.fullmatch(r"kept-\d{8}T\d{6}Z-\d{9}[0-9a-f]{4}\.tfrec", path.name)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700
