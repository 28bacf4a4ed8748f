"""New versions while the server runs: complete, incomplete, damaged and deleted ones."""

import shutil
import threading

import pytest

from serving import versions
from serving.errors import RequestError
from tests.helpers import served
from tests.helpers.served import NAME, PHOTOS


@pytest.fixture
def watched(push):
    """The versions in a folder, without the thread that looks for new ones."""
    return versions.Versions(str(push(1)), NAME, lambda run: run)


def _states(watched):
    return {int(each["version"]): (each["state"], each["status"]["error_message"]) for each in watched.status()}


def test_without_a_loaded_version_requests_are_answered_with_503(watched):
    assert not watched.ready
    with pytest.raises(RequestError, match="no version of pets is loaded yet; send the request again") as error:
        watched.get()
    assert (error.value.status, error.value.retry_after) == (503, 1)


def test_a_damaged_version_is_not_served_and_is_loaded_when_it_is_repaired(watched, push, monkeypatch):
    watched.refresh()
    folder = push(2)
    data = folder / "2" / "variables" / "variables.data-00000-of-00001"
    whole = data.read_bytes()
    data.unlink()
    watched.refresh()
    assert watched.get().number == 1
    state, reason = _states(watched)[2]
    assert state == "END" and "variables" in reason and _states(watched)[1] == ("AVAILABLE", "")
    with pytest.raises(RequestError, match="version 2 of pets is not served; expected one of: 1"):
        watched.get(2)
    data.write_bytes(whole)
    watched.refresh()
    assert watched.get().number == 1  # it is not tried at each look
    monkeypatch.setattr(versions, "_RETRY_S", 0)
    watched._failed = {2: watched._failed[2]._replace(retry_at=0)}
    watched.refresh()
    assert watched.get().number == 2 and _states(watched) == {2: ("AVAILABLE", "")}


def test_an_incomplete_version_and_other_folders_are_ignored(watched, push):
    watched.refresh()
    folder = push(2)
    (folder / "2" / "saved_model.pb").unlink()
    (folder / "new").mkdir()
    (folder / "3").write_text("a file")
    (folder / "\u0664").mkdir()
    watched.refresh()
    assert _states(watched) == {1: ("AVAILABLE", "")}


def test_a_deleted_version_gives_way_to_the_one_before_it(watched, push):
    folder = push(2)
    watched.refresh()
    assert watched.get().number == 2
    shutil.rmtree(folder / "2")
    watched.refresh()
    assert watched.get().number == 1
    shutil.rmtree(folder)  # nothing to serve instead
    watched.refresh()
    assert watched.get().number == 1


def test_the_folder_of_one_version_may_be_served(push):
    folder = push(5)
    one = versions.Versions(str(folder / "5"), NAME, lambda run: run)
    one.refresh()
    assert one.get().number == 5
    renamed = folder.parent / "model"
    (folder / "5").rename(renamed)
    other = versions.Versions(f"{renamed}/", NAME, lambda run: run)
    other.refresh()
    assert other.get().number == 1


def test_a_folder_that_cannot_be_read_is_logged_and_the_version_is_served_on(watched, monkeypatch, caplog):
    watched.refresh()

    def fail(folder):
        raise OSError("the disk is gone")

    monkeypatch.setattr(versions, "find", fail)
    watched.refresh()
    assert watched.get().number == 1 and "cannot look for new versions: the disk is gone" in caplog.text


def test_no_request_fails_while_versions_change(push):
    folder, answers, stop = push(1), [], threading.Event()
    with served.in_thread(served.SMALL._replace(model=str(folder))) as client:
        client.wait_for(1)

        def load():
            photo = {"data": PHOTOS[0], "headers": {"Content-Type": "image/jpeg"}}
            other = served.Client(client.url)
            while not stop.is_set():
                answer = other.post(f"/v1/models/{NAME}:predict", **photo)
                answers.append((answer.status_code, answer.json().get("predictions", [{}])[0].get("label")))

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        for version in (2, 3):
            push(version)
            client.wait_for(version)
            assert client.get(f"/v1/models/{NAME}/versions/{version - 1}").status_code == 404
        stop.set()
        for thread in threads:
            thread.join()
        metrics = client.get("/metrics").text
    assert len(answers) > 3 and {status for status, _ in answers} == {200}
    assert len({label for _, label in answers}) == 1  # the versions are copies
    assert "\nserving_version 3.0\n" in metrics
