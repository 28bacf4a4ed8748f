"""What the Trainer writes, and the serving check of it; see the tests of components/serving_check."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, ModelRun, PushedModel

from components import pushing
from components.serving_check import client, component, plan
from components.serving_check.judge import judge
from ingest.sample import CLASSES
from testing import graphs
from tests.helpers import records
from trainer import familiarity, reference
from trainer.calibration import Fitted
from trainer.export import export
from trainer.models import head

SETTINGS = {"largest_batch": 40, "max_latency_ms": None, "max_memory_mb": None}
FITTED = Fitted(temperature=0.5, threshold=0.6, quantile=0.7)
_SIDE = 16


class Trained:
    """What the Trainer writes: an export and its model_run."""

    def __init__(self, folder: Path):
        self.folder = folder
        keras.utils.set_random_seed(1)
        self.model = _model()
        self.graph = graphs.build(folder / "graph", [records.jpeg()], image_size=_SIDE)
        data = records.folder(folder / "data", shards=2, per_shard=25)
        random = np.random.default_rng(0)
        features, logits = random.normal(size=(8, 8)), random.normal(size=(8, 5)).astype(np.float32)
        self.familiar = familiarity.fit(features, features, logits)
        (folder / "run").mkdir()
        reference.write(str(folder / "run"), self.model, [f"{data}/*"], self.graph)
        history = {"recipe": {"data": {"classes": CLASSES}}, "fitted": FITTED._asdict(), "familiarity": {}}
        (folder / "run" / "history.json").write_text(json.dumps(history))

    def export(self, model: keras.Model | None = None, classes: Any = CLASSES, fitted: Fitted = FITTED) -> None:
        """Writes an export, which may differ from what `model_run` says; the good one is written once."""
        folder, good = self.folder / "model" / "Format-Serving", self.folder / "good"
        shutil.rmtree(folder, ignore_errors=True)
        if (model, classes, fitted) == (None, CLASSES, FITTED) and good.exists():
            shutil.copytree(good, folder)
            return
        export(model or self.model, self.graph, classes, str(folder), fitted, self.familiar)
        if (model, classes, fitted) == (None, CLASSES, FITTED):
            shutil.copytree(folder, good)

    def change(self, change: Callable[[Any, dict[str, Any]], dict[str, Any]]) -> None:
        """Replaces the signatures of a good export by `change(loaded model, signatures)`."""
        self.export()
        loaded = tf.saved_model.load(str(self.folder / "model" / "Format-Serving"))
        signatures = change(loaded, dict(loaded.signatures))
        tf.saved_model.save(loaded, str(self.folder / "model" / "Format-Serving"), signatures)

    def problems(self) -> str:
        """Returns what is wrong with the answers of the export in this process, which has TensorFlow already."""
        expected, found = plan.read(str(self.folder / "run"))
        made, answers = plan.make(expected, found, 8), {}
        figures = {"failed": {}, "latency_ms": {}, "largest_ms": {}}
        loaded = tf.saved_model.load(str(self.folder / "model" / "Format-Serving"))
        figures["signatures"] = sorted(loaded.signatures)
        content = {"requests": made.requests, "one": plan.ONE, "largest": plan.LARGEST}
        of_kind = {plan.PHOTOS: made.photos, plan.EXAMPLES_FILE: made.examples}
        for name, each in made.signatures.items():
            call = client._caller(tf, loaded.signatures[name], each.argument, of_kind[each.records])
            client._send(name, call, content, answers, figures)
        answers = {key: client._plain(np, value) for key, value in answers.items()}
        findings = judge(made, expected, answers, figures)
        return "; ".join(findings.problems)

    def check(self, to: Path, evaluator: bool = True, **settings: Any) -> InfraBlessing:
        """Runs the node, and then Pusher, which pushes exactly the blessed models."""
        model, run, blessing, served = Model(), ModelRun(), ModelBlessing(), InfraBlessing()
        model.uri, run.uri = str(self.folder / "model"), str(self.folder / "run")
        blessing.uri, served.uri = str(to / "blessing"), str(to / "served")
        blessing.set_int_custom_property("blessed", int(evaluator))
        node = component.ServingCheck.EXECUTOR_SPEC.executor_class()
        inputs = {"model": [model], "model_run": [run], "model_blessing": [blessing]}
        node.Do(inputs, {"blessing": [served]}, {"settings": json.dumps(SETTINGS | settings)})
        pushed = PushedModel()
        pushed.uri = str(to / "pushed_model")
        destination = json.dumps({"filesystem": {"base_directory": str(to / "pushed")}})
        inputs = {"model": [model], "model_blessing": [blessing], "infra_blessing": [served]}
        pushing.Executor().Do(inputs, {"pushed_model": [pushed]}, {"push_destination": destination})
        blessed = bool(served.get_int_custom_property("blessed"))
        assert (to / "pushed").exists() == blessed
        assert [path.name for path in (to / "served").glob("INFRA_*")] == [
            "INFRA_" + "NOT_" * (not blessed) + "BLESSED"
        ]
        return served


def _model() -> keras.Model:
    pixels = keras.Input((_SIDE, _SIDE, 3), name="pixels")
    x = keras.layers.Conv2D(8, 3, activation="relu")(pixels)
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(pixels, head.logits(keras.layers.GlobalAveragePooling2D()(x), len(CLASSES)))


def replacing(change: Callable[[tf.Tensor, dict[str, tf.Tensor]], dict[str, tf.Tensor]]) -> Any:
    """Returns a change of an export whose `serving_default` answers change(photos, good answer)."""

    def changed(loaded: Any, signatures: dict[str, Any]) -> dict[str, Any]:
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def answer(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return change(image_bytes, signatures["serving_default"](image_bytes=image_bytes))

        return signatures | {"serving_default": answer}

    return changed
