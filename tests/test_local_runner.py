"""The whole path as a person starts it: sample and real photos in, a pushed model out; again, edited and broken off."""

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

from datasets.sample import CLASSES
from tests import graphs, records
from tests.conftest import ROOT, without_network

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
    "Pusher",
    "Report",
]
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
    model = tf.saved_model.load(str(pushed))
    photos = graphs.photos_of(sample / "sample00-200.tfrec", 50)
    answer = model.signatures["serving_default"](image_bytes=tf.constant(photos))
    spec = {"class": tf.io.FixedLenFeature([], tf.int64)}
    dataset = tf.data.TFRecordDataset(str(sample / "sample00-200.tfrec")).take(50)
    labels = [int(tf.io.parse_single_example(record, spec)["class"]) for record in dataset]
    right = sum(CLASSES[label].encode() == name for label, name in zip(labels, answer["label"].numpy(), strict=True))
    assert right >= 40


def test_what_it_names_is_there_and_the_chatter_is_in_the_log(first_run):
    output, done = first_run
    places = dict(re.findall(r"^(report|metadata|artifacts|tensorboard|log) +(/.+)$", done.stdout, re.MULTILINE))
    assert set(places) == {"report", "metadata", "artifacts", "tensorboard", "log"}
    assert all(Path(place).exists() for place in places.values())
    assert "Going to run a new execution" in Path(places["log"]).read_text()
    assert "INFO:" not in done.stdout
    numbers = json.loads(Path(places["report"]).with_name("report.json").read_text())
    gate, *_ = numbers["verdict"]["checks"]
    assert numbers["evaluation"]["accuracy"]["value"] == pytest.approx(gate["value"])  # TFMA's is the gate's
    assert [each["node"] for each in numbers["lineage"]["nodes"]] == [
        node for node in NODES if node not in ("LatestBlessedModel", "Report")
    ]
    page = Path(places["report"]).read_text()
    links = re.findall(r'href="(\.\.[^"]+)"', page)
    assert len(links) == 11
    assert all((Path(places["report"]).parent / link).is_dir() for link in links)
    assert "The data are drawings, not photos" in page
    assert list(Path(places["tensorboard"]).rglob("events.out.tfevents.*"))
    assert list((output / "artifacts" / "sample" / "checkpoints").glob("*")) == []


def test_a_rerun_takes_every_node_from_the_cache_and_opens_the_same_report(first_run, run, tmp_path):
    output, first = first_run
    pushed = _files(output / "pushed")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    browser.chmod(0o755)
    done = run("--output", output, "--open", BROWSER=f"{browser} %s")
    assert done.returncode == 0
    (report,) = re.findall(r"^report +(/.+)$", first.stdout, re.MULTILINE)
    assert (tmp_path / "opened").read_text().strip() == Path(report).as_uri()
    # The resolver asks the store each time; it has no executor whose work could be kept.
    assert _states(done.stdout) == dict.fromkeys(NODES, "cached") | {"LatestBlessedModel": "done"}
    assert _files(output / "pushed") == pushed


def test_a_gate_that_is_raised_refuses_and_keeps_what_was_pushed(first_run, run):
    output, _ = first_run
    pushed = _files(output / "pushed")
    done = run("--output", output, "--set", "evaluator.min_accuracy=1.0")
    assert done.returncode == 3
    assert _states(done.stdout)["Trainer"] == "cached"
    assert _states(done.stdout)["Evaluator"] == "done"
    (row,) = [line for line in done.stdout.splitlines() if " accuracy " in line and "│" in line]
    assert "1.0000" in row
    assert "refused" in row
    assert "Refused by the gate" in done.stdout
    assert _files(output / "pushed") == pushed


def test_a_worse_model_than_the_baseline_is_refused(first_run, run):
    output, _ = first_run
    pushed = _files(output / "pushed")
    settings = ["trainer.epochs=1", "evaluator.min_accuracy=0", "evaluator.min_class_recall=0"]
    done = run("--output", output, *(word for setting in settings for word in ("--set", setting)))
    assert done.returncode == 3
    (row,) = [line for line in done.stdout.splitlines() if "accuracy against the baseline" in line]
    assert "refused" in row
    assert _files(output / "pushed") == pushed


@pytest.fixture
def tiny(tmp_path):
    """A folder of few small photos, and the flags for a training of seconds on it."""
    folder = records.folder(tmp_path / "data", shards=3, per_shard=20)
    settings = ["data.image_size=16", "trainer.epochs=2", "trainer.batch_size=4"]
    settings += ["evaluator.min_accuracy=0", "evaluator.min_class_recall=0"]
    flags = ["--data", folder, "--output", tmp_path / "out"]
    return [*flags, *(word for setting in settings for word in ("--set", setting))]


def test_an_edit_in_trainer_reruns_transform_and_trainer(tiny, cache, tmp_path):
    project = tmp_path / "project"
    for name in ("pipeline", "components", "trainer", "schemas", "datasets", "lineage"):
        shutil.copytree(ROOT / name, project / name)
    shutil.copy(ROOT / "local_runner.py", project)

    def states() -> dict[str, str]:
        command = [sys.executable, "local_runner.py", *map(str, tiny)]
        done = subprocess.run(command, cwd=project, env=without_network(cache), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return _states(done.stdout)

    assert states() == dict.fromkeys(NODES, "done")
    assert {state for node, state in states().items() if node != "LatestBlessedModel"} == {"cached"}
    with (project / "trainer" / "schedules.py").open("a") as file:
        file.write("\n# an edit\n")
    after = states()
    assert [node for node in NODES if after[node] == "cached"] == NODES[:5]
    assert after["Transform"] == after["Trainer"] == after["Evaluator"] == "done"


def _start(arguments, cache) -> subprocess.Popen:
    command = [sys.executable, "local_runner.py", *map(str, arguments), "--set", "trainer.epochs=60"]
    return subprocess.Popen(command, cwd=ROOT, env=without_network(cache), stdout=subprocess.PIPE, text=True)


def _wait_for_checkpoint(output: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not list(output.glob("artifacts/*/checkpoints/*/state.json")):  # rglob stumbles over what is just removed
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no checkpoint in two minutes"
        time.sleep(0.05)


def test_a_killed_run_goes_on_from_its_last_epoch(tiny, cache, run, tmp_path):
    process = _start(tiny, cache)
    _wait_for_checkpoint(tmp_path / "out", process)
    process.send_signal(signal.SIGKILL)
    seen = re.findall(r"Epoch (\d+)/60", process.communicate()[0])
    done = run(*tiny, "--set", "trainer.epochs=60")
    assert done.returncode == 0, done.stdout + done.stderr
    epochs = [int(epoch) for epoch in re.findall(r"Epoch (\d+)/60", done.stdout)]
    assert epochs[0] in (int(seen[-1]), int(seen[-1]) + 1)
    assert epochs == list(range(epochs[0], 61))
    assert _states(done.stdout)["Transform"] == "cached"


def test_ctrl_c_says_how_to_go_on_and_leaves_no_half_model(tiny, cache, tmp_path):
    process = _start(tiny, cache)
    _wait_for_checkpoint(tmp_path / "out", process)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Interrupted. The same command goes on" in printed
    assert "Traceback" not in printed
    assert list((tmp_path / "out" / "artifacts" / "sample" / "Trainer").glob("*/[0-9]*")) == []
    assert not (tmp_path / "out" / "pushed").exists()


def test_verbose_shows_the_chatter_too(first_run, run):
    output, _ = first_run
    done = run("--output", output, "--set", "evaluator.min_accuracy=0.7", "--verbose")
    assert done.returncode == 0
    assert "Going to run a new execution" in done.stderr
    (log,) = re.findall(r"^log: (.+)$", done.stdout, re.MULTILINE)
    assert "Going to run a new execution" in Path(log).read_text()


def test_real_photos_through_every_node(real_data, run, tmp_path):
    """One epoch at 96 px, which learns a little: far from the preset's gate, clearly better than chance."""
    settings = ["trainer.epochs=1", "data.image_size=96", "evaluator.min_accuracy=0.3", "evaluator.min_class_recall=0"]
    flags = [word for setting in settings for word in ("--set", setting)]
    done = run("--preset", "flowers-convnet", "--data", real_data / "flowers-192", "--output", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _states(done.stdout) == dict.fromkeys(NODES, "done")
    assert "2,980 train · 690 eval" in done.stdout  # the codelab's split: the first three shards
    assert "3,670 photos keep the schema and can be decoded" in done.stdout
    assert "drawings" not in done.stdout
    (report,) = re.findall(r"^report +(/.+)$", done.stdout, re.MULTILINE)
    assert 200e3 < Path(report).stat().st_size < 5e6  # with its photos, and no more
