"""Files for devices against the SavedModel, on one core: size, and photos a second with decoding and without.

The SavedModel decodes and predicts batches; a file predicts one photo at a time, after Pillow has decoded it. The
calls alternate, so that the ratios hold on a busy machine. The weights are random; accuracies come from a run.
"""

import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import report, run_module

MODELS = ("convnet", "efficientnet_lite0")
ROUNDS, BATCHES = 12, (1, 16, 32)


def main() -> None:
    """Measures in a new process, whose TensorFlow has one thread."""
    for name in MODELS:
        print(run_module("benchmarks.edge", name), end="")


def measure(name: str) -> None:
    """Prints the figures of a model of the flowers."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        photos, files, weights = _files(name, Path(folder))
        signature = tf.saved_model.load(f"{folder}/model/1").signatures["serving_default"]
        pixels = np.stack([_decode(photo) for photo in photos])
        calls: dict[str, Callable[[], Any]] = {
            f"SavedModel, batches of {batch}": partial(_saved_model, signature, photos, batch) for batch in BATCHES
        }
        for form, (_, loaded) in files.items():
            calls[form] = partial(_decoded, loaded.predict, photos)
            calls[f"{form} without decoding"] = partial(_one_at_a_time, loaded.predict, pixels)
        rates = _rates(calls, len(photos))
        best = max(rate for what, rate in rates.items() if what.startswith("SavedModel"))
        for what, rate in rates.items():
            ratio, goal = rate / best, what.startswith("litert") and "without" not in what
            value = f"{rate:.0f}/s, {ratio:.2f} x"
            report(f"{name}: {what}", value, ">= 1.5 x" if goal else "none", not goal or ratio >= 1.5)
        for form, (size, _) in files.items():
            share, goal = size / weights, form.endswith("int8")
            limit = "<= 30 %" if goal else "none"
            report(f"{name}: size of {form}", f"{share:.1%}", limit, not goal or share <= 0.3)


def _saved_model(signature: Any, photos: list[bytes], batch: int) -> None:
    import tensorflow as tf

    for start in range(0, len(photos), batch):
        signature(image_bytes=tf.constant(photos[start : start + batch]))["label"].numpy()


def _decode(photo: bytes) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(photo)))


def _decoded(predict: Callable[[Any], Any], photos: list[bytes]) -> None:
    for photo in photos:
        predict(_decode(photo)[None])


def _one_at_a_time(predict: Callable[[Any], Any], pixels: Any) -> None:
    for each in pixels:
        predict(each[None])


def _files(name: str, folder: Path) -> tuple[list[bytes], dict[str, tuple[int, Any]], int]:
    """Returns photos, the size of each file with the loaded file, and the bytes of the weights in float32."""
    import numpy as np
    import tensorflow as tf

    from benchmarks import serving
    from components.edge import convert, runtimes
    from components.edge.formats import LITERT_FLOAT16, LITERT_INT8, ONNX, file_name
    from ingest.sample import CLASSES
    from trainer import models

    photos = serving.export(name, folder)
    model = models.build(name, (192, 192, 3), len(CLASSES))
    pixels = np.stack([tf.io.decode_jpeg(photo).numpy() for photo in photos])
    scale = np.full(3, 2 / 255, np.float32)
    source = convert.Source(model, convert.Normalisation(scale, -np.ones(3, np.float32)), 1.0, CLASSES)
    files = {}
    for form in (LITERT_FLOAT16, LITERT_INT8, ONNX):
        path = folder / file_name(form)
        path.write_bytes(convert.convert(form, source, pixels))
        files[form] = path.stat().st_size, runtimes.load(path)
    return photos, files, 4 * model.count_params()


def _rates(calls: dict[str, Callable[[], Any]], photos: int) -> dict[str, float]:
    """Returns photos a second, from the median of some rounds, each of which has all calls."""
    seconds: dict[str, list[float]] = {what: [] for what in calls}
    for _ in range(ROUNDS + 1):
        for what, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[what].append(time.perf_counter() - start)
    return {what: photos / statistics.median(several[1:]) for what, several in seconds.items()}


if __name__ == "__main__":
    if sys.argv[1:]:
        measure(sys.argv[1])
    else:
        main()
