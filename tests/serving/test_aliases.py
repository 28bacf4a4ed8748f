"""The champion and other aliases: what is served by default, labels, and files that cannot be read."""

import threading

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc as services

from errors import UserError
from lineage import pushed
from serving import client as clients
from serving import folders, versions
from serving.errors import RequestError
from serving.local_model import LocalModel
from storage import aliases
from tests.helpers import served
from tests.helpers.served import NAME, PHOTOS

PHOTO = {"data": PHOTOS[0], "headers": {"Content-Type": "image/jpeg"}}


@pytest.fixture
def folder(push):
    """A folder of the versions 1 and 2."""
    push(1)
    return push(2)


def _name(folder, **names):
    aliases.change(str(folder), lambda present: present | names)


def _watch(folder):
    return versions.Versions(str(folder), NAME, lambda run: run)


@pytest.fixture
def watched(folder):
    """The versions in the folder, of which 1 is the champion."""
    _name(folder, champion=1)
    watched = _watch(folder)
    watched.refresh()
    return watched


def _loaded(watched):
    return {int(each["version"]) for each in watched.status() if each["state"] == "AVAILABLE"}


def test_the_champion_is_served_and_a_new_version_is_not(watched, push, folder):
    push(3)
    watched.refresh()
    assert watched.get().number == 1 and _loaded(watched) == {1}
    _name(folder, champion=3)
    watched.refresh()
    assert watched.get().number == 3 and _loaded(watched) == {3}
    aliases.change(str(folder), lambda present: {})
    push(4)
    watched.refresh()
    assert watched.get().number == 4


def test_all_versions_with_an_alias_are_loaded_and_the_others_are_dropped(watched, folder):
    _name(folder, challenger=2)
    watched.refresh()
    assert _loaded(watched) == {1, 2} and watched.get().number == 1
    assert watched.get(label="challenger").number == 2 and watched.get(2).number == 2
    _name(folder, challenger=1)
    watched.refresh()
    assert _loaded(watched) == {1} and watched.get(label="challenger").number == 1
    with pytest.raises(RequestError, match="unknown label in the request: 'chalenger'; did you mean 'challenger'"):
        watched.get(label="chalenger")


def test_a_damaged_file_changes_nothing_and_is_logged_once(watched, folder, push, caplog):
    _name(folder, challenger=2)
    watched.refresh()
    (folder / "aliases.json").write_text("{")
    push(3)
    for _ in range(3):
        watched.refresh()
    assert watched.get().number == 1 and watched.get(label="challenger").number == 2
    (problem,) = watched.overview()["alias_problems"]
    assert "is no JSON" in problem and caplog.text.count("is no JSON") == 1
    (folder / "aliases.json").write_text('{"champion": 3}')
    watched.refresh()
    assert watched.get().number == 3 and watched.overview()["alias_problems"] == []


def test_an_alias_of_a_missing_or_damaged_version_keeps_the_version_before(watched, folder, push, caplog):
    _name(folder, champion=9)
    watched.refresh()
    assert watched.get().number == watched.get(label="champion").number == 1
    assert watched.overview()["alias_problems"] == ["champion: version 9 is not there"]
    data = push(3) / "3" / "variables" / "variables.data-00000-of-00001"
    data.unlink()
    _name(folder, champion=3)
    watched.refresh()
    assert watched.get().number == 1
    assert watched.overview()["alias_problems"] == ["champion: version 3 is damaged"]
    assert {int(each["version"]): each["state"] for each in watched.status()} == {3: "END", 1: "AVAILABLE"}


def test_a_server_that_starts_with_a_missing_champion_serves_the_newest_version_until_it_is_there(folder, push):
    _name(folder, champion=3)
    watched = _watch(folder)
    watched.refresh()
    assert watched.get().number == 2 and watched.overview()["alias_problems"]
    push(4)
    watched.refresh()
    assert watched.get().number == 2
    push(3)
    watched.refresh()
    assert watched.get().number == 3 and watched.overview()["alias_problems"] == []


def test_a_deleted_champion_is_served_on(watched, folder):
    (folder / "1").rename(folder.parent / "elsewhere")
    watched.refresh()
    assert watched.get().number == 1
    assert watched.overview()["alias_problems"] == ["champion: version 1 is not there"]
    found = pushed.look(str(folder))
    assert (found.served, found.problem) == (None, "the champion, version 1, is not there")


def test_the_folder_of_one_version_ignores_the_aliases(folder):
    _name(folder, champion=1)
    one = _watch(folder / "2")
    one.refresh()
    assert one.get().number == 2
    assert folders.served(str(folder / "2")) == (2, str(folder / "2"))


def test_predict_with_a_folder_uses_the_champion(folder):
    assert folders.served(str(folder)) == (2, f"{folder}/2")
    _name(folder, champion=1)
    assert LocalModel(f"{folder}/", NAME).version == 1
    _name(folder, champion=9)
    with pytest.raises(UserError, match="--model: expected the champion, version 9, in "):
        folders.served(str(folder))
    (folder / "aliases.json").write_text("[]")
    with pytest.raises(UserError, match="--model: unusable aliases: "):
        folders.served(str(folder))


def _wait(client, version):
    for _ in range(600):
        if client.get(f"/v1/models/{NAME}").json()["served_version"] == str(version):
            return
        threading.Event().wait(0.02)
    raise AssertionError(client.get(f"/v1/models/{NAME}").text)


def _status(stub, **choice):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = NAME
    request.model_spec.version_label = choice["label"]
    return [each.version for each in stub.GetModelStatus(request, timeout=30).model_version_status]


def test_labels_over_rest_and_grpc(folder):
    _name(folder, champion=1, challenger=2)
    with served.in_thread(served.SMALL._replace(model=str(folder))) as client:
        _wait(client, 1)
        assert client.get(f"/v1/models/{NAME}").json()["aliases"] == {"champion": "1", "challenger": "2"}
        for label, version in (("champion", "1"), ("challenger", "2")):
            assert client.post(f"/v1/models/{NAME}/labels/{label}:predict", **PHOTO).status_code == 200
            answer = client.get(f"/v1/models/{NAME}/labels/{label}/metadata").json()
            assert answer["model_spec"]["version"] == version
            (state,) = client.get(f"/v1/models/{NAME}/labels/{label}").json()["model_version_status"]
            assert state["version"] == version
        assert client.get(f"/v1/models/{NAME}/labels/none").status_code == 404
        assert clients.Server(client.model).version == 1
        with grpc.insecure_channel(client.grpc) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.version_label = NAME, "challenger"
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(PHOTOS[:1]))
            assert services.PredictionServiceStub(channel).Predict(request).model_spec.version.value == 2
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            assert _status(stub, label="champion") == [1] and _status(stub, label="challenger") == [2]
            request.model_spec.version_label = "none"
            with pytest.raises(grpc.RpcError) as raised:
                services.PredictionServiceStub(channel).Predict(request)
            assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_no_request_fails_while_the_champion_changes(folder):
    _name(folder, champion=1, challenger=2)
    answers, stop = [], threading.Event()
    with served.process(folder, "--poll-s", 0.05) as server:
        _wait(server, 1)

        def load(end):
            other = served.Client(server.url)
            while not stop.is_set():
                answers.append(other.post(f"/v1/models/{NAME}{end}:predict", **PHOTO).status_code)

        threads = [threading.Thread(target=load, args=(end,)) for end in ("", "", "/labels/challenger")]
        for thread in threads:
            thread.start()
        for champion in (2, 1, 2, 1, 2):
            _name(folder, champion=champion)
            _wait(server, champion)
        (folder / "aliases.json").write_text("damaged")
        threading.Event().wait(0.3)
        assert server.get(f"/v1/models/{NAME}").json()["alias_problems"]
        stop.set()
        for thread in threads:
            thread.join()
        server.process.terminate()
        code, lines = server.stopped()
    assert code == 0 and len(answers) > 10 and set(answers) == {200}
    assert {each["version"] for each in lines if each.get("path", "").endswith(f"{NAME}:predict")} == {1, 2}
