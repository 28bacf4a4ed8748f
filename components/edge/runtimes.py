"""Runs a file of the node Edge with the runtime of its format: LiteRT, or ONNX Runtime.

`python -I runtimes.py FILE` measures its speed in a process that has neither TensorFlow nor this project, and prints
{"images_per_second": …}.
"""

import json
import os
import statistics
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_CALLS, _SECONDS = 10, 2.0  # of the measurement: at least, after as many calls that are not measured


class Loaded(NamedTuple):
    """A file that can be run.

    Attributes:
      shape: height, width and channels of the pixels.
      labels: the class names.
      predict: maps pixels, uint8 [n, height, width, channels], to probabilities, float32 [n, classes].
    """

    shape: tuple[int, int, int]
    labels: list[str]
    predict: Callable[[np.ndarray], np.ndarray]


def load(path: str | Path, threads: int = 1) -> Loaded:
    """Loads a file of the format that its suffix names, `.tflite` or `.onnx`.

    Args:
      path: a local file.
      threads: the runtime's threads.
    """
    return (_onnx if Path(path).suffix == ".onnx" else _litert)(str(path), threads)


def _litert(path: str, threads: int) -> Loaded:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = target["quantization"]  # 0.0 and 0 for float outputs

    def predict(pixels: np.ndarray) -> np.ndarray:
        rows = []
        for photo in pixels:
            interpreter.set_tensor(source["index"], photo[np.newaxis])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(target["index"])[0].astype(np.float32))
        answers = np.stack(rows)
        return (answers - np.float32(zero)) * np.float32(scale) if scale else answers

    with zipfile.ZipFile(path) as archive:
        labels = archive.read("labels.txt").decode().splitlines()
    return Loaded(tuple(source["shape"][1:].tolist()), labels, predict)


def _onnx(path: str, threads: int) -> Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    return Loaded(tuple(source.shape[1:]), labels, lambda pixels: session.run(None, {source.name: pixels})[0])


def images_per_second(path: str) -> float:
    """Returns the rate of one photo at a time on one core, from the median time of a call."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    loaded = load(path)
    photo = np.random.default_rng(0).integers(0, 256, (1, *loaded.shape), np.uint8)
    seconds: list[float] = []
    for _ in range(_CALLS):
        loaded.predict(photo)
    end = time.perf_counter() + _SECONDS
    while len(seconds) < _CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        loaded.predict(photo)
        seconds.append(time.perf_counter() - start)
    return 1 / statistics.median(seconds)


def main(arguments: list[str]) -> None:
    """Prints the speed of a file as JSON."""
    found: dict[str, Any] = {"images_per_second": images_per_second(arguments[0])}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
