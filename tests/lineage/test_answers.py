"""`python -m lineage` on refused, killed and interrupted runs, in stores written without a pipeline."""

import json
import math
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from components.report import page as page_of_report
from lineage import gc, metadata, models, serve, text
from lineage.__main__ import main
from lineage.pushed import look
from lineage.reading import read_all
from lineage.runs import read_json
from pipeline.local.dag_runner import NodeFailed, _recorded
from pipeline.local.failure import Interrupted
from tests.helpers import stores
from tests.helpers.judged_runs import KNOWN


@pytest.fixture
def page(runs):
    """Returns a page of `lineage serve`."""
    app = serve.make_app(lambda: runs.store.store, runs.output, {"localhost"})

    def call(path: str) -> str:
        answer = app.test_client().get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    return call


def test_a_model_that_the_serving_check_refused_is_refused_with_its_reason(runs, ask, page, capsys):
    reason = "the signature classify is missing"
    pushed, refused = runs.judge(True, served=""), runs.judge(True, served=reason)
    assert [row["state"] for row in ask("runs")] == ["refused", "pushed"]
    assert [row["id"] for row in ask("runs", "--state", "refused")] == [refused]
    assert [row["error"] for row in ask("runs")] == [reason, None]
    assert [check["problem"] for check in ask("show", refused)["refused"]] == [reason]
    assert main(["show", str(refused), "--store", str(runs.output)]) == 0
    assert re.search(rf"refused +serving check +{reason}", capsys.readouterr().out)
    assert reason in page(f"/runs/{refused}")
    rows = ask("models")
    assert [(row["blessed"], row["refused"], row["served"]) for row in rows] == [
        (False, reason, False),
        (True, "", True),
    ]
    assert pushed != refused


def test_gc_keeps_the_latest_model_that_passed_both_checks(runs, ask):
    runs.judge(True, served="")
    runs.judge(True, served="too slow")
    assert "11" not in _freed(ask("gc", "--older-than", 0))
    assert "12" in _freed(ask("gc", "--older-than", 0))


def _freed(answer: dict) -> set[str]:
    return {Path(each["path"]).name for each in answer["folders"]}


def test_gc_deletes_a_refused_model_after_a_blessed_one(runs, ask):
    for blessed in (True, False, True, False):
        runs.judge(blessed)
    answer = ask("gc", "--older-than", 0)
    assert _freed(answer) == {"12", "14"}
    assert {each["why"] for each in answer["folders"]} >= {"Model, too old", "ModelEvaluation, too old"}
    assert [Path(place).name for place in answer["kept"]] == ["1", "3"]


def test_gc_deletes_the_artifacts_of_a_removed_version(runs, ask):
    for _ in range(3):
        runs.judge(True)
    shutil.rmtree(runs.output / "pushed" / "flowers" / "1")
    answer = ask("gc", "--older-than", 0)
    assert _freed(answer) == {"11"}
    assert answer["unreachable"] == []


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_gc_keeps_pushed_models_if_the_push_folder_is_not_mounted(runs, ask, left, capsys):
    for blessed in (True, True, False):
        runs.judge(blessed)
    pushed = runs.output / "pushed"
    pushed.rename(runs.output / "elsewhere")
    if left == "an empty folder":
        (pushed / "flowers").mkdir(parents=True)
    answer = ask("gc", "--older-than", 0, "--delete")
    assert _freed(answer) == {"13"}
    assert answer["unreachable"] == [str(pushed / "flowers" / number) for number in "12"]
    assert main(["gc", "--store", str(runs.output)]) == 0
    said = capsys.readouterr().out
    assert f"kept, because its parent folder cannot be read: {pushed}/flowers/1\n" in said
    assert "kept 2 pushed versions" in said
    (command,) = [line for line in said.splitlines() if "mkdir -p" in line]
    subprocess.run(command, shell=True, check=True)  # a user pastes it after removing the versions
    answer = ask("gc", "--older-than", 0)
    assert (answer["unreachable"], answer["kept"]) == ([], [])
    assert _freed(answer) == {"11"}  # the other model is the latest blessed one
    assert shlex.split(command)[2] == str(pushed / "flowers")


@pytest.mark.parametrize(("recorded", "split"), [("", "eval"), ("eval", "eval"), ("test", "test")])
def test_a_refused_run_says_which_check_refused_it_and_lists_no_pushed_model(runs, ask, page, capsys, recorded, split):
    run = runs.judge(False, recorded)
    (folder,) = (runs.output / "artifacts" / "flowers" / "Evaluator" / "evaluation").iterdir()
    listed = [
        {"what": "accuracy", "value": 0.5, "floor": 0.25, "passed": True},
        {"what": "recall of [roses]", "value": 0.125, "floor": 0.2, "passed": False, "n": 8},
        {"what": "recall of tulips", "value": None, "floor": 0.2, "passed": False},
        {"what": "calibration error", "value": 0.3, "floor": 0.1, "passed": False, "upper": True},
    ]
    (folder / "checks.json").write_text(json.dumps(listed))
    answer = ask("show", run)
    assert (answer["state"], answer["judged_split"]) == ("refused", split)
    assert answer["refused"] == [
        {"what": "recall of [roses]", "value": 0.125, "floor": 0.2, "upper": False, "problem": ""},
        {"what": "recall of tulips", "value": None, "floor": 0.2, "upper": False, "problem": ""},
        {"what": "calibration error", "value": 0.3, "floor": 0.1, "upper": True, "problem": ""},
    ]
    assert answer["nodes"][-1]["node"] == "Pusher"
    assert answer["nodes"][-1]["outputs"] == {}
    assert main(["show", str(run), "--store", str(runs.output)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^refused +recall of \[roses\] +0\.125 +floor 0\.2$", said, re.MULTILINE)
    assert re.search(rf"^refused +recall of tulips +no examples in the {split} split +floor 0\.2$", said, re.MULTILINE)
    assert re.search(r"^refused +calibration error +0\.3 +limit 0\.1$", said, re.MULTILINE)
    assert "PushedModel" not in said
    shown = page(f"/runs/{run}")
    for line in ("recall of [roses] 0.125 floor 0.2", f"recall of tulips no examples in the {split} split floor 0.2"):
        assert f"<dd>{line}</dd>" in shown
    assert f"<dd>0.5000 on the {split} split</dd>" in shown
    assert "PushedModel" not in page(f"/runs/{run}")


def test_an_accuracy_is_shown_with_the_split_that_it_is_computed_on(runs, ask, page, capsys):
    before, after = runs.judge(True), runs.judge(True, "test")
    for command in ("runs", "models"):
        assert [row["judged_split"] for row in ask(command)] == ["test", "eval"]
        assert main([command, "--store", str(runs.output)]) == 0
        assert re.findall(r" 0\.5000 (\w+) ", capsys.readouterr().out) == ["test", "eval"]
        shown = page("/" if command == "runs" else "/models")
        assert re.findall(r"0\.5000 <small>(\w+)</small>", shown) == ["test", "eval"]
    assert ask("diff", before, after)["judged_split"] == ["eval", "test"]
    assert main(["diff", str(before), str(after), "--store", str(runs.output)]) == 0
    assert re.search(r"^evaluation\n.+\n  split +eval +test$", capsys.readouterr().out, re.MULTILINE)


def test_show_and_lineage_say_how_the_data_were_made(runs, ask, page, capsys):
    """The edits of the data are in the settings that the runner records (data.provenance)."""
    made = "python -m ingest photos p --to d; edits.csv sha256:1234: <b>3 relabelled</b>, 1 dropped"
    for provenance in ("", made):
        settings = json.dumps({"data": {"provenance": provenance}})
        run = runs.store.run(f"2026-01-0{1 + bool(provenance)}T00:00:00", KNOWN | {"settings": settings})
        examples = runs._folder("Examples", "ImportExampleGen", f"examples{run}")
        runs.store.execution(run, "ImportExampleGen", {}, {"examples": [examples]}, input_base="/data")
        assert ask("show", run)["provenance"] == (provenance or None)
        (found,) = ask("lineage", examples)["made_by"]
        assert (found["data"], found.get("provenance")) == ("/data", provenance or None)
        for words in (["show", str(run)], ["lineage", str(examples)]):
            assert main([*words, "--store", str(runs.output)]) == 0
            assert (made in capsys.readouterr().out) == bool(provenance)
        for path in (f"/runs/{run}", f"/artifacts/{examples}"):
            assert ("&lt;b&gt;3 relabelled&lt;/b&gt;" in page(path)) == bool(provenance)


def test_lineage_of_embeddings_names_the_trunks(runs, ask, capsys):
    run = runs.store.run("2026-01-01T00:00:00", KNOWN)
    table = runs._folder("components.EmbeddingTable", "Embeddings", "embeddings")
    settings = json.dumps({"trunks": [{"name": "efficientnet_lite0"}], "views": ["flip"]})
    runs.store.execution(
        run, "Embeddings", {}, {"embeddings": [table]}, settings=settings, pixels='{"image_size": 192}'
    )
    (found,) = ask("lineage", table)["made_by"]
    assert found["settings"] == {"trunks": [{"name": "efficientnet_lite0"}], "views": ["flip"]}
    assert main(["lineage", str(table), "--store", str(runs.output)]) == 0
    assert 'trunks = [{"name": "efficientnet_lite0"}]' in capsys.readouterr().out


@pytest.mark.parametrize(("name", "shown"), [("probe", {"seed": 0}), ("convnet", {"seed": 0, "epochs": 9})])
def test_lineage_of_a_model_lists_the_settings_that_affect_it(runs, ask, name, shown):
    run = runs.store.run("2026-01-01T00:00:00", KNOWN)
    model = runs._folder("Model", "Trainer", "model")
    config = json.dumps({"recipe": {"model": {"name": name}, "trainer": {"seed": 0, "epochs": 9}}})
    runs.store.execution(run, "Trainer", {}, {"model": [model]}, custom_config=config)
    (found,) = ask("lineage", model)["made_by"]
    assert found["settings"] == {"model": {"name": name}, "trainer": shown}


def test_diff_of_one_run_compares_it_with_the_previous_run_of_its_pipeline(runs, ask, page, capsys):
    first, second = runs.judge(True), runs.judge(False)
    other = runs.store.run("2026-02-01T00:00:00", {"pipeline": "mnist", "settings": "{}"})
    third = runs.judge(True)
    assert ask("diff", third)["runs"] == [second, third]
    assert ask("diff", "latest")["runs"] == [second, third]
    assert ask("diff", first, third)["runs"] == [first, third]
    assert f"<h1>Runs {second} and {third}</h1>" in page("/diff")
    assert f"<h1>Runs {first} and {third}</h1>" in page(f"/diff?before={first}&after={third}")
    for run, pipeline in ((first, "flowers"), (other, "mnist")):
        assert main(["diff", str(run), "--store", str(runs.output)]) == 2
        said = capsys.readouterr().err
        assert f"run {run} is the first of pipeline {pipeline}, so there is no run before it; give two runs" in said


@pytest.mark.parametrize("written", [True, False])
def test_a_killed_runs_duration_ends_at_its_last_log_line_or_write(runs, ask, page, tmp_path, written, capsys):
    log = tmp_path / "a.log"
    metadata.record_start(runs.store.store, "2026-03-01T00:00:00", KNOWN | {"log": str(log)})
    context = runs.store.store.get_context_by_type_and_name(metadata.RUN_CONTEXT, "2026-03-01T00:00:00")
    context.custom_properties["process"].string_value = (
        metadata._process().rsplit(" ", 1)[0] + " 1"
    )  # the process id of another process
    runs.store.store.put_contexts([context])
    runs.store.execution(context.id, "Trainer", {}, {}, state=stores.RUNNING)
    started = context.create_time_since_epoch / 1000
    if written:
        log.write_text("Epoch 7")
        os.utime(log, (started + 3600, started + 3600))
    (row,) = ask("runs", "--state", "stale")
    assert row["end_source"] == ("log" if written else "store")
    assert row["seconds"] == pytest.approx(3600, abs=1) if written else row["seconds"] < 60
    (node,) = ask("show", context.id)["nodes"]
    assert node["seconds"] == pytest.approx(row["seconds"], abs=5)
    assert main(["show", str(context.id), "--store", str(runs.output)]) == 0
    last = "up to its last log line" if written else "up to its last write to ML Metadata"
    assert re.search(rf"^killed +duration {last}$", capsys.readouterr().out, re.MULTILINE)
    assert f"{last}</dd>" in page(f"/runs/{context.id}")


@pytest.mark.parametrize("where", ["Trainer", "between two nodes"])
def test_an_interrupted_run_is_not_a_failed_one(runs, ask, where):
    with pytest.raises((NodeFailed, Interrupted)), _recorded(runs.store.store, "2026-03-01T00:00:00", KNOWN):
        if where == "Trainer":
            run = runs.store.store.get_context_by_type_and_name(metadata.RUN_CONTEXT, "2026-03-01T00:00:00").id
            runs.store.execution(run, "Trainer", {}, {}, state=stores.FAILED)
            raise NodeFailed("Trainer") from Interrupted
        raise Interrupted
    (row,) = ask("runs", "--state", "interrupted")
    assert (row["state"], row["error"]) == ("interrupted", f"interrupted {'in ' * (where == 'Trainer')}{where}")
    assert ask("runs", "--state", "failed") == []
    assert [node["state"] for node in ask("show", row["id"])["nodes"]] == ["interrupted"] * (where == "Trainer")


def test_an_older_store_records_an_interrupt_as_an_error(runs, ask):
    run = runs.store.run("2026-03-01T00:00:00", KNOWN | {"failed": "Trainer", "error": "Interrupted"})
    runs.store.execution(run, "Trainer", {}, {}, state=stores.FAILED)
    (row,) = ask("runs", "--state", "interrupted")
    assert (row["id"], row["error"]) == (run, "interrupted in Trainer")
    assert ask("runs", "--state", "failed") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's rights")
@pytest.mark.parametrize("mode", [0o700, 0o744], ids=oct)
def test_unreadable_folders_of_another_user_are_kept_and_not_reported_as_present(runs, tmp_path, mode):
    """Runs in this process, because the interpreter may be readable by root only; 0o744 allows listing only."""
    for _ in range(2):
        runs.judge(True)
    (tmp_path / "out" / "artifacts" / "flowers" / "checkpoints" / "1").mkdir(parents=True)
    graph, artifacts = read_all(runs.store.store), runs.output / "artifacts"
    evaluation = next(each for each in graph.artifacts.values() if each.type == "ModelEvaluation")
    pushed = runs.output / "pushed" / "flowers"
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(Path("/tmp")) and folder != Path("/tmp"):  # noqa: S108
            folder.chmod(0o755)
    for folder in (pushed, artifacts / "flowers" / "checkpoints", Path(evaluation.uri)):
        folder.chmod(mode)
    os.seteuid(65534)
    try:
        present, unreachable = gc._pushed(graph)
        assert (present, sorted(unreachable.values())) == ({}, [str(pushed / version) for version in "12"])
        assert list(gc._abandoned_checkpoints(artifacts, math.inf)) == []
        unknown = models._service([str(pushed / "2")], look, False)
        assert unknown["served"] is None and "Permission denied" in unknown["service"][0]["problem"]
        assert read_json(evaluation, "checks.json", "not here") == "not here"
        assert text.size_of(f"{evaluation.uri}/file") is None
        assert text.size_of(evaluation.uri) in (None, 0)
        assert page_of_report._link(f"{pushed}/2", str(tmp_path), str(tmp_path)) is None
    finally:
        os.seteuid(0)
    assert models._service([str(pushed / "2")], look, False)["served"]
    assert gc._pushed(graph)[1] == {}
