"""Complete runs from the command line: sample and real photos, reruns, edits and interrupts."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
import yaml

from ingest.sample import CLASSES
from lineage import __main__ as lineage
from testing import graphs
from tests.conftest import PACKAGES, ROOT, without_network

NODES = [
    "ImportExampleGen",
    "ImportSchemaGen",
    "StatisticsGen",
    "ExampleValidator",
    "DataGate",
    "Transform",
    "Trainer",
    "LatestBlessedModel",
    "Evaluator",
    "ServingCheck",
    "Pusher",
    "Report",
]
EPOCHS = 30  # for the training that is interrupted
LINE = re.compile(r"^(done|cached|failed) +(\w+)", re.MULTILINE)


def _states(printed: str) -> dict[str, str]:
    return {node: state for state, node in LINE.findall(printed)}


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_sample_is_trained_gated_and_pushed(first_run, sample):
    output, done = first_run
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert _states(done.stdout) == dict.fromkeys(NODES, "done")
    assert "The data are drawings, not photos." in done.stdout
    (pushed,) = (output / "pushed" / "sample").iterdir()
    assert f"Blessed and pushed to {pushed}" in done.stdout
    verdict = json.loads((pushed / "assets.extra" / "verdict.json").read_text())
    assert verdict["blessed"] and verdict["split"] == "test" and verdict["checks"][0]["what"] == "accuracy"
    assert f"<code>{pushed}</code>" in (pushed / "assets.extra" / "report.html").read_text()
    model = tf.saved_model.load(str(pushed))
    photos = graphs.first_photos(sample / "sample00-200.tfrec", 50)
    answer = model.signatures["serving_default"](image_bytes=tf.constant(photos))
    spec = {"class": tf.io.FixedLenFeature([], tf.int64)}
    dataset = tf.data.TFRecordDataset(str(sample / "sample00-200.tfrec")).take(50)
    labels = [int(tf.io.parse_single_example(record, spec)["class"]) for record in dataset]
    right = sum(CLASSES[label].encode() == name for label, name in zip(labels, answer["label"].numpy(), strict=True))
    assert right >= 40


def test_printed_paths_exist_and_library_output_is_in_the_log(first_run):
    output, done = first_run
    places = dict(re.findall(r"^(report|metadata|artifacts|tensorboard|log) +(/.+)$", done.stdout, re.MULTILINE))
    assert set(places) == {"report", "metadata", "artifacts", "tensorboard", "log"}
    assert all(Path(place).exists() for place in places.values())
    assert "Going to run a new execution" in Path(places["log"]).read_text()
    assert "INFO:" not in done.stdout
    numbers = json.loads(Path(places["report"]).with_name("report.json").read_text())
    gate, *_, served = numbers["verdict"]["checks"]
    assert (served["what"], served["passed"]) == ("serving check: difference", True)
    assert served["value"] < 1e-4
    assert [each["title"] for each in numbers["sections"]] == ["Serving"]
    assert numbers["evaluation"]["accuracy"]["value"] == pytest.approx(gate["value"])  # the gate uses TFMA's figure
    assert [each["node"] for each in numbers["lineage"]["nodes"]] == [
        node for node in NODES if node not in ("LatestBlessedModel", "Report")
    ]
    page = Path(places["report"]).read_text()
    links = re.findall(r'href="(\.\.[^"]+)"', page)
    assert len(links) == 14
    assert all((Path(places["report"]).parent / link).is_dir() for link in links)
    assert "The data are drawings, not photos" in page
    assert list(Path(places["tensorboard"]).rglob("events.out.tfevents.*"))
    assert list((output / "artifacts" / "sample" / "checkpoints").glob("*")) == []


def test_a_rerun_is_cached_opens_the_same_report_and_prints_the_log_with_verbose(first_run, run, tmp_path):
    output, first = first_run
    pushed = _files(output / "pushed")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    browser.chmod(0o755)
    done = run("--output", output, "--open", "--verbose", BROWSER=f"{browser} %s")
    assert done.returncode == 0
    (report,) = re.findall(r"^report +(/.+)$", first.stdout, re.MULTILINE)
    assert (tmp_path / "opened").read_text().strip() == Path(report).as_uri()
    # A resolver queries the store each time; its result is not cached.
    assert _states(done.stdout) == dict.fromkeys(NODES, "cached") | {"LatestBlessedModel": "done"}
    assert "Trained in an earlier run (cached): convnet" in done.stdout
    assert " in an earlier run (cached)\n" in done.stdout[done.stdout.index("Blessed and pushed to") :]
    assert _files(output / "pushed") == pushed
    assert "Running launcher for" in done.stderr
    (log,) = re.findall(r"^log: (.+)$", done.stdout, re.MULTILINE)
    assert "Running launcher for" in Path(log).read_text()


def test_a_deleted_push_is_pushed_again_once(first_run, main):
    output, _ = first_run
    pushed = output / "pushed" / "sample"
    before = {path.relative_to(next(pushed.iterdir())): content for path, content in _files(pushed).items()}
    shutil.rmtree(pushed)
    for state in ("done", "cached"):
        code, printed = main("--output", output)
        assert code == 0, printed
        assert _states(printed)["Pusher"] == state
        (version,) = pushed.iterdir()
        assert f"Blessed and pushed to {version}" in printed
        again = {path.relative_to(version): content for path, content in _files(pushed).items()}
        assert set(again) == set(before)  # the report has the time and the folder
        assert {path for path in again if again[path] != before[path]} <= {Path("assets.extra/report.html")}
    assert _states(printed)["Trainer"] == "cached"


def test_a_higher_floor_refuses_the_model_and_keeps_earlier_pushes(first_run, main):
    output, _ = first_run
    pushed = _files(output / "pushed")
    code, printed = main("--output", output, "--set", "evaluator.min_accuracy=1.0")
    assert code == 3
    assert _states(printed)["Trainer"] == "cached"
    assert _states(printed)["Evaluator"] == "done"
    (row,) = [line for line in printed.splitlines() if " accuracy " in line and "│" in line]
    assert "1.0000" in row
    assert "refused" in row
    assert "Refused by the gate" in printed
    assert _files(output / "pushed") == pushed


def test_a_model_that_is_too_slow_in_service_is_refused(first_run, main, capfd):
    output, _ = first_run
    pushed = _files(output / "pushed")
    code, printed = main("--output", output, "--set", "serving_check.max_latency_ms=0.01")
    assert code == 3
    assert (_states(printed)["Evaluator"], _states(printed)["ServingCheck"]) == ("cached", "done")
    (row,) = [line for line in printed.splitlines() if "serving check: latency in ms" in line and "│" in line]
    assert "refused" in row
    assert "Refused by the gate" in printed
    assert _files(output / "pushed") == pushed
    assert lineage.main(["runs", "--store", str(output), "--limit", "1", "--json"]) == 0
    (shown,) = json.loads(capfd.readouterr().out)
    assert shown["state"] == "refused"
    assert shown["error"].startswith("serving check: latency in ms ")


def test_a_worse_model_than_the_baseline_is_refused(first_run, main):
    output, _ = first_run
    pushed = _files(output / "pushed")
    settings = ["trainer.epochs=1", "evaluator.min_accuracy=0", "evaluator.min_class_recall=0"]
    code, printed = main("--output", output, *(word for setting in settings for word in ("--set", setting)))
    assert code == 3
    (row,) = [line for line in printed.splitlines() if "accuracy against the baseline" in line]
    assert "refused" in row
    assert _files(output / "pushed") == pushed


def test_an_edit_reruns_the_nodes_that_run_the_code(tiny, main, cache, tmp_path):
    project = tmp_path / "project"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, project / name)
    for name in ("local_runner.py", "errors.py"):
        shutil.copy(ROOT / name, project)
    flags = [*tiny, "--set", f"data.schema_file={ROOT}/schemas/flowers.pbtxt"]  # not the digest of the copy
    command = [sys.executable, "local_runner.py", *map(str, flags)]

    def after_an_edit_of(file: str, text: str) -> dict[str, str]:
        with (project / file).open("a") as edited:
            edited.write(text)
        done = subprocess.run(command, cwd=project, env=without_network(cache), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return _states(done.stdout)

    assert _states(main(*flags)[1]) == dict.fromkeys(NODES, "done")
    states = after_an_edit_of("components/report/templates/style.css", "/* an edit */")
    assert [node for node in NODES if states[node] == "done"] == ["LatestBlessedModel", "Report"]
    states = after_an_edit_of("trainer/schedules.py", "# an edit\n")
    assert [node for node in NODES if states[node] == "cached"] == NODES[:6]
    assert states["Trainer"] == states["Evaluator"] == "done"


def _start(arguments, cache) -> subprocess.Popen:
    command = [sys.executable, "local_runner.py", *map(str, arguments), "--set", f"trainer.epochs={EPOCHS}"]
    return subprocess.Popen(command, cwd=ROOT, env=without_network(cache), stdout=subprocess.PIPE, text=True)


def _epochs(printed: str) -> list[int]:
    return [int(epoch) for epoch in re.findall(rf"Epoch (\d+)/{EPOCHS}", printed)]


def _state(output: Path) -> str:
    """Returns the content of the training's state file, or ''."""
    for path in output.glob("artifacts/*/checkpoints/*/state.json"):  # rglob raises if a file is removed meanwhile
        return path.read_text()
    return ""


def _wait_for_checkpoint(output: Path, process: subprocess.Popen) -> None:
    """Waits for a new checkpoint."""
    before, deadline = _state(output), time.monotonic() + 120
    while _state(output) in ("", before):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no checkpoint in two minutes"
        time.sleep(0.05)


def test_an_interrupted_run_resumes_after_its_last_epoch(tiny, cache, main, tmp_path, capfd):
    """First with Ctrl-C, which prints how to resume and leaves no partial model, then with kill -9."""
    process = _start(tiny, cache)
    _wait_for_checkpoint(tmp_path / "out", process)
    process.send_signal(signal.SIGINT)
    interrupted = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Interrupted. Run the same command again to resume" in interrupted
    assert "Traceback" not in interrupted
    assert list((tmp_path / "out" / "artifacts" / "sample" / "Trainer").glob("*/[0-9]*")) == []
    assert not (tmp_path / "out" / "pushed").exists()
    process = _start(tiny, cache)
    _wait_for_checkpoint(tmp_path / "out", process)
    process.send_signal(signal.SIGKILL)
    killed = process.communicate()[0]
    code, printed = main(*tiny, "--set", f"trainer.epochs={EPOCHS}")
    assert code == 0, printed
    first, second, third = map(_epochs, (interrupted, killed, printed))
    assert second[0] in (first[-1], first[-1] + 1)
    assert third[0] in (second[-1], second[-1] + 1)
    assert third == list(range(third[0], EPOCHS + 1))
    assert _states(printed)["Transform"] == "cached"
    assert lineage.main(["runs", "--store", str(tmp_path / "out"), "--json"]) == 0
    assert [row["state"] for row in json.loads(capfd.readouterr().out)] == ["pushed", "stale", "interrupted"]


def test_a_range_test_reuses_the_data_and_stores_no_model(first_run, main, capfd):
    output, _ = first_run
    models, pushed = _files(output / "artifacts" / "sample" / "Trainer"), _files(output / "pushed")
    code, printed = main("--output", output, "--find-learning-rate", "--set", "model.name=softmax")
    assert code == 0, printed
    assert _states(printed) == dict.fromkeys(NODES[: NODES.index("Trainer")], "cached")
    (peak,) = re.findall(r"^suggested: --set (trainer.learning_rate.peak=\S+)$", printed, re.MULTILINE)
    code, shown = main("--set", peak, "--show-config")
    assert code == 0 and 1e-7 < yaml.safe_load(shown)["trainer"]["learning_rate"]["peak"] < 1
    (plot,) = re.findall(r"^plot: (/.+)$", printed, re.MULTILINE)
    assert Path(plot).read_bytes().startswith(b"\x89PNG")
    assert _files(output / "artifacts" / "sample" / "Trainer") == models and _files(output / "pushed") == pushed
    assert lineage.main(["runs", "--store", str(output), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["state"] == "complete"
    code, printed = main("--output", output)
    assert code == 0 and _states(printed)["Trainer"] == "cached"


def test_real_photos_through_every_node(real_data, main, tmp_path):
    """One epoch at 96 px: below the preset's floor, but clearly better than chance."""
    settings = ["trainer.epochs=1", "data.image_size=96", "evaluator.min_accuracy=0.3", "evaluator.min_class_recall=0"]
    flags = [word for setting in settings for word in ("--set", setting)]
    photos = real_data / "flowers-192"
    code, printed = main("--preset", "flowers-convnet", "--data", photos, "--output", tmp_path / "out", *flags)
    assert code == 0, printed
    assert _states(printed) == dict.fromkeys(NODES, "done")
    assert "2,520 train · 460 eval · 690 test" in printed  # the codelab judges the first three shards
    assert "3,670 photos match the schema and can be decoded" in printed
    assert "drawings" not in printed
    (report,) = re.findall(r"^report +(/.+)$", printed, re.MULTILINE)
    assert 200e3 < Path(report).stat().st_size < 5e6  # with its photos, and no more
