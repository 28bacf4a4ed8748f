"""Unreadable stores, unknown names and hostile text: each is reported in one line."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2

from lineage import metadata
from lineage.__main__ import main
from pipeline import settings
from tests.helpers.stores import Store


@pytest.fixture
def folder(tmp_path) -> Path:
    """An output folder with a store of two runs, which did not reach a node."""
    store = mlmd.MetadataStore(metadata.connection_config(str(tmp_path / metadata.SQLITE)))
    for number in (1, 2):
        metadata.record_start(store, f"2026-11-0{number}T10:00:00", {"pipeline": "flowers", "settings": "{}"})
        metadata.record_end(store, f"2026-11-0{number}T10:00:00")
    return tmp_path


def _fails(capsys, *words: object) -> str:
    assert main([*map(str, words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def test_a_missing_store(tmp_path, capsys):
    said = _fails(capsys, "runs", "--store", tmp_path / "nowhere")
    assert "cannot read ML Metadata from" in said
    assert "No such file or directory; give the output folder of a run (--store)" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is not an ML Metadata store"), (b"no database", "not a database"), (bytes(100), "not a database")],
)
def test_a_file_that_is_not_a_store(tmp_path, content, reason, capsys):
    (tmp_path / metadata.SQLITE).write_bytes(content)
    assert reason in _fails(capsys, "runs", "--store", tmp_path)
    assert (tmp_path / metadata.SQLITE).read_bytes() == content


def test_a_database_that_is_not_ml_metadata(tmp_path, capsys):
    with sqlite3.connect(tmp_path / metadata.SQLITE) as other:
        other.execute("CREATE TABLE flowers (name)")
    assert "is not an ML Metadata store" in _fails(capsys, "runs", "--store", tmp_path)


def test_a_store_of_another_version(folder, capsys):
    with sqlite3.connect(folder / metadata.SQLITE) as store:
        store.execute("UPDATE MLMDEnv SET schema_version = 99")
    said = _fails(capsys, "runs", "--store", folder)
    assert "99" in said
    assert "version" in said


def test_a_locked_store(folder, capsys):
    code = f"""
import sqlite3
store = sqlite3.connect({str(folder / metadata.SQLITE)!r}, isolation_level=None)
store.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
input()
"""  # SQLite's locks do not apply within one process
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        assert "locked" in _fails(capsys, "runs", "--store", folder)
        holder.stdin.write(b"\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "9999"], "there is no run '9999'"),
        (["show", "2026"], "2 runs begin with '2026'; give an id or the start of a name: 2 (2026-11-02T10:00:00), 1 ("),
        (["lineage", "77"], "there is no artifact '77' in this store"),
        (["lineage", "pushed/nothing"], "there is no artifact 'pushed/nothing' in this store"),
        (["lineage", "gs://bucket/it's"], 'there is no artifact "gs://bucket/it\'s" in this store'),
        (["show", "2026-11-03 10:00"], "there is no run '2026-11-03T10:00'"),
        (["why", "Trainer"], "did not reach a node 'Trainer'"),
        (["gc"], "expected an output folder with artifacts, but"),
        (
            ["runs", "--store", "mysql://root:secret@localhost/db"],
            "without a password, received localhost/db; give a password file",
        ),
        (["runs", "--store", "mysql://root@localhost"], "expected mysql://USER@HOST:PORT/DATABASE or postgresql://"),
        (["runs", "--store", "mysql://u@127.0.0.1/d", "--password-file", "nofile"], "cannot read the password file"),
    ],
)
def test_unknown_names(folder, words, expected, capsys):
    place = [] if "--store" in words else ["--store", folder]
    said = _fails(capsys, *words, *place)
    assert expected in said
    assert "secret" not in said


def test_a_store_without_runs(tmp_path, capsys):
    mlmd.MetadataStore(metadata.connection_config(str(tmp_path / metadata.SQLITE))).put_context_type(
        metadata_store_pb2.ContextType(name="pipeline_run")
    )
    assert "there are no runs in this store yet" in _fails(capsys, "show", "--store", tmp_path)
    assert main(["runs", "--store", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_text_from_the_store_is_escaped(folder, capsys):
    store = mlmd.MetadataStore(metadata.connection_config(str(folder / metadata.SQLITE)))
    error = "[red]no[/red] \x1b[2J\x1b]0;title\x07 \u202egnp"
    metadata.record_start(store, "2026-11-03T10:00:00", {"pipeline": "[bold]x[/bold]", "settings": "{}"})
    metadata.record_end(store, "2026-11-03T10:00:00", "Trainer", error)
    for words in (["runs"], ["show"]):
        assert main([*words, "--store", str(folder)]) == 0
        printed = capsys.readouterr().out
        assert "[bold]x[/bold]" in printed
        assert r"[red]no[/red] \u001b[2J\u001b]0;title\u0007 \u202egnp" in printed
        assert "\x1b" not in printed
        assert "\u202e" not in printed


def test_is_alive_recognises_the_recorded_process():
    this = metadata._process()
    host, pid, started = this.rsplit(" ", 2)
    assert metadata.is_alive(this)
    assert metadata.is_alive(f"{host} {pid} {int(started) - 5}") is False  # another process has this id now
    assert metadata.is_alive(f"{host} 99999999 {started}") is False
    assert metadata.is_alive(f"elsewhere {pid} {started}") is None


def test_a_run_is_running_while_its_process_runs(folder, capsys):
    store = mlmd.MetadataStore(metadata.connection_config(str(folder / metadata.SQLITE)))
    metadata.record_start(store, "2026-11-04T10:00:00", {"pipeline": "flowers", "settings": "{}"})
    assert main(["runs", "--store", str(folder / metadata.SQLITE), "--state", "running", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["run"] == "2026-11-04T10:00:00"
    assert main(["show", "--store", str(folder)]) == 0
    assert "running" in capsys.readouterr().out
    metadata.record_end(store, "2026-11-04T10:00:00")
    assert main(["runs", "--store", str(folder), "--state", "running", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_report_that_cannot_be_written(tmp_path, capsys):
    config = settings.load().model_copy(update={"output": tmp_path})
    run = Store(tmp_path, "sample").run(
        "2026-11-01T10:00:00", {"pipeline": "sample", "settings": config.model_dump_json()}
    )
    (tmp_path / "to" / "report.html" / "a folder").mkdir(parents=True)
    said = _fails(capsys, "report", "--store", tmp_path, "--to", tmp_path / "to")
    assert f"cannot write the report of run {run} to {tmp_path}/to: " in said
