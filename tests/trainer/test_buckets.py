"""A training with all folders in a bucket; TensorFlow's in-memory file system replaces the bucket."""

import json
import uuid

import numpy as np
import pytest
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from ingest.sample import CLASSES
from pipeline.config import Config
from testing import graphs
from tests.helpers import records
from tests.trainer.test_fitting import Cut, PowerCut
from tests.trainer.test_weights import FORMATS, outputs, small
from trainer import models, weights
from trainer.checkpoints import Checkpoints
from trainer.recipe import weights_beside
from trainer.run import _checkpoint_folder, run_fn
from trainer.settings import Recipe

EPOCHS, STEPS, BATCH = 4, 3, 4


@pytest.fixture
def bucket() -> str:
    return f"ram://{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> str:
    """A transform graph in the bucket; Beam cannot write there."""
    made, there = tmp_path_factory.mktemp("graph"), f"ram://{uuid.uuid4().hex}"
    graphs.build(made, [records.jpeg()], image_size=16)
    for path in sorted(made.rglob("*")):
        target = f"{there}/{path.relative_to(made)}"
        tf.io.gfile.makedirs(target) if path.is_dir() else tf.io.gfile.copy(str(path), target)
    return there


def _fn_args(bucket: str, graph: str, **changes) -> FnArgs:
    for folder in ("train", "eval", "model", "run"):
        tf.io.gfile.makedirs(f"{bucket}/{folder}")
    for split, count in (("train", STEPS * BATCH), ("eval", BATCH)):
        with tf.io.TFRecordWriter(f"{bucket}/{split}/examples.tfrec") as writer:
            for index in range(count):
                writer.write(records.example(index % 5, records.jpeg((50 * (index % 5), 90, 20))).SerializeToString())
    config = Config(
        model={"name": "cnn"},
        data={"image_size": 16},
        trainer={"epochs": EPOCHS, "batch_size": BATCH},
        serving={"sure_coverage": 0.5, "set_coverage": 0.5},
    )
    given = {
        "train_files": [f"{bucket}/train/*"],
        "eval_files": [f"{bucket}/eval/*"],
        "transform_graph_path": graph,
        "serving_model_dir": f"{bucket}/model/Format-Serving",
        "model_run_dir": f"{bucket}/run",
        "custom_config": {"recipe": config.recipe.model_dump(mode="json"), "checkpoints": None, "code": "0"},
    }
    return FnArgs(**given | changes)


def _run(fn_args: FnArgs, steps: int) -> None:
    """Trains at most so many steps, and then breaks off."""
    with pytest.MonkeyPatch.context() as patch:
        given, cut = Checkpoints.callbacks, Cut(steps)
        patch.setattr(Checkpoints, "callbacks", lambda self, ema: [*given(self, ema), cut])
        run_fn(fn_args)


def _read(path: str) -> dict:
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


@pytest.fixture(scope="module")
def trained(graph) -> FnArgs:
    """A training that was broken off in its third epoch and goes on, with what it read and wrote."""
    fn_args = _fn_args(f"ram://{uuid.uuid4().hex}", graph)
    with pytest.raises(PowerCut):
        _run(fn_args, STEPS * 2 + 1)
    assert _read(f"{fn_args.model_run_dir}/checkpoints/state.json")["finished"] == 2
    _run(fn_args, STEPS * 2)  # no more than what is left
    return fn_args


def test_a_broken_training_goes_on_in_a_bucket(trained):
    history = _read(f"{trained.model_run_dir}/history.json")
    assert history["epochs"] == len(history["history"]["loss"]) == EPOCHS
    folder = f"{trained.model_run_dir}/checkpoints"
    kept = {name.partition(".")[0] for name in tf.io.gfile.listdir(folder)}
    assert kept == {"epoch-2", "epoch-3", "epoch-4", f"best-{history['best_epoch']}", "logs", "state"}
    assert len(tf.io.gfile.glob(f"{folder}/logs/train/events*")) == 2


def test_what_a_bucket_holds_to_serve_is_what_was_trained(trained):
    model = models.build("cnn", (16, 16, 3), len(CLASSES))
    assert not weights.load(model, weights_beside(trained.serving_model_dir)).skipped
    served = tf.saved_model.load(trained.serving_model_dir)
    photo = records.example(1).SerializeToString()
    pixels = served.signatures["transform_features"](examples=tf.constant([photo]))["pixels"]
    answer = served.signatures["serve_examples"](examples=tf.constant([photo]))["probabilities"]
    fitted = _read(f"{trained.model_run_dir}/history.json")["fitted"]
    assert np.allclose(tf.nn.softmax(model(pixels) / fitted["temperature"]), answer, atol=1e-5)
    assert (fitted["photos"], None in fitted.values()) == (BATCH, False)
    assert "prediction_set" in served.signatures
    assert "sure" in served.signatures["serving_default"].structured_outputs


def test_a_model_in_a_bucket_is_the_next_ones_start(trained, bucket, graph, capsys):
    fn_args = _fn_args(bucket, graph, base_model=trained.serving_model_dir)
    fn_args.custom_config["recipe"]["trainer"]["epochs"] = 1
    fn_args.custom_config["recipe"]["serving"] = {"sure_accuracy": 1.0}
    serve = tf.saved_model.load(trained.serving_model_dir).signatures["serve_examples"]
    photo = records.example(0).SerializeToString()
    least = int(np.argmin(serve(examples=tf.constant([photo]))["probabilities"]))
    tf.io.gfile.remove(f"{bucket}/eval/examples.tfrec")
    with tf.io.TFRecordWriter(f"{bucket}/eval/examples.tfrec") as writer:  # none of these photos will be right
        for _ in range(BATCH):
            writer.write(records.example(least).SerializeToString())
    run_fn(fn_args)
    path = weights_beside(trained.serving_model_dir)
    printed = capsys.readouterr().out
    assert f"weights {path}: 9 of 9 layers loaded" in printed
    assert "no photo is sure: no threshold reaches serving.sure_accuracy on the eval split" in printed


def test_a_training_resumes_with_other_thresholds_but_not_with_another_recipe(bucket, graph):
    fn_args = _fn_args(bucket, graph)
    config = fn_args.custom_config | {"checkpoints": bucket}

    def folder(**changes):
        recipe = Recipe.model_validate(config["recipe"]).changed(changes)
        return _checkpoint_folder(_fn_args(bucket, graph, custom_config=config), recipe, 1)

    assert folder() == folder(**{"serving.sure_coverage": 0.9}) != folder(**{"trainer.seed": 1})
    limited = folder(**{"trainer.minutes": 2})
    assert folder() != limited == folder(**{"trainer.minutes": 1})  # the time that is left differs after a restart


@pytest.mark.parametrize("suffix", FORMATS)
def test_weights_make_the_round_trip_through_a_bucket(bucket, suffix):
    path = f"{bucket}/new/model{suffix}"
    trained, model = small(), small()
    model.set_weights([weight / 2 for weight in trained.get_weights()])
    weights.save(model, path)
    weights.save(trained, path)
    report = weights.load(model, path)
    assert np.array_equal(outputs(model), outputs(trained))
    assert report.file == path
    assert tf.io.gfile.listdir(f"{bucket}/new") == [f"model{suffix}"]


def test_weights_that_are_not_written_to_the_end_leave_the_ones_before(bucket, monkeypatch):
    model, path = small(), f"{bucket}/model.npz"
    weights.save(model, path)
    before = tf.io.gfile.GFile(path, "rb").read()

    def broken(file, **arrays):
        file.write_bytes(b"PK")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(OSError, match="No space left"):
        weights.save(model, path)
    assert tf.io.gfile.GFile(path, "rb").read() == before


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, ""), (b"no weights at all", "starts with b'no weigh'"), (b"\x89HDF\r\n\x1a\n", "Unable to")],
    ids=["missing", "other", "short"],
)
def test_a_bucket_file_that_cannot_be_read_is_named(bucket, content, text):
    if content:
        with tf.io.gfile.GFile(f"{bucket}/model.h5", "wb") as file:
            file.write(content)
    with pytest.raises(
        ValueError, match=f"(?s)weights file {bucket}/model.h5 cannot be read: .*{text}.*expected arrays"
    ):
        weights.load(small(), f"{bucket}/model.h5")
