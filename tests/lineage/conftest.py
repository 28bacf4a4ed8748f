"""Fixtures for the answers of `python -m lineage`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineage.__main__ import main
from lineage.remote import calls
from tests.helpers import stubs
from tests.helpers.judged_runs import Runs
from tests.helpers.kubeflow_runs import KubeflowRuns
from tests.helpers.stored_runs import Stored
from tests.helpers.stores import Store


@pytest.fixture
def runs(tmp_path) -> Runs:
    """A store of runs with an evaluated model."""
    return Runs(tmp_path / "out")


@pytest.fixture
def ask(tmp_path, capsys):
    """Runs a command on the store of `runs`, and returns its answer."""

    def call(*words: object):
        assert main([*map(str, words), "--store", str(tmp_path / "out"), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def pushed(runs) -> Path:
    """The folder of three pushed versions, 1 to 3."""
    for _ in range(3):
        runs.judge(True, served="")
    return runs.output / "pushed" / "flowers"


@pytest.fixture
def said(runs, capsys):
    """Runs a command, and returns what it prints."""

    def call(*words: object) -> str:
        assert main([*map(str, words), "--store", str(runs.output)]) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Stored:
    """Two runs, which trained a model each."""
    output = tmp_path_factory.mktemp("out")
    store = Store(output, "flowers")
    for number in (1, 2):
        settings = json.dumps({"trainer": {"epochs": number}})
        run = store.run(f"2026-11-0{number}T10:00:00", {"pipeline": "flowers", "settings": settings, "code": "c0de"})
        model = store.artifact("Model", f"gs://bucket/Trainer/model/{number}", val_accuracy=0.5)
        store.execution(run, "Trainer", {}, {"model": [model]})
    return Stored(output)


@pytest.fixture
def token(monkeypatch, tmp_path):
    """The token that the servers expect, and requests that give up soon."""
    (tmp_path / "token").write_text(stubs.TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in {"REQUEST_S": 1.0, "FIRST_WAIT_S": 0.02, "RETRY_S": 0.3}.items():
        monkeypatch.setattr(calls, name, value)


@pytest.fixture
def server(stored, token) -> Iterator[KubeflowRuns]:
    with stubs.serving(KubeflowRuns(stored)) as served:
        yield served


@pytest.fixture
def fails(token, capsys):
    """Runs a command that cannot be answered, and returns its line."""

    def call(place: str, *words: str) -> str:
        assert main([*words, "--store", place]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1, captured.err
        assert stubs.TOKEN not in captured.err
        return captured.err

    return call
