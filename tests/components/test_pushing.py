"""Each push makes a version of its own."""

import json
import time
from pathlib import Path

import pytest
from tfx.types.standard_artifacts import Model, ModelBlessing, PushedModel

from components import pushing

FILES = ("saved_model.pb", "fingerprint.pb", "variables/data", "assets/saved_model.pb.txt")


def _push(folder: Path, name: str, blessed: int = 1) -> PushedModel:
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
    pushing.Executor().Do(inputs, {"pushed_model": [pushed]}, {"push_destination": destination})
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
