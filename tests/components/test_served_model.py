"""The model of `--bulk` is the one that the server serves by default: the champion, or else the latest."""

import shutil

import pytest
from tfx.types.standard_artifacts import PushedModel

from components.bulk.served_model import ServedModelStrategy
from errors import UserError
from serving import folders
from storage import aliases


@pytest.fixture
def pushed(tmp_path):
    """The folder of three versions, and their artifacts."""
    models = []
    for number in (1, 2, 3):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_bytes(b"")
        models.append(PushedModel())
        models[-1].id = number
        models[-1].set_string_custom_property("pushed_destination", str(tmp_path / str(number)))
    return tmp_path, models


def _found(models) -> int | None:
    resolved = ServedModelStrategy().resolve_artifacts(None, {"pushed_model": models})
    return resolved and resolved["pushed_model"][0].id


def test_it_is_the_version_that_the_server_serves(pushed):
    folder, models = pushed
    assert _found(models) == folders.served(str(folder))[0] == 3
    aliases.change(str(folder), lambda present: {"champion": 2, "other": 1})
    assert _found(models) == folders.served(str(folder))[0] == 2
    shutil.rmtree(folder / "3")
    assert _found(models) == 2
    aliases.change(str(folder), lambda present: {})
    assert _found(models) == folders.served(str(folder))[0] == 2
    for number in (1, 2):
        shutil.rmtree(folder / str(number))
    assert _found(models) is None


def test_a_champion_that_cannot_be_used_is_refused(pushed):
    folder, models = pushed
    aliases.change(str(folder), lambda present: {"champion": 7})
    with pytest.raises(UserError, match=r"expected the champion, version 7, among .*, received none in .*; promote"):
        _found(models)
    (folder / "aliases.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read the champion: .*aliases\.json is no JSON: .*; correct the file"):
        _found(models)
