"""The Trainer uses hyper-parameters of the Tuner, and weights of the latest blessed model."""

import json
from pathlib import Path

import ml_metadata as mlmd
import pytest
import yaml
from ml_metadata.proto import metadata_store_pb2

from tests.helpers import records

RECIPE = {
    "data": {"image_size": 16},
    "trainer": {"epochs": 2, "batch_size": 4},
    "evaluator": {"min_accuracy": 0, "min_class_recall": 0, "max_accuracy_drop": 1},
}


@pytest.fixture
def start(main, tmp_path):
    folder = records.folder(tmp_path / "data", shards=3, per_shard=10)

    def run(code: int = 0, **changes) -> str:
        file = tmp_path / "tiny.yaml"
        file.write_text(
            "name: tiny\n"
            + yaml.safe_dump({key: RECIPE.get(key, {}) | changes.get(key, {}) for key in RECIPE | changes})
        )
        returned, printed = main("--config", file, "--data", folder, "--output", tmp_path / "out")
        assert returned == code, printed
        return printed

    return run


def _models(output: Path) -> list[metadata_store_pb2.Artifact]:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(output / "metadata.sqlite")
    return mlmd.MetadataStore(config).get_artifacts_by_type("Model")


def test_the_trainer_takes_the_best_hyper_parameters(start, tmp_path):
    search = {"trainer.learning_rate.peak": [0.001, 0.002], "model.options.alpha": [0.5], "trainer.batch_size": [5]}
    printed = start(tuner={"trials": 2, "epochs": 1, "search": search})
    (line,) = [line for line in printed.splitlines() if line.startswith("done   Tuner")]
    assert "model.options.alpha 0.5 · trainer.batch_size 5" in line
    (line,) = [line for line in printed.splitlines() if line.startswith("hyper-parameters: ")]
    assert "trainer.learning_rate.peak 0.00" in line
    (model,) = _models(tmp_path / "out")
    assert model.custom_properties["global_batch"].int_value == 5
    (results,) = (tmp_path / "out").rglob("tuner_results.json")
    trials = json.loads(results.read_text())
    assert sorted(trial["trainer.learning_rate.peak"] for trial in trials) == [0.001, 0.002]


def test_what_trained_the_model_is_in_its_metadata(start, tmp_path):
    # float16: with oneDNN held to AVX2, a processor that has bfloat16 cannot train in it
    printed = start(trainer={"precision": "mixed_float16", "steps_per_execution": 5})
    (model,) = _models(tmp_path / "out")
    properties = model.custom_properties
    assert properties["devices"].string_value == "1 × CPU"
    assert json.loads(properties["strategy"].string_value)["replicas"] == 1
    assert properties["precision"].string_value == "mixed_float16"
    assert (properties["epochs"].int_value, properties["global_batch"].int_value) == (2, 4)
    assert 0 <= properties["val_accuracy"].double_value <= 1
    assert f"val_accuracy {properties['val_accuracy'].double_value:.3f} · epoch" in printed


def test_a_warm_start_begins_with_the_latest_blessed_model(start, tmp_path):
    first = start(trainer={"warm_start": True})
    assert "done   WarmStart" in first
    assert "layers loaded" not in first
    second = start(trainer={"warm_start": True})
    assert "8 of 8 layers loaded" in second
    assert len(_models(tmp_path / "out")) == 2
    third = start(trainer={"warm_start": True, "epochs": 1}, model={"options": {"alpha": 0.5}}, code=1)
    assert "failed Trainer" in third
    assert "nothing in the weights file" in third
    assert "conv2d (kernel has shape (3, 3, 3, 16) in the file, (3, 3, 3, 8) in the model)" in third
