"""Which devices train: a TPU, several GPUs, or the one device that is there."""

import os

import tensorflow as tf


def choose() -> tf.distribute.Strategy:
    """Returns TPUStrategy where TPU_NAME names one, MirroredStrategy on several GPUs, else the default strategy.

    The TPU branch has not been run: no TPU was at hand. A TPU that is named and fails raises, rather than training
    on the CPU unseen.
    """
    if tpu := os.environ.get("TPU_NAME"):
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(tpu)
        return tf.distribute.TPUStrategy(resolver)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def describe(strategy: tf.distribute.Strategy) -> str:
    """Returns the strategy, its replicas and the kind of device in a few words, as in '1 × CPU'."""
    gpus = tf.config.list_physical_devices("GPU")
    kind = "TPU" if isinstance(strategy, tf.distribute.TPUStrategy) else "GPU" if gpus else "CPU"
    return f"{strategy.num_replicas_in_sync} × {kind}"
