"""`python -m lineage --store http://…` and `vertex://…` answer as for the same runs in ML Metadata."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from lineage.__main__ import main
from tests.helpers import stubs
from tests.helpers.kubeflow_runs import KubeflowRuns, OldKubeflowRuns
from tests.helpers.stored_runs import Stored, key
from tests.helpers.vertex_runs import VertexRuns, serving_vertex

KILLED, PUSHED, AGAIN, REFUSED, LONGER, FAILED = range(6)  # of made_runs
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def stored(made_runs) -> Stored:
    return Stored(made_runs)


@pytest.fixture
def token(monkeypatch, tmp_path) -> Path:
    file = tmp_path / "token"
    file.write_text(stubs.TOKEN + "\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return file


@pytest.fixture(params=["kubeflow", "vertex"])
def api(request, stored, token, monkeypatch) -> Iterator[tuple[str, stubs.Stub]]:
    """The address for --store, and the server."""
    if request.param == "vertex":
        with serving_vertex(stored, monkeypatch) as served:
            yield served
    else:
        with stubs.serving(KubeflowRuns(stored)) as server:
            yield server.url, server


@pytest.fixture
def old(stored, token) -> Iterator[OldKubeflowRuns]:
    with stubs.serving(OldKubeflowRuns(stored)) as server:
        yield server


@pytest.fixture
def ask(capsys) -> Ask:
    """Runs a command on a store; returns what it printed, parsed if it is JSON."""

    def call(place: object, *words: object, as_json: bool = True) -> Any:
        assert main([*map(str, words), "--store", str(place), *(["--json"] if as_json else [])]) == 0
        printed = capsys.readouterr().out
        assert stubs.TOKEN not in printed
        return json.loads(printed) if as_json else printed

    return call


def _numbered(answer: Any, ids: dict[str, int]) -> Any:
    """Returns an answer with the ids of ML Metadata."""
    if isinstance(answer, dict):
        return {name: _numbered(each, ids) for name, each in answer.items()}
    if isinstance(answer, list):
        return [_numbered(each, ids) for each in answer]
    return ids.get(answer, answer) if isinstance(answer, str) else answer


def _without(answer: Any, *names: str) -> Any:
    """Returns an answer without some keys, at any depth."""
    if isinstance(answer, dict):
        return {name: _without(each, *names) for name, each in answer.items() if name not in names}
    return [_without(each, *names) for each in answer] if isinstance(answer, list) else answer


def _unknown(api: tuple[str, stubs.Stub]) -> tuple[str, ...]:
    """Returns the fields that the API does not have: Kubeflow does not know whether an artifact was deleted."""
    return ("command", "log") if isinstance(api[1], VertexRuns) else ("command", "log", "deleted")


def _commands(stored: Stored, made_runs: Path, ids: Callable[[str, int], object]) -> list[list[object]]:
    numbers = [run["number"] for run in stored.runs]
    version = max((made_runs / "pushed" / "sample").iterdir())
    examples = stored.runs[PUSHED]["tasks"][0]["outputs"]["examples"][0]
    shown = [["show", ids("run", numbers[run])] for run in (PUSHED, AGAIN, REFUSED, LONGER, FAILED)]
    return [
        *shown,
        ["runs", "--limit", 5],
        ["runs", "--state", "pushed"],
        ["runs", "--state", "refused", "--limit", 1],
        ["runs", "--pipeline", "sample", "--limit", 2],
        ["runs", "--pipeline", "other"],
        ["diff", ids("run", numbers[PUSHED]), ids("run", numbers[LONGER])],
        ["diff", ids("run", numbers[FAILED])],
        ["models"],
        ["models", "--served"],
        ["lineage", version],
        ["lineage", version / "variables"],
        ["lineage", ids("artifact", examples)],
        ["lineage", ids("artifact", examples), "--forward"],
    ]


def test_the_answers_are_those_of_ml_metadata(api, stored, made_runs, ask):
    there = _commands(stored, made_runs, key)
    here = _commands(stored, made_runs, lambda _, number: number)
    unknown = _unknown(api)
    for remote, local in zip(there, here, strict=True):
        answer, expected = _numbered(ask(api[0], *remote), stored.ids), ask(made_runs, *local)
        expected = json.loads(json.dumps(expected).replace('"state": "stale"', '"state": "failed"'))
        expected = _named_by_id(expected) if isinstance(api[1], VertexRuns) else expected
        assert _without(answer, *unknown) == _without(expected, *unknown), remote
        assert _values(answer, "command") | _values(answer, "log") <= {None}
        assert isinstance(api[1], VertexRuns) or _values(answer, "deleted") <= {None}


def _named_by_id(answer: Any) -> Any:
    """Returns the rows of runs with the run's id as its name, as on Vertex AI."""
    rows = answer if isinstance(answer, list) else [answer]
    for row in rows:
        if "end_source" in row:
            row["run"] = row["id"]
    return answer


def _values(answer: Any, name: str) -> set[Any]:
    if isinstance(answer, list):
        return {value for each in answer for value in _values(each, name)}
    if not isinstance(answer, dict):
        return set()
    own = {answer[name]} if name in answer else set()
    return own.union(*(_values(each, name) for each in answer.values()))


def test_the_printed_text_is_that_of_ml_metadata(api, stored, made_runs, ask):
    there = _commands(stored, made_runs, key)
    here = _commands(stored, made_runs, lambda _, number: number)
    for remote, local in zip(there, here, strict=True):
        printed, expected = ask(api[0], *remote, as_json=False), ask(made_runs, *local, as_json=False)
        for number, plain in stored.ids.items():
            printed = printed.replace(number, str(plain))
        expected = re.sub(r"(command|log) .+", r"\1 unknown", expected).replace(", stale", ", failed")
        if isinstance(api[1], VertexRuns):  # a run's name is its id
            for run in stored.runs:
                expected = expected.replace(f"run      {run['name']}", f"run {run['number']}")
        assert [line.split() for line in printed.splitlines()] == [line.split() for line in expected.splitlines()]


def test_a_password_in_netrc_does_not_replace_the_token(api, ask, monkeypatch, tmp_path):
    place, server = api
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert requests.utils.get_netrc_auth(server.url) == ("ada", "secret")
    assert len(ask(place, "runs", "--limit", 1)) == 1


def test_a_killed_run_is_a_failed_task(api, stored, ask):
    run = ask(api[0], "show", stored.runs[KILLED]["id"])
    assert (run["state"], run["error"]) == ("failed", "Trainer: exit code 137")
    assert run["nodes"][-1]["state"] == "failed"


def test_a_run_is_found_by_its_name_a_prefix_or_its_pipeline(api, stored, ask):
    latest, longer = stored.runs[FAILED], stored.runs[LONGER]
    for name in ([], ["latest"], ["sample"]):
        assert ask(api[0], "show", *name)["id"] == latest["id"]
    name = longer["id"] if isinstance(api[1], VertexRuns) else longer["name"]
    assert ask(api[0], "show", name[:23])["id"] == longer["id"]


def test_only_the_pages_that_are_shown_are_requested(stored, token, ask):
    with stubs.serving(KubeflowRuns(stored)) as server:
        server.runs = [
            {**server.runs[1], "run_id": f"{number:08d}-0000-0000-0000-000000000000"} for number in range(260)
        ]
        assert len(ask(server.url, "runs")) == 20
        assert [query["page_size"] for _, query in server.queries] == ["20"]
        server.queries.clear()
        rows = ask(server.url, "runs", "--limit", 250)
        assert len({row["id"] for row in rows}) == 250
        assert len(server.queries) == 5
        server.queries.clear()
        assert len(ask(server.url, "runs", "--state", "pushed", "--limit", 60)) == 60
        assert len(server.queries) == 2


def test_vertex_reads_only_the_jobs_that_are_shown(stored, monkeypatch, ask):
    with serving_vertex(stored, monkeypatch) as (address, server):
        assert len(ask(address, "runs", "--limit", 2)) == 2
        assert [path.rpartition("/")[2] for path, _ in server.queries] == [
            "pipelineJobs",
            *(run["id"] for run in reversed(stored.runs[-2:])),
        ]


def test_a_release_without_artifacts_lists_nodes_and_settings(old, stored, ask):
    unknown = "this version of Kubeflow Pipelines has no API for artifacts"
    shown = ask(old.url, "show", stored.runs[LONGER]["id"])
    assert (shown["state"], shown["accuracy"], shown["pushed"]) == ("complete", None, None)
    assert shown["artifacts_unknown"] == unknown
    assert [node["node"] for node in shown["nodes"]] == [task["node"] for task in stored.runs[LONGER]["tasks"]]
    assert {(node["state"], node["inputs"], node["outputs"]) for node in shown["nodes"]} == {("complete", None, None)}
    assert f"artifacts  unknown: {unknown}" in ask(old.url, "show", as_json=False)
    answer = ask(old.url, "diff", stored.runs[PUSHED]["id"], stored.runs[LONGER]["id"])
    assert {each["key"] for each in answer["settings"]} == {"trainer.epochs", "evaluator.max_accuracy_drop"}
    assert answer["data"]["fingerprint"] == [None, None]
    printed = ask(old.url, "diff", stored.runs[PUSHED]["id"], stored.runs[LONGER]["id"], as_json=False)
    assert len(re.findall("^  artifacts +unknown +unknown$", printed, re.MULTILINE)) == 4
    assert [row["state"] for row in ask(old.url, "runs")] == ["failed", *["complete"] * 4, "failed"]
