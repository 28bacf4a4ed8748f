"""Trains tiny models on the devices that TF_CONFIG or --cpus makes, and prints what came of it as one line of JSON.

Run as a script, since TensorFlow's devices are fixed once it has started: python -m tests.replicas MODEL... [--cpus N]
"""

import argparse
import json

import keras
import numpy as np
import tensorflow as tf

from trainer import models, strategy

SIZE, BATCH, STEPS, RATE = 32, 16, 3, 1e-3


def dense(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes)])


def train(chosen: tf.distribute.Strategy, name: str, wanted: int) -> dict:
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    pixels = generator.uniform(-1, 1, (BATCH, SIZE, SIZE, 3)).astype(np.float32)
    batch = tf.data.Dataset.from_tensors((pixels, np.arange(BATCH) % 5)).unbatch().batch(BATCH, drop_remainder=True)
    steps = strategy.steps_per_execution(chosen, STEPS, wanted)
    with chosen.scope():
        model = dense((SIZE, SIZE, 3), 5) if name == "dense" else models.build(name, (SIZE, SIZE, 3), 5)
        model.compile(
            optimizer=keras.optimizers.Adam(RATE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            steps_per_execution=steps,
            jit_compile=False,
        )
    if name == "dense":  # a smaller batch that the replicas cannot share evenly: a matrix may have no rows
        part = batch.unbatch().take(BATCH - 3).batch(BATCH)
    else:
        size, drop = strategy.evaluation_batch(chosen, BATCH, BATCH)
        part = batch.unbatch().batch(size, drop_remainder=drop)
    history = model.fit(batch.repeat(), epochs=2, steps_per_epoch=STEPS, validation_data=part, verbose=0)
    return {
        "loss": history.history["loss"],
        "val_loss": history.history["val_loss"],
        "weights": float(sum(np.abs(value).sum() for value in model.get_weights())),
        "details": strategy.details(chosen),
        "words": strategy.describe(chosen),
        "steps_per_execution": steps,
        "chief": strategy.is_chief(chosen),
        "folder": strategy.own_folder(chosen, "folder"),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--cpus", type=int, default=1)
    args = parser.parse_args()
    if args.cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * args.cpus)
        chosen = strategy.Mirrored([f"CPU:{index}" for index in range(args.cpus)])
    else:
        chosen = strategy.choose()
    print(json.dumps({name: train(chosen, name, wanted=3) for name in args.models}))


if __name__ == "__main__":
    main()
