"""Checks that this machine's TPU trains every model family, and prints a report: python -m trainer.tpu_check

It needs the packages of `requirements/tpu-check.txt` and no data; `notebooks/tpu.ipynb` runs it on Kaggle and Colab.
Each line of the report is one check. Without a TPU, the first check fails and the others run on the CPU.
"""

import argparse
import contextlib
import importlib.metadata
import io
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from trainer import device_files
from trainer.families import FAMILIES, PROBE

MODELS = tuple(name for name in FAMILIES if name != PROBE)  # a probe has the layers of another family
_PACKAGES = ("tensorflow-tpu", "tensorflow", "libtpu", "keras", "numpy")
_SIDE, _CLASSES, _STEPS, _EPOCHS = 96, 5, 3, 2
_DYNAMIC = "[<="  # in HLO, a dimension that is only known to be limited


class Line(NamedTuple):
    """The result of a check: its name, 'ok' or 'FAILED', the seconds it took, and what was seen."""

    name: str
    result: str
    seconds: float
    seen: str


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report and returns 0, or 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL", help="default: all")
    parser.add_argument("--batch", type=int, default=8, metavar="PHOTOS", help="for each replica (8)")
    args = parser.parse_args(argv)
    if not device_files.tpus():  # otherwise libtpu asks for Google Cloud's metadata server for minutes
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    print(f"\n{platform.platform()}, Python {platform.python_version()}, {_versions()}", flush=True)
    for name in sorted(name for name in os.environ if name.startswith("TPU_")):
        print(f"{name}={os.environ[name]}")
    lines = [_checked("devices", _devices)]
    for model in args.models:
        lines.append(_checked(f"{model}: is lowered", partial(_lowered, model)))
        lines.append(_checked(f"{model}: trains", partial(_trains, model, args.batch)))
    failed = sum(line.result != "ok" for line in lines)
    print(f"{len(lines) - failed} of {len(lines)} checks passed", flush=True)
    return min(failed, 1)


def _versions() -> str:
    packages = importlib.metadata.distributions()
    installed = {package.metadata["Name"].replace("_", "-"): package.version for package in packages}
    return ", ".join(f"{name} {installed[name]}" for name in _PACKAGES if name in installed)


def _checked(name: str, check: Callable[[], str]) -> Line:
    start = time.monotonic()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras's figures of each epoch
            result, seen = "ok", check()
    except Exception as error:  # the report names every failure, so that one run on a rented machine tells all
        result, seen = "FAILED", f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    line = Line(name, result, time.monotonic() - start, seen)
    print(f"{line.result:<7} {line.name:<32} {line.seconds:7.1f} s  {line.seen}", flush=True)
    return line


def _devices() -> str:
    from trainer import devices, strategy

    chosen = _strategy()
    strategy.check_kind(chosen, "TPU")
    return f"{strategy.describe(chosen)}; {', '.join(devices.inventory())}"


def _strategy() -> Any:
    """Returns the strategy of the Trainer; the second call returns the first one's, because a TPU is set up once."""
    global _chosen
    if _chosen is None:
        import keras

        from trainer import strategy

        _chosen = strategy.choose()
        keras.config.set_dtype_policy(strategy.precision_policy(_chosen))
    return _chosen


_chosen: Any = None


def _lowered(name: str) -> str:
    """Lowers loss, gradients and new moving averages of a model for a TPU, with static shapes.

    TensorFlow lowers for a TPU without one if it is built for TPUs; another build lowers for the CPU. The function has
    no variables, because TensorFlow cannot lower these for a device that it does not have. The precision is a TPU's.
    """
    import keras
    import tensorflow as tf

    from trainer import models

    kind = "TPU" if tf.config.list_physical_devices("TPU_SYSTEM") else "CPU"
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.build(name, (_SIDE, _SIDE, 3), _CLASSES)
    finally:
        keras.config.set_dtype_policy(policy)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    trained, others = len(model.trainable_variables), len(model.non_trainable_variables)

    def step(pixels: Any, classes: Any, *values: Any) -> list[Any]:
        weights = list(values[:trained])
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, state = model.stateless_call(weights, list(values[trained:]), pixels, training=True)
            value = loss(classes, logits)
        return [value, *tape.gradient(value, weights), *state]

    batch = tf.TensorSpec([8, _SIDE, _SIDE, 3]), tf.TensorSpec([8, _CLASSES])
    specs = [tf.TensorSpec(v.shape, v.dtype) for v in (*model.trainable_variables, *model.non_trainable_variables)]
    compiler = tf.function(step, jit_compile=True).experimental_get_compiler_ir(*batch, *specs)
    program = compiler(stage="hlo", platform_name=kind)
    if _DYNAMIC in program:
        raise ValueError(f"expected static shapes, received {_DYNAMIC} in the program")
    return f"for a {kind}: {len(program.splitlines())} lines, {trained} gradients, {others} other values"


def _trains(name: str, batch: int) -> str:
    """Trains two epochs on random pixels with the Trainer's own code, and predicts on one device in float32."""
    import keras
    import numpy as np
    import tensorflow as tf

    from trainer import export, fitting, models, strategy
    from trainer.checkpoints import Checkpoints
    from trainer.settings import Trainer

    chosen = _strategy()
    photos = strategy.scaled(chosen, batch)
    keras.utils.set_random_seed(0)
    pixels = np.random.default_rng(0).uniform(-1, 1, (photos, _SIDE, _SIDE, 3)).astype(np.float32)
    classes = np.eye(_CLASSES, dtype=np.float32)[np.arange(photos) % _CLASSES]
    one = tf.data.Dataset.from_tensors((tf.constant(pixels), tf.constant(classes)))
    inputs = fitting.Inputs(photos, _STEPS, lambda first_epoch: one.repeat(), one)
    with tempfile.TemporaryDirectory() as folder, chosen.scope():
        model = models.build(name, (_SIDE, _SIDE, 3), _CLASSES)
        checkpoints = Checkpoints(folder, chosen)
        fitting.fit(model, Trainer(epochs=_EPOCHS, batch_size=batch), chosen, inputs, checkpoints)
    logits = export.in_float32(model).predict(pixels[:8], verbose=0)
    if not np.isfinite(logits).all():
        raise ValueError("expected finite logits from the exported model")
    first, last = checkpoints.history["loss"]
    step = checkpoints.history["training_seconds"][-1] / _STEPS
    return f"{_STEPS * _EPOCHS} steps of {photos} photos, loss {first:.4f}, {last:.4f}; {1000 * step:.1f} ms a step"


if __name__ == "__main__":
    sys.exit(main())
