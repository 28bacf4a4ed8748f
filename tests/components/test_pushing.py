"""Each push makes a version of its own."""

import json
import time
from pathlib import Path

import pytest
from tfx.types.standard_artifacts import Model, ModelBlessing, PushedModel

from components import pushing
from errors import UserError

FILES = ("saved_model.pb", "fingerprint.pb", "variables/data", "assets/saved_model.pb.txt")


def _push(folder: Path, name: str, blessed: int = 1, deployment: dict[str, str] | None = None) -> PushedModel:
    model, blessing, pushed = Model(), ModelBlessing(), PushedModel()
    for artifact, part in ((model, "model"), (blessing, "blessing"), (pushed, "pushed_model")):
        artifact.uri = str(folder / name / part)
    for file in FILES:
        path = Path(model.uri, "Format-Serving", file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} {file}")
    blessing.set_int_custom_property("blessed", blessed)
    destination = json.dumps({"filesystem": {"base_directory": str(folder / "pushed")}})
    inputs = {"model": [model], "model_blessing": [blessing]}
    config = {"custom_config": json.dumps({"deployment": deployment})} if deployment else {}
    pushing.Executor().Do(inputs, {"pushed_model": [pushed]}, {"push_destination": destination, **config})
    return pushed


def _content(folder: str | Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in Path(folder).rglob("*") if path.is_file()}


def test_pushes_at_the_same_time_get_versions_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(pushing.time, "time_ns", lambda: 1_700_000_000_123_456_789)
    pushed = [_push(tmp_path, name) for name in ("a", "b", "c")]
    versions = ["1700000000123456", "1700000000123457", "1700000000123458"]
    assert [each.get_string_custom_property("pushed_version") for each in pushed] == versions
    for each, name, version in zip(pushed, "abc", versions, strict=True):
        folder = each.get_string_custom_property("pushed_destination")
        assert folder == str(tmp_path / "pushed" / version)
        assert _content(folder) == _content(each.uri) == {file: f"{name} {file}" for file in FILES}
        assert each.get_int_custom_property("pushed") == 1


def test_the_version_is_a_number_that_tensorflow_serving_orders_by_time(tmp_path):
    before = time.time()
    version = int(_push(tmp_path, "a").get_string_custom_property("pushed_version"))
    assert before <= version / 1e6 <= time.time()
    assert before * 1e3 < version < 2**63  # larger than the seconds by which TFX names versions


@pytest.mark.parametrize("blessed", [0, 1])
def test_only_a_blessed_model_is_pushed(tmp_path, blessed):
    pushed = _push(tmp_path, "a", blessed)
    assert pushed.get_int_custom_property("pushed") == blessed
    assert (tmp_path / "pushed").exists() == bool(blessed)


def test_after_a_failed_deployment_the_same_model_is_only_deployed(tmp_path, monkeypatch):
    deployed = []

    def deploy(folder, settings):
        deployed.append(folder)
        if len(deployed) == 1:
            raise UserError("not deployed")
        return {"deployed_model": "7"}

    monkeypatch.setattr(pushing, "_deploy", deploy)
    photos = {"endpoint": "photos"}
    with pytest.raises(UserError, match="not deployed"):
        _push(tmp_path, "a", deployment=photos)
    again = _push(tmp_path, "a", deployment=photos)
    other = _push(tmp_path, "b", deployment=photos)
    versions = sorted(str(path) for path in (tmp_path / "pushed").iterdir())
    assert deployed == [versions[0], versions[0], versions[1]] and len(versions) == 2
    assert again.get_string_custom_property("pushed_destination") == versions[0]
    assert again.get_string_custom_property("pushed_version") == Path(versions[0]).name
    assert again.get_string_custom_property("deployed_model") == "7"
    assert _content(again.uri) == _content(versions[0]) and _content(other.uri) == _content(versions[1])


@pytest.mark.parametrize("missing", ["saved_model.pb", "fingerprint.pb"])
def test_a_version_that_may_be_another_model_is_not_deployed_again(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(pushing, "_deploy", lambda folder, settings: {})
    first = _push(tmp_path, "a", deployment={"endpoint": "photos"})
    Path(first.get_string_custom_property("pushed_destination"), missing).unlink()
    second = _push(tmp_path, "a", deployment={"endpoint": "photos"})
    folders = [each.get_string_custom_property("pushed_destination") for each in (first, second)]
    assert folders[0] != folders[1] and _content(folders[1]) == _content(second.uri)


def test_a_model_without_a_fingerprint_is_pushed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(pushing, "_deploy", lambda folder, settings: {})
    monkeypatch.setitem(globals(), "FILES", ("saved_model.pb",))
    folders = [
        _push(tmp_path, name, deployment={"endpoint": "photos"}).get_string_custom_property("pushed_destination")
        for name in "ab"
    ]
    assert [Path(each, "saved_model.pb").read_text() for each in folders] == ["a saved_model.pb", "b saved_model.pb"]


def test_without_a_deployment_each_push_is_a_new_version(tmp_path):
    folders = {_push(tmp_path, "a").get_string_custom_property("pushed_destination") for _ in range(2)}
    assert len(folders) == 2
