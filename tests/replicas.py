"""Trains tiny models on the devices that TF_CONFIG or --cpus makes, and prints what came of it as one line of JSON.

Each trains for two epochs, and goes on to a third from the checkpoints. Run as a script, since TensorFlow's devices are
fixed once it has started: python -m tests.replicas FOLDER MODEL... [--cpus N]
"""

import argparse
import json

import keras
import numpy as np
import tensorflow as tf

from pipeline.config import LearningRate, Trainer
from trainer import fitting, models, records, strategy
from trainer.checkpoints import Checkpoints
from trainer.models.batch_norm import BatchNormalization

SIZE, BATCH, STEPS, CLASSES, RATE = 32, 16, 3, 5, 1e-3
SHAPE = (SIZE, SIZE, 3)


def dense() -> keras.Model:
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])


def inputs_of(chosen: tf.distribute.Strategy, uneven: bool) -> fitting.Inputs:
    pixels = np.random.default_rng(0).uniform(-1, 1, (BATCH, *SHAPE)).astype(np.float32)
    photos = tf.data.Dataset.from_tensor_slices((pixels, np.eye(CLASSES, dtype=np.float32)[np.arange(BATCH) % CLASSES]))
    photos = photos.with_options(records.untuned())
    size, drop = strategy.evaluation_batch(chosen, BATCH, BATCH)
    part = photos.take(BATCH - 3).batch(BATCH) if uneven else photos.batch(size, drop_remainder=drop)
    whole = photos.batch(BATCH, drop_remainder=True).repeat()
    return fitting.Inputs(BATCH, STEPS, lambda first_epoch: whole, part)


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
    for epochs in (2, 3):
        keras.utils.set_random_seed(0)
        settings = Trainer(
            epochs=epochs,
            learning_rate=LearningRate(start=rate, peak=rate),
            steps_per_execution=STEPS,
            ema=0.5 if name == "convnet" else 0,
        )
        checkpoints = Checkpoints(strategy.own_folder(chosen, f"{folder}/{name}"))
        with chosen.scope():
            model = dense() if name == "dense" else models.build(name, SHAPE, CLASSES)
            # A dense layer takes a batch that the replicas cannot share evenly: a matrix may have no rows.
            inputs = inputs_of(chosen, uneven=name == "dense")
            fitting.fit(model, settings.model_dump(mode="json"), chosen, inputs, checkpoints)
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--cpus", type=int, default=1)
    args = parser.parse_args()
    if args.cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * args.cpus)
        chosen = strategy.Mirrored([f"CPU:{index}" for index in range(args.cpus)])
    else:
        chosen = strategy.choose()
    trained = {name: train(chosen, name, args.folder) for name in args.models}
    print("\n" + json.dumps(trained | {"average": average(chosen)}))


if __name__ == "__main__":
    main()
