"""`promote`, `rollback`, `alias` and `aliases`: what they change, record and refuse."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lineage import gc
from lineage.__main__ import main
from lineage.reading import read_all
from pipeline.config import Config
from pipeline.local import summary
from storage import aliases
from tests.conftest import ROOT
from tests.helpers import databases


@pytest.fixture
def refused(runs, capsys):
    """Runs a command that is refused, and returns its line."""

    def call(*words: object) -> str:
        assert main([*map(str, words), "--store", str(runs.output)]) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1, captured.err
        return captured.err

    return call


def _served(ask) -> dict[int, tuple[bool, list[str]]]:
    rows = ask("models")
    return {int(Path(row["pushed"][0]).name): (row["served"], row["aliases"]) for row in rows if row["pushed"]}


def test_the_champion_is_in_service_or_else_the_newest_version(pushed, ask):
    assert _served(ask) == {1: (False, []), 2: (False, []), 3: (True, [])}
    change = ask("promote", pushed / "2")
    assert (change["alias"], change["before"], change["to"], change["served_before"]) == ("champion", None, 2, 3)
    ask("alias", pushed / "3", "challenger")
    assert _served(ask) == {1: (False, []), 2: (True, ["champion"]), 3: (False, ["challenger"])}
    assert [row["aliases"] for row in ask("models", "--served")] == [["challenger"], ["champion"]]
    ask("alias", pushed, "champion", "--remove")
    assert _served(ask)[3] == (True, ["challenger"])


def test_a_model_is_named_by_its_id_or_its_pushed_folder(pushed, ask):
    row = min(ask("models"), key=lambda each: each["created"])
    assert ask("promote", row["id"])["to"] == 1
    assert aliases.read(str(pushed)) == {"champion": 1}


def test_rollback_goes_back_step_by_step_and_not_to_and_fro(pushed, ask, refused):
    for version in (1, 2, 3):
        ask("promote", pushed / str(version))
    assert ask("rollback", pushed)["to"] == 2
    assert ask("rollback", pushed / "2")["to"] == 1
    assert refused("rollback", pushed) == (
        f"lineage: cannot go back from 1 in {pushed}: each version that was served before (2, 3) was rolled back; "
        "choose one: python -m lineage promote VERSION_FOLDER\n"
    )
    ask("promote", pushed / "3")
    assert ask("rollback", pushed)["to"] == 1


def test_rollback_past_the_first_champion_gives_what_was_served_before_it_and_says_so(pushed, ask, said, refused):
    ask("promote", pushed / "1")
    ask("promote", pushed / "2")
    change = ask("rollback", pushed)
    assert (change["to"], change["note"]) == (1, "")
    assert said("rollback", pushed) == f"champion of {pushed}: 1 → 3 (served before the first promote)\n"
    assert "cannot go back from 3 in " in (line := refused("rollback", pushed)) and "(1, 2) was rolled back" in line


def test_rollback_after_a_removed_champion_gives_what_was_served_without_it(pushed, ask, runs):
    ask("promote", pushed / "2")
    ask("alias", pushed, "champion", "--remove")
    runs.judge(True, served="")
    ask("promote", pushed / "1")
    change = ask("rollback", pushed)
    assert (change["to"], change["note"]) == (4, "served without a champion")


def test_rollback_without_a_champion_gives_the_version_before_the_newest(pushed, ask, refused):
    for version in (2, 1):
        change = ask("rollback", pushed)
        assert (change["to"], change["note"]) == (version, "pushed before")
    assert "cannot go back from 1 in " in (line := refused("rollback", pushed)) and "(2, 3) was rolled back" in line


def test_rollback_of_the_only_version_is_refused(runs, refused):
    runs.judge(True, served="")
    folder = runs.output / "pushed" / "flowers"
    assert f"there is no version before 1 to go back to in {folder}; choose one: " in refused("rollback", folder)


def test_rollback_skips_a_deleted_version(pushed, ask):
    for version in (1, 2, 3):
        ask("promote", pushed / str(version))
    shutil.rmtree(pushed / "2")
    assert ask("rollback", pushed)["to"] == 1


def test_changes_are_listed_with_who_and_when(pushed, ask, capsys, runs):
    ask("promote", pushed / "1")
    ask("alias", pushed / "3", "challenger")
    ask("rollback", pushed)
    ask("alias", pushed, "challenger", "--remove")
    (row,) = ask("aliases")
    assert (row["folder"], row["served"], row["aliases"], row["problem"]) == (str(pushed), 3, {"champion": 3}, "")
    made = [(each["action"], each["alias"], each["before"], each["to"]) for each in row["changes"]]
    assert made == [
        ("promote", "champion", None, 1),
        ("alias", "challenger", None, 3),
        ("rollback", "champion", 1, 3),
        ("remove", "challenger", 3, None),
    ]
    assert all("@" in each["by"] and each["command"] and each["time"] > 1e9 for each in row["changes"])
    assert main(["aliases", "--store", str(runs.output)]) == 0
    said = capsys.readouterr().out
    assert "flowers: serves 3" in said and "rollback" in said


def test_what_may_not_be_served_is_refused_in_one_line(pushed, runs, ask, refused):
    runs.judge(False)
    runs.judge(True, served="too slow")
    evaluation = ask("show")["nodes"][2]["outputs"]
    by_gate, by_check = (
        next(row["id"] for row in ask("models") if row["refused"] == why) for why in ("accuracy", "too slow")
    )
    assert "is not blessed (accuracy)" in refused("promote", by_gate)
    assert "is not blessed (too slow)" in refused("alias", by_check, "challenger")
    assert "expected a model, received ModelEvaluation" in refused("promote", evaluation["evaluation"][0]["id"])
    assert "expected an alias of up to 63 letters" in refused("alias", pushed / "1", "2nd")
    assert "there is no alias 'none'" in refused("alias", pushed, "none", "--remove")
    (pushed / "1" / "saved_model.pb").unlink()
    assert "1 is not complete: saved_model.pb is missing" in refused("promote", pushed / "1")
    (pushed / "2" / "file").write_text("shorter")
    assert "2 is not complete: file is missing or has another size" in refused("promote", pushed / "2")
    shutil.rmtree(pushed / "3")
    assert "3 is not complete" in refused("promote", pushed / "3")
    assert not (pushed / "aliases.json").exists()


def test_a_name_of_no_version_is_answered_with_the_versions_or_where_to_find_them(pushed, refused, monkeypatch):
    shutil.rmtree(pushed / "2")
    listed = f"give the folder of a version: {pushed}/3, {pushed}/1\n"
    for name in (pushed / "99", pushed):
        assert refused("promote", name) == f"lineage: there is no pushed model '{name}' in this store; {listed}"
    assert refused("alias", pushed, "challenger").endswith(listed)
    assert refused("rollback", pushed / "99").endswith(listed)
    assert refused("promote", pushed.parent / "other").endswith("; python -m lineage models lists the models\n")
    assert refused("promote", "9" * 5000).endswith("; python -m lineage models lists the models\n")


def test_the_number_of_a_version_is_answered_with_its_folder(runs, refused):
    folder = runs.output / "pushed" / "flowers"
    version = folder / "1795791718649333"
    runs.store.artifact("PushedModel", folder, pushed=1, pushed_destination=str(version))
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_text("")
    assert refused("promote", version.name) == (
        f"lineage: there is no pushed model '{version.name}' in this store; give the folder of a version: {version}\n"
    )


def test_a_damaged_file_is_named_and_not_overwritten(pushed, ask, refused):
    (pushed / "aliases.json").write_text("{")
    assert "correct the file, or delete it" in refused("promote", pushed / "1")
    assert (pushed / "aliases.json").read_text() == "{"
    assert {served for served, _ in _served(ask).values()} == {None}
    assert "is no JSON" in ask("aliases")[0]["problem"]


def test_a_store_that_cannot_be_written_changes_nothing(pushed, monkeypatch, capsys, runs):
    from lineage import store as stores

    opened = stores.open_store
    monkeypatch.setattr(stores, "open_store", lambda address, password, writable=False: opened(address, password))
    assert main(["promote", str(pushed / "1"), "--store", str(runs.output)]) == 2
    assert "cannot write to the store, so no alias was changed" in capsys.readouterr().err
    assert not (pushed / "aliases.json").exists()


def test_a_push_beside_a_champion_says_what_is_served_and_how_to_change_it(pushed, ask, runs, capsys):
    config = Config(output=runs.output)
    assert summary.still_served(config, str(pushed / "3")) == summary.still_served(config, "") == ""
    ask("promote", pushed / "1")
    assert summary.still_served(config, str(pushed / "1")) == ""
    note = summary.still_served(config, str(pushed / "3"))
    assert note.startswith("Version 1 is still served, because it is the champion. To serve version 3: python -m ")
    assert main(shlex.split(note.partition("python -m lineage ")[2])) == 0  # as pasted
    assert "1 → 3" in capsys.readouterr().out


def test_gc_keeps_what_an_alias_names(pushed, ask, runs):
    ask("alias", pushed / "1", "challenger")
    shutil.rmtree(pushed / "1")
    present, unreachable = gc._pushed(read_all(runs.store.store))
    assert str(pushed / "1") in present.values() and not unreachable


def test_concurrent_promotes_are_all_recorded(pushed, ask, runs):
    command = [sys.executable, "-m", "lineage"]
    words = [("promote", pushed / str(version)) for version in (1, 2, 3)] + [("alias", pushed / "1", "challenger")]
    started = [
        subprocess.Popen([*command, *map(str, each), "--store", str(runs.output)], cwd=ROOT, stderr=subprocess.PIPE)
        for each in words
    ]
    assert [(each.communicate()[1], each.returncode) for each in started] == [(b"", 0)] * 4
    (row,) = ask("aliases")
    champions = [each for each in row["changes"] if each["alias"] == "champion"]
    assert row["aliases"]["challenger"] == 1 and len(champions) == 3
    assert row["aliases"]["champion"] == champions[-1]["to"]
    assert [each["before"] for each in champions] == [None, *(each["to"] for each in champions[:-1])]


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_changes_are_recorded_in_a_database(scheme, tmp_path, capsys):
    from lineage import metadata
    from tests.helpers import judged_runs

    with databases.server(scheme) as server:
        place = ["--store", server.url, "--password-file", str(server.password_file)]
        made = judged_runs.Runs(tmp_path / "out")
        config = metadata.connection_config(server.url, server.password_file)
        made.store.store = metadata.connect(config, "test")
        for _ in range(2):
            made.judge(True, served="")
        folder = tmp_path / "out" / "pushed" / "flowers"
        for words in (["promote", str(folder / "2")], ["rollback", str(folder)]):
            assert main([*words, *place]) == 0, capsys.readouterr().err
        capsys.readouterr()
        assert main(["aliases", "--json", *place]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert [each["to"] for each in row["changes"]] == [2, 1] and row["aliases"] == {"champion": 1}
