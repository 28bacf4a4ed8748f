"""Loads an exported model and sends requests to it: `python -I client.py FOLDER`.

The node ServingCheck starts this file in a process of its own. It imports only TensorFlow and what belongs to it, as
TensorFlow Serving has nothing else either. FOLDER/requests.json names the model, the records of the requests, and the
packages that must not be imported. The answers are written to FOLDER/answers.npz, times and errors to figures.json.
"""

import contextlib
import importlib.abc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_WARM_UP, _CALLS, _FEWEST, _SECONDS = 5, 30, 5, 2.0  # of the timed calls: at most 30, and at least 5 in 2 seconds

_PLACES = ("Graph execution error", "Detected at node", "<stack traces unavailable>")


class _Absent(importlib.abc.MetaPathFinder):
    """Refuses to import some packages, wherever they are installed."""

    def __init__(self, packages: Iterable[str]):
        self._packages = frozenset(packages)
        if imported := sorted(self._packages & set(sys.modules)):
            raise ImportError(f"imported before the check began: {', '.join(imported)}")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raises ModuleNotFoundError for these packages; other finders find the rest."""
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{name} is not there where the model is served", name=name)


def main(folder: Path) -> None:
    """Sends the requests. The last line of the output is what the process is doing, in case it crashes."""
    plan = json.loads((folder / "requests.json").read_text())
    with contextlib.suppress(OSError):  # if memory runs out, the system ends this process, not the pipeline's
        Path("/proc/self/oom_score_adj").write_text("1000")
    _say("importing TensorFlow")
    sys.meta_path.insert(0, _Absent(plan["absent"]))
    import numpy as np
    import tensorflow as tf

    records = {name: _read(tf, folder / name) for name in plan["records"]}
    answers: dict[str, Any] = {}
    figures: dict[str, Any] = {"failed": {}, "signatures": [], "latency_ms": {}, "largest_ms": {}}
    _say("loading the model")
    start = time.perf_counter()
    try:
        model = tf.saved_model.load(plan["model"])
    except Exception as error:
        figures["failed"]["loading the model"] = _first_line(error)
    else:
        figures["load_s"] = time.perf_counter() - start
        figures["signatures"] = sorted(model.signatures)
        for name, (argument, kind) in plan["signatures"].items():
            if name in model.signatures:
                call = _caller(tf, model.signatures[name], argument, records[kind])
                _send(name, call, plan, answers, figures)
    figures["memory_mb"] = _peak_memory_mb()
    np.savez(folder / "answers.npz", **{key: _plain(np, value) for key, value in answers.items()})
    (folder / "figures.json").write_text(json.dumps(figures))


def _say(what: str) -> None:
    print(what, flush=True)


def _read(tf: Any, path: Path) -> list[bytes]:
    return [record.numpy() for record in tf.data.TFRecordDataset(str(path))]


def _caller(tf: Any, signature: Any, argument: str, records: list[bytes]) -> Callable[[list[int]], dict[str, Any]]:
    """Returns a function of the records' numbers that calls the signature and waits for all outputs."""

    def call(numbers: list[int]) -> dict[str, Any]:
        batch = tf.constant([records[number] for number in numbers], tf.string)
        return {name: tensor.numpy() for name, tensor in signature(**{argument: batch}).items()}

    return call


def _send(
    name: str,
    call: Callable[[list[int]], dict[str, Any]],
    plan: dict[str, Any],
    answers: dict[str, Any],
    figures: dict[str, Any],
) -> None:
    """Sends all requests to one signature, and measures the request with one photo and the largest."""
    requests, one, largest = plan["requests"], plan["one"], plan["largest"]
    for request, numbers in requests.items():
        _say(f"{name}, {request}")
        try:
            outputs = call(numbers)
            if request == largest:  # again, because the first call of a shape also prepares it
                start = time.perf_counter()
                call(numbers)
                figures["largest_ms"][name] = 1000 * (time.perf_counter() - start)
        except Exception as error:
            figures["failed"][f"{name}, {request}"] = _first_line(error)
            continue
        answers |= {f"{name}/{request}/{output}": value for output, value in outputs.items()}
    if f"{name}, {one}" not in figures["failed"]:
        _say(f"{name}, {one}, several times")
        figures["latency_ms"][name] = 1000 * _median_seconds(lambda: call(requests[one]))


def _median_seconds(call: Callable[[], Any]) -> float:
    seconds: list[float] = []
    for _ in range(_WARM_UP):
        call()
    while len(seconds) < _FEWEST or len(seconds) < _CALLS and sum(seconds) < _SECONDS:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _peak_memory_mb() -> float:
    """Returns the largest resident memory of this process in MiB.

    getrusage would also count the process that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) / 1024


def _plain(np: Any, value: Any) -> Any:
    """Returns an array that can be stored without pickle: strings as bytes of one length."""
    return value.astype("S") if value.dtype == np.object_ else value


def _first_line(error: Exception) -> str:
    """Returns the first line of an error that says what is wrong, not where in the graph."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(_PLACES)] or [""]
    return f"{type(error).__name__}: {telling[0]}"[:300]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
