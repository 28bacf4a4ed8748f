"""Names, paths and errors are printed unchanged, never as rich's markup or emoji codes."""

import io
import json
import sys

import pytest
from rich.console import Console
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import Channel
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, ModelRun, PushedModel

from components import pusher
from components.checks import Check, Evaluation
from ingest.__main__ import _print_counts
from pipeline import settings
from pipeline.cluster import summary as cluster_summary
from pipeline.local import summary
from pipeline.local.dag_runner import NodeResult
from pipeline.local.display import NodeLines
from pipeline.local.spinner import spinner
from tests.helpers.report_sources import HISTORY
from trainer.intervals import Pairs

HOSTILE = ("a[/b]", "[red]cat", ":dog:", "x\\", "\x1b[31mowl", "[link=file:///etc/passwd]here[/link]")
SHOWN = ("a[/b]", "[red]cat", ":dog:", "x\\", "\\u001b[31mowl", "[link=file:///etc/passwd]here[/link]")


@pytest.fixture
def console() -> Console:
    return Console(width=160, record=True, force_terminal=True)


def _results(tmp_path, name: str) -> dict[str, NodeResult]:
    run, pushed = ModelRun(), PushedModel()
    run.uri = str(tmp_path)
    (tmp_path / "history.json").write_text(json.dumps(HISTORY | {"devices": name}))
    pushed.set_string_custom_property("pushed_destination", f"/pushed/{name}")
    outputs = {"Trainer": {"model_run": [run]}, "Pusher": {"pushed_model": [pushed]}}
    return {node: NodeResult(node, False, 1.0, each) for node, each in outputs.items()}


def _pusher() -> BaseNode:
    channels = map(Channel, (Model, ModelBlessing, InfraBlessing))
    return pusher.pusher(*channels, "/pushed").with_id("Pusher")


def _check(name: str, value: float | None = 0.8, floor: float = 0.5, passed: bool = True) -> Check:
    low, high, n = (None, None, 0) if value is None else (value - 0.2, value + 0.1, 20)
    return Check(f"recall of {name}", value, floor, passed, low, high, n)


@pytest.mark.parametrize(("name", "shown"), zip(HOSTILE, SHOWN, strict=True))
def test_names_paths_and_errors_are_text(name, shown, console, tmp_path, capsys):
    config = settings.load(changes={"data.directory": "/data"})
    evaluation = Evaluation(True, [_check(name)], "test")
    summary.show(console, config, _results(tmp_path, name), evaluation, {"report": f"/{name}/report.html"})
    printed = console.export_text()
    for text in (f"recall of {shown}", f"/pushed/{shown}", f"/{shown}/report.html", f"on {shown}"):
        assert text in printed
    lines = NodeLines(console, [_pusher()])
    lines.finished(NodeResult("Pusher", True, 1.0, _results(tmp_path, name)["Pusher"].outputs))
    assert f"/pushed/{shown}" in console.export_text()
    _print_counts({name: 3})
    assert name.replace("\x1b", "\\u001b") in capsys.readouterr().out


@pytest.mark.parametrize(("name", "shown"), zip(HOSTILE, SHOWN, strict=True))
def test_the_images_of_a_compiled_file_are_text_too(name, shown, capsys):
    cluster_summary._print_line(f"image 1: registry/{name}")
    assert capsys.readouterr().out == f"image 1: registry/{shown}\n"


def _row(console: Console, what: str) -> str:
    (row,) = [line for line in console.export_text(clear=False).splitlines() if what in line]
    return " ".join(row.replace("│", " ").split())


@pytest.mark.parametrize("split", ["eval", "test"])
def test_the_table_has_intervals_floors_and_a_note_on_undecided_checks(split, console, tmp_path):
    checks = [_check("sure"), _check("near", floor=0.65), _check("never", None, passed=False)]
    checks.append(_check("rounded", 0.699999988, 0.7, passed=False))
    checks.append(Check("accuracy against the baseline", -0.06, -0.02, True, -0.149, 0.033, 50, Pairs(40, 1, 4, 5)))
    checks.append(Check("calibration error", 0.06, 0.05, False, None, None, 50, upper=True))
    checks.append(Check("served", None, 0.01, False, None, None, 0, upper=True, problem="no [b]signature[/b]"))
    config = settings.load(changes={"evaluator.min_accuracy": None})
    summary.show(console, config, _results(tmp_path, "cpu"), Evaluation(False, checks, split), {})
    assert _row(console, "sure") == "recall of sure 0.8000 0.6000 to 0.9000 0.5000 passed"
    assert _row(console, "near") == "recall of near 0.8000 0.6000 to 0.9000 0.6500 passed †"
    assert _row(console, "never") == "recall of never no examples 0.5000 refused"
    assert _row(console, "rounded") == "recall of rounded 0.69999999 0.5000 to 0.8000 0.70000000 refused †"
    assert _row(console, "calibration") == "calibration error 0.0600 ≤ 0.0500 refused"
    assert _row(console, "served  ") == "served none ≤ 0.0100 refused"
    printed = console.export_text()
    assert "served: no [b]signature[/b]" in printed
    assert "On the same 50 photos, only the candidate is right on 1 and only the baseline on 4 (McNemar's" in printed
    assert "too few to say whether the loss is larger than allowed; about 260 photos would do." in printed
    assert "† The floor is inside the 95 % interval" in printed
    assert f"check on the {split} split" in printed
    assert f"another {split} split of this size" in printed
    assert f"computed from the {split} split" in printed
    assert "evaluator.min_accuracy replaces it" in printed
    assert printed.count("the epoch was chosen on the photos that it is judged on") == (split == "eval")
    assert ("data.test_fraction" in printed) == (split == "eval")


def test_no_note_where_none_is_needed(console, tmp_path):
    config = settings.load(changes={"evaluator.min_accuracy": 0.5})
    summary.show(console, config, _results(tmp_path, "cpu"), Evaluation(True, [_check("sure")], "test"), {})
    printed = console.export_text()
    assert "†" not in printed
    assert "data.test_fraction" not in printed
    assert "computed" not in printed


def test_the_spinner_does_not_redirect_standard_error():
    """rich would redirect it, and with it the log of libraries that set up logging meanwhile."""
    before = sys.stderr
    with spinner(Console(file=io.StringIO(), force_terminal=True), "loading …"):
        assert sys.stderr is before


@pytest.mark.parametrize(
    ("cached", "difference", "noted"), [(True, -0.06, True), (True, 0.02, False), (False, -0.06, False)]
)
def test_a_cached_model_in_place_of_a_better_one_is_noted(cached, difference, noted, console, tmp_path):
    compared = Check("accuracy against the baseline", difference, -0.02, True, -0.15, 0.03, 50, Pairs(40, 1, 4, 5))
    results = _results(tmp_path, "cpu")
    results["Trainer"] = results["Trainer"]._replace(cached=cached)
    summary.show(console, settings.load(), results, Evaluation(True, [_check("one"), compared], "test"), {})
    text = (
        "This model is from an earlier run (cached). It replaces one that is more accurate on the same photos, by 0.06"
    )
    assert (text in console.export_text()) == noted


@pytest.mark.parametrize(("epochs", "shown"), [(0, "on CPU: 10 s."), (2, "on CPU: 10 s, 20 images/s.")])
def test_a_fitted_layer_has_no_speed(console, tmp_path, epochs, shown):
    results = _results(tmp_path, "CPU")
    history = {**HISTORY, "devices": "CPU", "epochs": epochs, "seconds": 10.0, "images_per_second": 20.0}
    (tmp_path / "history.json").write_text(json.dumps(history))
    config = settings.load(changes={"data.directory": "/data"})
    summary.show(console, config, results, Evaluation(True, [_check("cat")], "test"), {})
    assert shown in console.export_text()
