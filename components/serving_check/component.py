"""The node ServingCheck: proves before a push that the exported model serves.

The model is loaded in a process that has TensorFlow alone, as in TensorFlow Serving, and answers requests through every
signature. The answers must be those of the Trainer's model. Latency and peak memory are measured.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tfx import v1 as tfx
from tfx.components.util import model_utils
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, ModelRun
from tfx.utils import io_utils, path_utils

from components import sections, verdict
from components.artifacts import Artifacts
from components.serving_check import client, plan
from components.serving_check.judge import TOLERANCE, Findings, judge
from components.stage import Stage
from components.verdict import Check
from trainer.features import CHECKS

TIMEOUT_S = 600.0  # for all requests
_FIGURES = "figures.json"  # of the client, in the folder of the blessing
_CHECK = "serving check"
_SHOWN = 5  # problems


@tfx.dsl.components.component
def ServingCheck(  # noqa: N802 (TFX names components like classes)
    model: tfx.dsl.components.InputArtifact[Model],
    model_run: tfx.dsl.components.InputArtifact[ModelRun],
    model_blessing: tfx.dsl.components.InputArtifact[ModelBlessing],
    blessing: tfx.dsl.components.OutputArtifact[InfraBlessing],
    settings: tfx.dsl.components.Parameter[str],
) -> None:
    """Blesses a model that serves; a model that the Evaluator refused is not checked, and not blessed.

    Args:
      model: the candidate.
      model_run: the Trainer's record, with its own answers for some photos.
      model_blessing: the Evaluator's verdict.
      blessing: checks.json, figures.json and a section of the report. Its property `blessed` is read by Pusher.
      settings: `largest_batch`, `max_latency_ms` and `max_memory_mb` as JSON; see `pipeline.config.ServingCheck`.
    """
    if not model_utils.is_model_blessed(model_blessing):
        return _record(blessing, [], blessed=False)
    limits = json.loads(settings)
    expected, records = plan.read(model_run.uri)
    requests = plan.make(expected, records, limits["largest_batch"])
    answers, figures = _send(requests, path_utils.serving_model_path(model.uri))
    findings = judge(requests, expected, answers, figures)
    found = _checks(findings, figures, limits)
    io_utils.write_string_file(f"{blessing.uri}/{_FIGURES}", json.dumps(figures, indent=2))
    _write_section(blessing.uri, findings, figures, limits["largest_batch"])
    return _record(blessing, found, blessed=all(each.passed for each in found))


def _record(blessing: InfraBlessing, found: list[Check], blessed: bool) -> None:
    """Writes the verdict in the form of TFX's InfraValidator, and the checks in the form of `components.checks`."""
    io_utils.write_string_file(f"{blessing.uri}/{'INFRA_BLESSED' if blessed else 'INFRA_NOT_BLESSED'}", "")
    io_utils.write_string_file(f"{blessing.uri}/{CHECKS}", verdict.to_json(found))
    blessing.set_int_custom_property("blessed", int(blessed))
    blessing.set_string_custom_property("refused", verdict.refusal(found))


def _send(requests: plan.Plan, model: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the answers of the client's process and its figures; if it crashed, `failed` says how."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "://" in model:
            io_utils.copy_dir(model, str(folder / "model"))
            model = str(folder / "model")
        plan.write(requests, model, folder)
        if problem := _run(folder):
            return {}, {"failed": problem, "signatures": []}
        figures = json.loads((folder / "figures.json").read_text())
        with np.load(folder / "answers.npz", allow_pickle=False) as arrays:
            return dict(arrays), figures


def _run(folder: Path) -> dict[str, str]:
    """Runs the client in an empty folder; returns {} or what the process was doing when it ended, and how it ended."""
    (folder / "empty").mkdir()
    command = [sys.executable, "-I", str(client.__file__), str(folder)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}  # the GPU's memory belongs to the process of the pipeline
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        try:
            code: int | None = subprocess.run(  # noqa: S603
                command, cwd=folder / "empty", env=environment, stdout=output, stderr=errors, timeout=TIMEOUT_S
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    if code == 0:
        return {}
    lines = (folder / "errors").read_text(errors="replace").splitlines()
    logging.error("the process of the serving check failed:\n%s", "\n".join(lines))
    doing = (folder / "output").read_text(errors="replace").splitlines()[-1:] or ["starting"]
    return {doing[0]: _end(code, lines)}


def _end(code: int | None, lines: list[str]) -> str:
    if code is None:
        return f"no answer after {TIMEOUT_S:g} s"
    if code >= 0:
        return f"the process ended with the code {code}: {lines[-1] if lines else ''}"
    name = signal.Signals(-code).name
    return f"the process was ended by {name}" + ", which is sent when memory runs out" * (name == "SIGKILL")


def _checks(findings: Findings, figures: dict[str, Any], limits: dict[str, Any]) -> list[Check]:
    """Returns the checks for the gate's table; limits that are None are not checked."""
    listed = "; ".join(findings.problems[:_SHOWN] + ["…"] * (len(findings.problems) > _SHOWN))
    if listed:
        value = findings.difference if findings.photos else None
        return [Check(_CHECK, value, TOLERANCE, False, None, None, findings.photos, upper=True, problem=listed)]
    measured = {
        "difference": (findings.difference, TOLERANCE, findings.photos),
        "latency in ms": (figures["latency_ms"]["serving_default"], limits["max_latency_ms"], 1),
        "memory in MB": (figures["memory_mb"], limits["max_memory_mb"], 1),
    }
    return [
        Check(f"{_CHECK}: {what}", value, limit, value <= limit, None, None, n, upper=True)
        for what, (value, limit, n) in measured.items()
        if limit is not None
    ]


def _write_section(folder: str, findings: Findings, figures: dict[str, Any], largest_batch: int) -> None:
    """Writes the section of the report: the problems, or the times of each signature."""
    if findings.problems:
        rows = [[problem] for problem in findings.problems]
        sections.write(folder, "Serving", "The exported model does not serve.", ["problem"], rows)
        return
    text = (
        "The exported model was loaded in a process that has TensorFlow alone, on the CPU, in "
        f"{figures['load_s']:.1f} s. Its answers for {findings.photos:,} photos differ from those of the Trainer's "
        "model by at most "
        f"{findings.difference:.2g} of a probability; {TOLERANCE:g} is allowed. The largest memory of the process was "
        f"{figures['memory_mb']:,.0f} MB. The times are those of this machine under its load."
    )
    rows = [
        [name, round(figures["latency_ms"][name], 1), round(figures["largest_ms"][name], 1)]
        for name in figures["signatures"]
        if name in figures["latency_ms"]
    ]
    sections.write(folder, "Serving", text, ["signature", "one photo, ms", f"{largest_batch} photos, ms"], rows)


def read(outputs: Artifacts) -> tuple[bool, list[Check]]:
    """Returns whether the node's blessing is given, and its checks; TFX's InfraValidator writes no checks."""
    (blessing,) = outputs["blessing"]
    path = Path(blessing.uri) / CHECKS
    found = verdict.from_json(path.read_text()) if path.exists() else []
    return bool(blessing.get_int_custom_property("blessed")), found


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    blessed, found = read(outputs)
    path = Path(outputs["blessing"][0].uri) / _FIGURES
    figures = json.loads(path.read_text()) if path.exists() else {}
    if not found:
        return "blessed" if blessed else "not checked, because the Evaluator did not bless the model"
    if not figures["signatures"]:
        return "not blessed"
    latency, memory = figures["latency_ms"].get("serving_default"), figures["memory_mb"]
    measured = f"{latency:.1f} ms for a photo · " if latency else ""
    return f"{measured}{memory:,.0f} MB · {'blessed' if blessed else 'not blessed'}"


STAGE = Stage("ServingCheck", ("blessing",), _figure)
