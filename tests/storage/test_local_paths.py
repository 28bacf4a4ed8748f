"""The paths are those of LocalPathForURI in Kubeflow's launcher_v2.go."""

import json
from typing import NamedTuple

import pytest

from storage import local_paths
from storage.local_paths import ROOT, to_local, to_uri, with_uris


class Pair(NamedTuple):
    one: str
    other: int


PATHS = [("gs://b/k/l", "gcs/b/k/l"), ("minio://b/k", "minio/b/k"), ("s3://b/k/", "s3/b/k/"), ("s3://b", "s3/b")]


@pytest.mark.parametrize(("uri", "path"), PATHS)
@pytest.mark.parametrize("root", ["/", "/an/attempt", "/an/attempt/"])
def test_paths_and_back(monkeypatch, uri, path, root):
    monkeypatch.setenv(ROOT, root)
    local = f"{root.rstrip('/')}/{path}"
    assert to_local(uri) == local
    assert to_uri(local) == uri
    assert to_local(local) == local
    assert to_uri(uri) == uri


@pytest.mark.parametrize(
    "other", ["/a/folder", "a/gcs/b", "", "oci://image", "hdfs://host/s3/b", "/s3", "/s3/", "C:/s3/b"]
)
def test_other_paths_do_not_change(monkeypatch, other):
    monkeypatch.setenv(ROOT, "/")
    assert (to_local(other), to_uri(other), with_uris(other)) == (other, other, other)


@pytest.mark.parametrize("uri", ["gs://b/../../etc/passwd", "s3://../etc", "minio://b/.."])
def test_no_key_leaves_the_root(monkeypatch, tmp_path, uri):
    monkeypatch.setenv(ROOT, str(tmp_path))
    with pytest.raises(ValueError, match="expected a URI without '..'"):
        to_local(uri)


@pytest.fixture
def attempt(monkeypatch):
    """A task's root, and no paths of other tests."""
    monkeypatch.setattr(local_paths, "_returned", {})
    monkeypatch.setenv(ROOT, "/an/attempt.d")
    return "/an/attempt.d"


def test_a_text_with_paths(attempt):
    for uri in ("gs://b/model", "s3://c", "s3://c/größe"):
        to_local(uri)
    text = '<a href="/an/attempt.d/gcs/b/model/1">x</a> /an/attemptXd/gcs/b/model /other/an/attempt.d/s3/c '
    text += "(/an/attempt.d/s3/c)\n/an/attempt.d/gcs/b/model."
    expected = (
        '<a href="gs://b/model/1">x</a> /an/attemptXd/gcs/b/model /other/an/attempt.d/s3/c (s3://c)\ngs://b/model.'
    )
    assert with_uris(text) == expected
    assert with_uris({"a": [text, 1, None], "b": (True, "/x")}) == {"a": [expected, 1, None], "b": (True, "/x")}
    assert with_uris(Pair("/an/attempt.d/s3/c", 1)) == Pair("s3://c", 1)
    assert with_uris(picture := "data:image/jpeg;base64,A+/an/attempt.d/s3/cA") == picture
    for nested in (json.dumps([text, "/an/attempt.d/s3/c/größe/x"]), json.dumps(json.dumps(["a\n/an/attempt.d/s3/c"]))):
        assert "attempt.d/s3/c/" not in (changed := with_uris(nested)) and "n/an/attempt.d" not in changed
    assert json.loads(with_uris(json.dumps([text, "/an/attempt.d/s3/c/größe/x"]))) == [expected, "s3://c/größe/x"]


NAMES = [
    "/s3/old",
    "~/gcs/b",
    "~/gcs/b/model",
    "/gcs/b",
    "/gcs/b/model-2",
    "/gcs/b/models/x",
    "/gcs/b/model.old",
    "x/gcs/b/model",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_look_like_paths_do_not_change(monkeypatch, attempt, name):
    """For example the name of a class."""
    monkeypatch.setenv(ROOT, "/")
    assert to_local("gs://b/model") == "/gcs/b/model"
    assert with_uris({"class": name, "text": f"in {name}"}) == {"class": name, "text": f"in {name}"}
    assert to_uri(name) == name


def test_outside_a_task_paths_are_paths(monkeypatch):
    """A machine may have a folder /s3 or /gcs."""
    monkeypatch.delenv(ROOT, raising=False)
    assert to_local("s3://b/k") == "/s3/b/k"
    assert to_uri("/s3/b/k") == "/s3/b/k"
    assert with_uris(["from /s3/b/k"]) == ["from /s3/b/k"]
