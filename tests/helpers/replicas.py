"""Trains tiny models on the devices of TF_CONFIG or --cpus, and prints the results as one line of JSON.

Each trains for two epochs and goes on to a third from the checkpoints, "dense" to a fourth; before each, one of two
workers is set back to what a kill before its last commit would have left. The records of RECORDS, which has a transform
graph in `graph`, are read too. Run as a script, since TensorFlow's devices are fixed once it has started:
python -m tests.helpers.replicas FOLDER MODEL... [--cpus N] [--records RECORDS]
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.python.data.ops import multi_device_iterator_ops
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer import balance, fitting, input_pipeline, run, strategy, tfrecords
from trainer.checkpoints import Checkpoints
from trainer.models.batch_norm import BatchNormalization
from trainer.settings import LearningRate, Recipe, Trainer

SIZE, BATCH, STEPS, CLASSES, RATE = 32, 16, 3, 5, 1e-3
SHAPE = (SIZE, SIZE, 3)
RECORDS = 40  # at most, each of a class of its own


def dense() -> keras.Model:
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])


def convolution() -> keras.Model:
    """A convolution, whose batch the replicas must share evenly. Tracing a deeper model for eight takes minutes."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(x)))


MODELS = {"dense": dense, "convolution": convolution}


def inputs_of(chosen: tf.distribute.Strategy, uneven: bool) -> fitting.Inputs:
    pixels = np.random.default_rng(0).uniform(-1, 1, (BATCH, *SHAPE)).astype(np.float32)
    labels = np.arange(BATCH) % CLASSES
    photos = tf.data.Dataset.from_tensor_slices((pixels, np.eye(CLASSES, dtype=np.float32)[labels]))
    photos = photos.with_options(tfrecords.reading_options())
    weights = balance.loss_weights(1 + np.arange(CLASSES) ** 2)[labels]
    weighted = tf.data.Dataset.zip(photos, tf.data.Dataset.from_tensor_slices(weights))
    size, drop = strategy.evaluation_batch(chosen, BATCH, BATCH)
    part = photos.take(BATCH - 3).batch(BATCH) if uneven else photos.batch(size, drop_remainder=drop)
    whole = weighted.map(lambda photo, weight: (*photo, weight)).batch(BATCH, drop_remainder=True).repeat()
    return fitting.Inputs(BATCH, STEPS, lambda first_epoch: whole, part)


def end_at_once() -> None:
    """Lets TensorFlow's iterators on each device end at once, by switching off their autotuning, as ours has it off.

    The thread that tunes an iterator is woken just before TensorFlow marks it as cancelled. If it looks too early, it
    sleeps on, up to a minute, and whoever deletes the iterator waits. There is no option for these iterators.
    """
    create = multi_device_iterator_ops._create_device_dataset
    multi_device_iterator_ops._create_device_dataset = lambda *arguments: create(*arguments).with_options(
        tfrecords.reading_options()
    )


def average(chosen: tf.distribute.Strategy) -> list[float]:
    """Returns each replica's copy of a batch norm's average, after a step in which each saw its own number."""
    with chosen.scope():
        layer = BatchNormalization(momentum=0.0)
        layer.build((None, 1, 1, 1))

    def step() -> None:
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        layer(tf.fill([2, 1, 1, 1], tf.cast(number, tf.float32)), training=True)

    tf.function(lambda: chosen.run(step))()
    return [float(copy[0]) for copy in chosen.experimental_local_results(layer.moving_mean.value)]


def train(chosen: tf.distribute.Strategy, name: str, folder: str) -> dict:
    rate = RATE / chosen.num_replicas_in_sync  # which the schedule multiplies again
    own = Path(strategy.own_folder(chosen, f"{folder}/{name}"))
    for epochs in (2, 3, 4) if name == "dense" else (2, 3):
        _set_back(own, chosen, epochs)
        keras.utils.set_random_seed(0)
        settings = Trainer(
            epochs=epochs,
            learning_rate=LearningRate(start=rate, peak=rate),
            steps_per_execution=STEPS,
            ema=0.5 if name == "convolution" else 0,
        )
        checkpoints = Checkpoints(str(own), chosen)
        with chosen.scope():
            model = MODELS[name]()
            # A dense layer takes a batch that the replicas cannot share evenly: a matrix may have no rows.
            inputs = inputs_of(chosen, uneven=name == "dense")
            fitting.fit(model, settings, chosen, inputs, checkpoints)
    return {
        "loss": checkpoints.history["loss"],
        "val_loss": checkpoints.history["val_loss"],
        "weights": float(sum(np.abs(value).sum() for value in model.get_weights())),
        "details": strategy.details(chosen),
        "words": strategy.describe(chosen),
        "steps_per_execution": model.steps_per_execution,
        "chief": strategy.is_chief(chosen),
        "folder": checkpoints.folder.removeprefix(folder),
    }


def _set_back(own: Path, chosen: tf.distribute.Strategy, epochs: int) -> None:
    """Takes the last commit from worker 1 before the third epoch, and from the chief before the fourth."""
    if epochs == 2 or not strategy.several_workers(chosen) or strategy.is_chief(chosen) != (epochs == 4):
        return
    state = json.loads((own / "state.json").read_text())
    last = state["finished"]
    state["history"] = {key: values[:-1] for key, values in state["history"].items()}
    accuracies = state["history"]["val_accuracy"]
    state |= {"finished": last - 1, "best": accuracies.index(max(accuracies)) + 1}
    (own / "state.json").write_text(json.dumps(state))
    for path in own.glob(f"*-{last}.*"):
        path.unlink()


def read(chosen: tf.distribute.Strategy, folder: str) -> dict[str, list[list[int]]]:
    """Returns the records, by their classes, that this worker gets of each step of two epochs and of the eval split."""
    transform = tft.TFTransformOutput(f"{folder}/graph")
    train, held_out = [f"{folder}/train*.tfrec"], [f"{folder}/eval.tfrec"]
    steps = input_pipeline.measure(train).records // BATCH
    held_out_size = input_pipeline.measure(held_out)
    size = strategy.evaluation_batch(chosen, held_out_size.records, BATCH)
    training = input_pipeline.training(train, transform, RECORDS, BATCH, seed=3).take(2 * steps)
    evaluation = input_pipeline.evaluation(held_out, transform, RECORDS, *size, held_out_size)
    return {"training": _classes(chosen, training), "evaluation": _classes(chosen, evaluation)}


def evaluate(chosen: tf.distribute.Strategy, folder: str) -> list[float]:
    """Returns the loss of a model on the eval split of the records, by Keras and by hand."""
    held_out, transform = [f"{folder}/eval.tfrec"], tft.TFTransformOutput(f"{folder}/graph")
    records = input_pipeline.measure(held_out)
    size = strategy.evaluation_batch(chosen, records.records, BATCH)
    batches = input_pipeline.evaluation(held_out, transform, RECORDS, *size, records)
    with chosen.scope():
        shape = batches.element_spec[0].shape[1:]
        model = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(RECORDS)])
        fitting.compile_model(model, Trainer(), chosen, 1)
        by_keras = model.evaluate(batches, verbose=0, return_dict=True)["loss"]
    losses = [keras.losses.categorical_crossentropy(classes, model(pixels), True) for pixels, classes in batches]
    return [float(by_keras), float(np.concatenate(losses).mean())]


def export(chosen: tf.distribute.Strategy, records: str, folder: str) -> dict[str, list[str]]:
    """Trains softmax regression on the records with the Trainer's code; returns the files when it returned."""
    given = FnArgs(
        train_files=[f"{records}/train*.tfrec"],
        eval_files=[f"{records}/eval.tfrec"],
        transform_graph_path=f"{records}/graph",
        serving_model_dir=f"{folder}/model/serving",
        model_run_dir=f"{folder}/run",
        custom_config={"checkpoints": None, "code": ""},
    )
    classes = [f"class {number}" for number in range(RECORDS)]
    data, training = {"classes": classes, "image_size": 48}, {"epochs": 1, "batch_size": BATCH // 2}
    recipe = Recipe(data=data, model={"name": "softmax"}, trainer=training)
    run._train_and_export(given, recipe, chosen)
    return {name: sorted(path.name for path in Path(folder, name).iterdir()) for name in ("model", "run")}


def _classes(chosen: tf.distribute.Strategy, batches: tf.data.Dataset) -> list[list[int]]:
    given = chosen.experimental_distribute_dataset(batches)
    steps = [chosen.experimental_local_results(classes) for _, classes in given]
    return [[int(number) for part in parts for number in tf.argmax(part, axis=1)] for parts in steps]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--records")
    args = parser.parse_args()
    end_at_once()
    if args.cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * args.cpus)
        chosen = strategy.Mirrored([f"CPU:{index}" for index in range(args.cpus)])
    else:
        chosen = strategy.choose()
    trained = {name: train(chosen, name, args.folder) for name in args.models}
    given = {}
    if args.records:
        given = {"evaluated": evaluate(chosen, args.records)} if args.cpus > 1 else read(chosen, args.records)
        if strategy.several_workers(chosen):
            given["exported"] = export(chosen, args.records, f"{args.folder}/exported")
    print("\n" + json.dumps(trained | {"average": average(chosen), **given}))


if __name__ == "__main__":
    main()
