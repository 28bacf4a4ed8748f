"""`python -m lineage` on the real runs of tests/helpers/make_runs.py."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from lineage import source_code
from lineage.__main__ import main
from tests.conftest import ROOT

KILLED, PUSHED, AGAIN, REFUSED, LONGER, FAILED = range(6)  # the runs, in their order
NODES = ["ImportExampleGen", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "DataGate", "Transform", "Trainer",
         "LatestBlessedModel", "Evaluator", "ServingCheck", "Pusher", "Report"]  # fmt: skip


@pytest.fixture
def ask_in(capsys):
    """Runs a lineage command on an output folder with --json and returns the parsed answer."""

    def call(output: Path, *words: object) -> dict:
        assert main([*map(str, words), "--store", str(output), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def ask(ask_in, made_runs):
    return partial(ask_in, made_runs)


@pytest.fixture
def copied_runs(made_runs, tmp_path) -> Path:
    """A copy of the runs whose store names the copied folders; the other process of pytest may still read the runs."""
    copy = Path(shutil.copytree(made_runs, tmp_path / "out"))
    with closing(sqlite3.connect(copy / "metadata.sqlite")) as store, store:
        for table, column in (("Artifact", "uri"), ("ArtifactProperty", "string_value")):
            store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(made_runs), str(copy)))
    return copy


@pytest.fixture
def ids(ask) -> list[int]:
    return [row["id"] for row in reversed(ask("runs"))]


def _nodes(run: dict) -> dict[str, str]:
    return {node["node"]: node["state"] for node in run["nodes"]}


def _walk(node: dict):
    """Yields all executions of a tree, repeated ones omitted."""
    for execution in [*node.get("made_by", []), *node.get("used_by", [])]:
        if "repeated" not in execution:
            yield execution
        for artifact in execution["artifacts"]:
            yield from _walk(artifact)


def test_runs_lists_each_run_with_its_state_and_result(ask, made_runs):
    rows = ask("runs")
    assert [row["state"] for row in rows] == ["failed", "pushed", "refused", "pushed", "pushed", "stale"]
    assert {row["pipeline"] for row in rows} == {"sample"}
    failed, longer, refused, again, pushed, killed = rows
    assert "DataGate: DataRefused: the data cannot be used, 2 problems" in failed["error"]
    assert "b'no photo'" in failed["error"].splitlines()[-1]
    assert re.fullmatch(r"accuracy 0\.\d{4} \(floor 1\.0000\)", refused["error"])
    versions = sorted(str(path) for path in (made_runs / "pushed" / "sample").iterdir())
    assert [pushed["pushed"], longer["pushed"]] == versions
    assert again["pushed"] == pushed["pushed"]
    assert [row["pushed"] for row in (failed, killed)] == [None, None]
    assert 0 < refused["accuracy"] == pushed["accuracy"] <= 1
    assert killed["accuracy"] is None
    assert all(row["seconds"] > 0 for row in rows)
    assert killed["end_source"] == "log"
    assert killed["seconds"] > sum(node["seconds"] for node in ask("show", killed["id"])["nodes"][:-1])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(["--limit", "2"], [FAILED, LONGER]), (["--state", "pushed"], [LONGER, AGAIN, PUSHED]),
     (["--pipeline", "other"], []), (["--state", "pushed", "--limit", "1"], [LONGER]),
     (["--state", "failed"], [FAILED]), (["--state", "refused"], [REFUSED]), (["--state", "stale"], [KILLED]),
     (["--state", "running"], [])],
)  # fmt: skip
def test_runs_filters_by_limit_pipeline_and_state(ask, ids, flags, expected):
    assert [row["id"] for row in ask("runs", *flags)] == [ids[number] for number in expected]


def test_a_run_is_shown_node_by_node(ask, ids):
    pushed = ask("show", ids[PUSHED])
    states = dict.fromkeys(NODES, "complete")
    assert _nodes(pushed) == states | dict.fromkeys(NODES[:6], "cached")  # made by the killed run
    assert {node["from_run"] for node in pushed["nodes"] if node["state"] == "cached"} == {ids[KILLED]}
    trainer = pushed["nodes"][NODES.index("Trainer")]
    (model,) = trainer["outputs"]["model"]
    assert model["type"] == "Model"
    assert model["bytes"] == sum(path.stat().st_size for path in Path(model["uri"]).rglob("*") if path.is_file())
    (graph,) = pushed["nodes"][NODES.index("Transform")]["outputs"]["transform_graph"]
    assert trainer["inputs"]["transform_graph"] == [graph["uri"]]
    assert pushed["command"].startswith("python ")
    again = ask("show", ids[AGAIN])
    assert _nodes(again) == dict.fromkeys(NODES, "cached") | {"LatestBlessedModel": "complete"}


def test_killed_and_failed_nodes_have_their_states(ask, ids):
    killed = _nodes(ask("show", ids[KILLED]))
    assert killed == dict.fromkeys(NODES[:6], "complete") | {"Trainer": "stale"}
    failed = ask("show", ids[FAILED])
    assert list(_nodes(failed)) == NODES[:5]
    assert failed["nodes"][-1]["state"] == "failed"
    assert "1 of 80 records (1.2%) cannot be used" in failed["nodes"][-1]["error"]


def test_a_run_is_found_by_its_name_a_prefix_or_its_pipeline(ask, ids):
    longer = ask("show", ids[LONGER])
    for name in (longer["run"], longer["run"][:23]):
        assert ask("show", name)["id"] == ids[LONGER]
    assert ask("show")["id"] == ask("show", "latest")["id"] == ask("show", "sample")["id"] == ids[FAILED]


def test_a_pushed_model_is_traced_to_data_code_and_settings(ask, ids, made_runs):
    (first, second) = sorted((made_runs / "pushed" / "sample").iterdir())
    tree = ask("lineage", first / "variables")
    assert (tree["type"], tree["pushed_destination"]) == ("PushedModel", str(first))
    made = {each["node"]: each for each in _walk(tree)}
    before = {"ImportExampleGen", "ImportSchemaGen", "Transform", "Trainer", "Evaluator", "ServingCheck"}
    assert set(made) == before | {"Pusher"}
    assert made["Trainer"]["run"] == ids[PUSHED]
    assert made["ImportExampleGen"]["run"] == ids[KILLED]
    assert made["ImportExampleGen"]["data"] == str(made_runs.parent / "data")
    fractions = {"split": "auto", "eval_fraction": 0.125, "test_fraction": 0.19}
    assert made["ImportExampleGen"]["settings"].items() >= fractions.items()
    assert made["Trainer"]["code"] == source_code.digest(source_code.files_of(["components.trainer", "trainer.run"]))
    assert made["Trainer"]["settings"]["trainer"]["epochs"] == 2
    (examples,) = [each for each in made["Trainer"]["artifacts"] if each["type"] == "Examples"]
    assert examples["input_fingerprint"].startswith("split:all,num_files:4,")
    trained = [each for each in _walk(ask("lineage", second)) if each["node"] == "Trainer"]
    assert sorted(each["settings"]["trainer"]["epochs"] for each in trained) == [
        2,
        3,
    ]  # the second model's baseline is the first


def test_lineage_forward_lists_each_execution_once(ask, ids):
    (examples,) = ask("show", ids[PUSHED])["nodes"][0]["outputs"]["examples"]
    made = [(each["node"], each["run"]) for each in _walk(ask("lineage", examples["id"], "--forward"))]
    assert len(made) == len(set(made))
    trained = [run for node, run in made if node == "Trainer"]
    assert sorted(trained) == [ids[KILLED], ids[PUSHED], ids[LONGER]]  # without cached executions
    assert ("Pusher", ids[PUSHED]) in made
    forward = _walk(ask("lineage", examples["id"], "--forward"))
    states = {each["run"]: each["state"] for each in forward if each["node"] == "Trainer"}
    assert states[ids[KILLED]] == "stale"


def test_two_runs_are_compared(ask, ids):
    answer = ask("diff", ids[PUSHED], ids[LONGER])
    differs = {each["key"]: (each["before"], each["after"]) for each in answer["settings"]}
    assert differs == {"trainer.epochs": (2, 3), "evaluator.max_accuracy_drop": (0.02, 1.0)}
    assert answer["code"][0] == answer["code"][1] != None  # noqa: E711
    assert answer["data"]["counts"][0] == answer["data"]["counts"][1]
    per_class = {split: set(counts.values()) for split, counts in answer["data"]["counts"][0].items()}
    assert per_class == {"train": {8}, "eval": {4}, "test": {4}}
    assert answer["judged_split"] == ["test", "test"]
    assert answer["data"]["drift"] == 0
    assert {each["what"] for each in answer["data"]["statistics"]} >= {"train.brightness", "eval.side", "test.side"}
    assert all(each["before"] == each["after"] for each in answer["data"]["statistics"])
    epochs = next(each for each in answer["training"] if each["what"] == "epochs")
    assert (epochs["before"], epochs["after"]) == (2, 3)
    recalls = [each for each in answer["checks"] if each["what"].startswith("recall of ")]
    assert len(recalls) == 5
    assert answer["state"] == ["pushed", "pushed"]
    data = ask("diff", ids[LONGER], ids[FAILED])["data"]
    assert data["fingerprint"][0] != data["fingerprint"][1]


def test_models_marks_the_version_in_service(ask, ids, made_runs):
    longer, first = ask("models")
    assert (longer["run"], first["run"]) == (ids[LONGER], ids[PUSHED])
    assert (longer["blessed"], longer["refused"], longer["served"]) == (True, "", True)
    assert (first["blessed"], first["served"]) == (False, False)  # the latest evaluation used another floor
    assert re.fullmatch(r"accuracy 0\.\d{4} \(floor 1\.0000\)", first["refused"])
    assert (first["evaluated_in"], first["pushed"]) == (
        ids[REFUSED],
        [str(min((made_runs / "pushed" / "sample").iterdir()))],
    )
    (served,) = ask("models", "--served")
    assert served == longer
    assert served["pushed"] == [str(max((made_runs / "pushed" / "sample").iterdir()))]


@pytest.mark.parametrize(
    ("node", "run", "reason", "differs"),
    [
        ("Trainer", AGAIN, "its outputs were reused", []),
        ("Trainer", LONGER, "these differences", ["custom_config.recipe.trainer.epochs"]),
        (
            "Evaluator",
            REFUSED,
            "these differences",
            ["eval_config.metrics_specs[0].metrics[0].per_slice_thresholds[0].threshold."],
        ),
        (
            "ImportExampleGen",
            FAILED,
            "these differences",
            ["input_base", "data file part3", "input_fingerprint.", "input_fingerprint."],
        ),
        ("ImportExampleGen", KILLED, "no earlier run", []),
        ("LatestBlessedModel", AGAIN, "a resolver always runs", None),
    ],
)
def test_why_gives_the_reason_and_the_differences(ask, ids, node, run, reason, differs):
    answer = ask("why", node, "--run", ids[run])
    assert reason in answer["reason"]
    same = [f"data file part{number}-20.tfrec" for number in range(3)]  # differ only if written in another second
    keys = [each["what"] for each in answer["differs"] if each["what"] not in same]
    assert differs is None or [key[: len(start)] for key, start in zip(keys, differs, strict=True)] == differs


def test_report_writes_the_report_again_also_for_a_failed_run(ask, ids, tmp_path):
    for run, blessed in ((LONGER, True), (FAILED, None)):
        made = ask("report", ids[run], "--to", tmp_path / str(run))
        assert made == {"run": ids[run], "report": str(tmp_path / str(run) / "report.html")}
        numbers = json.loads((tmp_path / str(run) / "report.json").read_text())
        assert (numbers["verdict"] or {}).get("blessed") is blessed
    (written,) = ask("show", ids[LONGER])["nodes"][-1]["outputs"]["report"]
    first, again = (Path(folder) / "report.json" for folder in (written["uri"], tmp_path / str(LONGER)))
    numbers, others = (json.loads(path.read_text()) for path in (first, again))
    for section in ("verdict", "data", "training", "evaluation"):
        assert numbers[section] == others[section]


def test_the_document_names_every_key_of_an_answer(ask, ids):
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", (ROOT / "docs" / "lineage.md").read_text(), re.MULTILINE)
    named = {command: set(re.findall(r"\w+", text)) for command, text in rows}
    for words in (["runs"], ["show", ids[PUSHED]], ["diff", ids[PUSHED]], ["models"], ["why", "DataGate"], ["gc"]):
        answer = ask(*words)
        keys = set(answer[0] if isinstance(answer, list) else answer)
        keys |= set(answer["nodes"][0]) if words[0] == "show" else set()
        assert keys <= named[words[0]] | (named["runs"] if words[0] == "show" else set()), words


def test_printed_answers_have_the_expected_lines(made_runs, ids, capsys):
    for words in (["runs"], ["show", str(ids[FAILED])], ["diff", str(ids[PUSHED])], ["models"], ["why", "DataGate"]):
        assert main([*words, "--store", str(made_runs)]) == 0
    assert main(["lineage", str(next((made_runs / "pushed" / "sample").iterdir())), "--store", str(made_runs)]) == 0
    printed = capsys.readouterr().out
    refused = rf"^{ids[REFUSED]} +sample .+ refused +0\.\d{{4}} test +accuracy 0\.\d{{4}} \(floor 1\.0000\)$"
    failed = r"^DataGate +failed .+\n  DataRefused: .+:\n  split  feature  what is wrong\n  all    image  "
    assert re.search(refused, printed, re.MULTILINE)
    assert re.search(failed, printed, re.MULTILINE)
    assert "└── made by Pusher in run" in printed


def test_nothing_heavy_is_imported(made_runs):
    code = f"""
import sys
from lineage.__main__ import main
for words in (["runs"], ["show"], ["models"], ["gc"], ["why", "DataGate"], ["diff", "latest"]):
    assert main([*words, "--store", {str(made_runs)!r}]) == 0
heavy = {{"tensorflow", "tfx", "apache_beam", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _put_out(run: dict) -> list[dict]:
    return [artifact for node in run["nodes"] for some in node["outputs"].values() for artifact in some]


def test_gc_deletes_what_is_not_needed_and_keeps_the_rest(ask_in, ids, copied_runs):
    ask = partial(ask_in, copied_runs)
    killed = [copied_runs / "artifacts" / "sample" / "Trainer" / channel / "7" for channel in ("model", "model_run")]
    young = ask("gc")["folders"]
    assert {each["path"]: each["why"] for each in young} == dict.fromkeys(map(str, killed), "left by a killed run")
    found = ask("gc", "--older-than", 0)
    gone = {each["path"] for each in found["folders"]}
    kept = {each["uri"] for run in (PUSHED, LONGER) for each in _put_out(ask("show", ids[run]))}
    failed = {each["uri"] for each in _put_out(ask("show", ids[FAILED]))}
    assert not kept & gone
    assert set() < failed - kept <= gone
    assert any("/checkpoints/" in path for path in gone)
    refused = ask("show", ids[REFUSED])["nodes"]
    evaluated = refused[NODES.index("Evaluator")]["outputs"]
    assert {each["uri"] for some in evaluated.values() for each in some} <= gone
    assert refused[NODES.index("Pusher")]["outputs"] == {}
    assert found["deleted"] is False
    assert found["kept"] == sorted(map(str, (copied_runs / "pushed" / "sample").iterdir()))
    assert all(Path(path).is_dir() for path in gone)
    assert ask("gc", "--older-than", 0, "--delete")["bytes"] == found["bytes"] > 0
    assert not any(Path(path).exists() for path in gone)
    assert all(Path(path).is_dir() for path in kept)
    assert all(each["deleted"] == (each["uri"] in gone) for each in _put_out(ask("show", ids[FAILED])))
    assert ask("gc", "--older-than", 0)["folders"] == []
