"""The serving check blesses a good export, and refuses each damaged one with its reason; nothing is then pushed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx.types.standard_artifacts import InfraBlessing

from components.serving_check import client, component, plan
from components.serving_check.judge import TOLERANCE
from tests.conftest import PACKAGES
from tests.helpers.trained import replacing
from trainer.export import in_float32
from trainer.features import CLASSIFY, LABEL, STATUS


def _refused(served: InfraBlessing) -> str:
    assert served.get_int_custom_property("blessed") == 0
    return served.get_string_custom_property("refused")


def _checks(served: InfraBlessing) -> list[dict[str, Any]]:
    return json.loads(Path(served.uri, "checks.json").read_text())


def test_a_good_export_is_blessed_and_measured(trained, tmp_path):
    trained.export()
    served = trained.check(tmp_path, max_latency_ms=60_000, max_memory_mb=60_000)
    assert served.get_string_custom_property("refused") == ""
    assert served.get_int_custom_property("blessed") == 1
    difference, latency, memory = _checks(served)
    assert difference["what"] == "serving check: difference"
    assert 0 <= difference["value"] < 1e-4 < difference["floor"] == TOLERANCE
    assert difference["n"] == 3 * (
        1 + 3 + 40 + 1 + 2
    )  # three signatures have probabilities; two requests have other photos too
    assert 0 < latency["value"] < 60_000 and latency["what"].endswith("in ms")
    assert 100 < memory["value"] < 60_000
    figures = json.loads(Path(served.uri, "figures.json").read_text())
    names = {"serving_default", "serve_examples", "prediction_set", CLASSIFY, "transform_features"}
    assert set(figures["signatures"]) == set(figures["latency_ms"]) == set(figures["largest_ms"]) == names
    section = json.loads(Path(served.uri, "section.json").read_text())
    assert {row[0] for row in section["rows"]} == names
    assert "40 photos, ms" in section["columns"]
    assert component.STAGE.figure({"blessing": [served]}, {}).endswith(" MB · blessed")


def _isolated(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-I", *arguments, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)


def test_the_process_has_no_code_of_the_project(trained, tmp_path):
    """Neither from the current folder, nor from where the project is installed."""
    expected, found = plan.read(str(trained.folder / "run"))
    plan.write(plan.make(expected, found, 1), "/model", tmp_path)
    content = json.loads((tmp_path / "requests.json").read_text())
    assert {*PACKAGES, "errors", "tfx"} <= set(content["absent"])
    names = [*PACKAGES, "errors", "tfx", "trainer.images"]
    script = f"""
import importlib, json, runpy, sys
for name in {names}:
    assert importlib.util.find_spec(name.partition(".")[0]), name
absent = runpy.run_path({client.__file__!r})["_Absent"]
sys.meta_path.insert(0, absent(json.load(open(sys.argv[1] + "/requests.json"))["absent"]))
for name in {names}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    done = _isolated(tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{name.partition('.')[0]} is not there where the model is served" for name in names
    ]
    (tmp_path / "requests.json").write_text(json.dumps(content | {"absent": ["numpy"]}))
    done = _isolated(tmp_path, client.__file__)
    assert done.returncode == 1
    assert "numpy is not there where the model is served" in done.stderr


def test_other_weights_in_one_variable_are_refused(trained, tmp_path):
    changed = in_float32(trained.model)
    kernel = changed.layers[-1].kernel
    kernel.assign(tf.reverse(kernel, [0]))
    trained.export(changed)
    served = trained.check(tmp_path)
    reason = _refused(served)
    (check,) = _checks(served)
    assert check["value"] > TOLERANCE
    assert (
        f"serving check: a probability differs from the Trainer's by {check['value']:.4f}; at most 0.01 may" in reason
    )


def test_a_missing_signature_and_a_missing_output_are_refused(trained, tmp_path):
    def without(loaded: Any, signatures: dict[str, Any]) -> dict[str, Any]:
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def answer(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = signatures["serving_default"](image_bytes=image_bytes)
            return {name: value for name, value in outputs.items() if name != STATUS}

        return {**{key: each for key, each in signatures.items() if key != CLASSIFY}, "serving_default": answer}

    trained.change(without)
    reason = _refused(trained.check(tmp_path))
    assert "the signature classify is missing" in reason
    assert "serving_default, one photo: the output status is missing" in reason


def test_a_graph_that_raises_on_a_damaged_photo_is_refused(trained, tmp_path):
    def decoded(photos: tf.Tensor, answer: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        sizes = tf.map_fn(lambda photo: tf.shape(tf.io.decode_image(photo))[0], photos, tf.int32)
        return answer | {LABEL: tf.where(sizes > 0, answer[LABEL], "")}

    trained.change(replacing(decoded))
    reason = _refused(trained.check(tmp_path))
    assert reason.startswith("serving check: serving_default, damaged photos: InvalidArgumentError: ")
    assert "one photo" not in reason


def test_a_slow_and_a_large_export_are_refused_by_their_limits(trained, tmp_path):
    trained.export()
    served = trained.check(tmp_path, max_latency_ms=0.1, max_memory_mb=1)
    reason = _refused(served)
    assert "serving check: latency in ms " in reason and "(limit 0.1)" in reason
    assert "serving check: memory in MB " in reason
    assert [each["passed"] for each in _checks(served)] == [True, False, False]
    assert component.STAGE.figure({"blessing": [served]}, {}).endswith(" · not blessed")


def test_project_code_in_the_export_is_refused(trained, tmp_path):
    """A py_function calls Python of the process that exported it."""
    from trainer import images

    def decoded(photos: tf.Tensor, answer: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        def read(photos: tf.Tensor) -> tf.Tensor:
            return tf.ones_like(photos, tf.float32) * images.MAX_PIXELS

        known = tf.py_function(read, [photos], tf.float32)
        return answer | {LABEL: tf.where(known > 0, answer[LABEL], "")}

    trained.change(replacing(decoded))
    reason = _refused(trained.check(tmp_path))
    assert "serving_default, one photo: " in reason and "pyfunc" in reason


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (f"os.kill(os.getpid(), {int(signal.SIGSEGV)})", "the process was ended by SIGSEGV"),
        (
            f"os.kill(os.getpid(), {int(signal.SIGKILL)})",
            "the process was ended by SIGKILL, which is sent when memory runs out",
        ),
        ("sys.exit('no space left')", "the process ended with the code 1: no space left"),
        ("time.sleep(60)", "no answer after 2 s"),
    ],
)
def test_a_process_that_ends_is_a_refusal_not_a_failed_node(trained, tmp_path, monkeypatch, statement, reason):
    trained.export()
    (tmp_path / "client.py").write_text(f"import os, sys, time\nprint('loading the model', flush=True)\n{statement}\n")
    monkeypatch.setattr(client, "__file__", str(tmp_path / "client.py"))
    monkeypatch.setattr(component, "TIMEOUT_S", 2.0)
    served = trained.check(tmp_path)
    assert _refused(served) == f"serving check: loading the model: {reason}"
    assert component.STAGE.figure({"blessing": [served]}, {}) == "not blessed"


def test_a_folder_without_a_model_is_refused(trained, tmp_path):
    trained.export()
    (trained.folder / "model" / "Format-Serving" / "saved_model.pb").unlink()
    served = trained.check(tmp_path / "to")
    assert "loading the model: " in _refused(served)


def test_a_model_that_the_evaluator_refused_is_not_checked(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "__file__", "/missing")
    served = trained.check(tmp_path, evaluator=False)
    assert _refused(served) == ""
    assert _checks(served) == []
    figure = component.STAGE.figure({"blessing": [served]}, {})
    assert figure == "not checked, because the Evaluator did not bless the model"


def test_the_reference_has_the_first_photos_of_the_split(trained):
    expected, found = plan.read(str(trained.folder / "run"))
    assert len(found) == len(expected.probabilities) == 32
    assert np.ptp(expected.probabilities, axis=0).max() > 10 * TOLERANCE  # otherwise a difference would not show
    made = plan.make(expected, found, 40)
    assert len(made.requests[plan.LARGEST]) == 40
    assert set(made.requests[plan.DAMAGED]) >= set(range(made.damaged, len(made.photos)))
    assert len(made.photos) == len(made.examples)


def test_a_gpu_is_hidden_from_the_process(trained, tmp_path, monkeypatch):
    """The pipeline's process has reserved its memory."""
    trained.export()
    (tmp_path / "client.py").write_text("import os, sys\nsys.exit(os.environ['CUDA_VISIBLE_DEVICES'])\n")
    monkeypatch.setattr(client, "__file__", str(tmp_path / "client.py"))
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "-1"
    assert _refused(trained.check(tmp_path)).endswith("the process ended with the code 1: -1")
