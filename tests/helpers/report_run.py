"""The outputs of a run for a report."""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components import predictions
from components.report.sources import Sources
from pipeline import settings
from testing import graphs
from testing.example_gen import write_table
from tests.helpers import records
from tests.helpers.report_sources import HISTORY, folders_of, sources
from trainer import models
from trainer.export import export

CLASSES = ("daisy", "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "a & b", "tulips")
PER_SPLIT = {"train": 30, "eval": 10, "test": 15}
CHECKS = [
    {"what": "accuracy", "value": 0.2, "floor": 0.5, "passed": False, "low": 0.09, "high": 0.39, "n": 30},
    {"what": f"recall of {CLASSES[1]}", "floor": 0.25, "passed": False, "n": 0}
    | dict.fromkeys(("value", "low", "high")),
    {"what": "recall of daisy", "value": 1.0, "floor": 0.25, "passed": True, "low": 0.2065, "high": 1.0, "n": 1},
]


def write(folder: Path, name: str, text: str = "") -> str:
    """Writes a file and returns its folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return str(folder)


def write_examples(folder: Path, light: int = 0) -> str:
    """Writes the photos of all splits, brighter by `light`; returns the folder."""
    for split, count in PER_SPLIT.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "data.gz"), "GZIP") as writer:
            for index in range(count):
                size = (40, 40) if index % 3 else (40, 60)
                photo = records.jpeg((10 * index % 200 + light, 60, light), size)
                writer.write(records.example(index % 5, photo).SerializeToString())
    return str(folder)


def _anomalies(folder: Path) -> str:
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["label"].description = "unexpected value: <b>roses</b>"
    for split, anomalies in (
        ("train", anomalies_pb2.Anomalies()),
        ("eval", found),
        ("test", anomalies_pb2.Anomalies()),
    ):
        (folder / f"Split-{split}").mkdir(parents=True)
        (folder / f"Split-{split}" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
    return str(folder)


def _predict(model: Path, records_file: str, evaluation: Path) -> None:
    """Writes predictions like Evaluator, in the reverse order of the records, because Beam guarantees no order."""
    serialized = list(tf.data.TFRecordDataset(records_file, "GZIP").as_numpy_iterator())[::-1]
    serve = tf.saved_model.load(f"{model}/Format-Serving").signatures["serve_examples"]
    answers = {name: value.numpy() for name, value in serve(examples=tf.constant(serialized)).items()}
    labels = np.arange(len(serialized))[::-1] % 5
    batch = {"input": serialized, "labels": labels, "predictions": answers}
    evaluation.mkdir()
    with tf.io.TFRecordWriter(str(evaluation / "predictions-00000-of-00001.gz"), "GZIP") as writer:
        for each in predictions._examples(batch):
            writer.write(each)


def complete_run(root: Path) -> Sources:
    """Writes the outputs of a run with 55 photos, hostile class names and an untrained model that was refused."""
    transform = graphs.build(root / "graph", [records.jpeg()], image_size=16)
    keras.utils.set_random_seed(7)  # with these weights, the model is sure of some photos
    export(models.build("softmax", (16, 16, 3), 5), transform, CLASSES, str(root / "model" / "Format-Serving"))
    config = settings.load(
        changes={"data.classes": CLASSES, "data.directory": "/data/<i>photos</i>", "data.image_size": 16}
    )
    examples = write_examples(root / "examples")
    _predict(root / "model", f"{examples}/Split-test/data.gz", root / "evaluation")
    folders = {
        "ImportExampleGen.examples": examples,
        "ImportExampleGen.table": write_table(examples, str(root / "table")),
        "ExampleValidator.anomalies": _anomalies(root / "anomalies"),
        "Transform.transform_graph": str(root / "graph"),
        "Trainer.model": str(root / "model"),
        "Trainer.model_run": write(root / "model_run", "history.json", json.dumps(HISTORY)),
        "Evaluator.evaluation": write(root / "evaluation", "checks.json", json.dumps(CHECKS)),
        "Evaluator.blessing": write(root / "blessing", "NOT_BLESSED"),
    }
    more = {"code": "0123456789abcdef", "command": "python local_runner.py --config settings.yaml", "root": str(root)}
    more["judged"] = "test"
    return sources(config.model_dump(mode="json"), folders, **more)


def changed(complete: Sources, changes: dict[str, str | None]) -> Sources:
    """Returns the sources of a run with other folders, given by 'Node.output'; None removes an output."""
    folders = {channel: folder for channel, folder in (folders_of(complete) | changes).items() if folder}
    return sources(complete.settings, folders, root=complete.root, judged=complete.judged)
