"""Loads the versions of a model, and new versions while the server runs."""

import gc
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model import loader_impl

from serving import metrics
from serving.batching import Batcher
from serving.errors import RequestError
from serving.folders import find
from serving.forms import Arrays, Input
from trainer import class_names

_STATES = {True: "AVAILABLE", False: "END"}
_RETRY_S = 60.0  # until a version that cannot be loaded is tried again: it may still be copied

_log = logging.getLogger("serving")


class Signature(NamedTuple):
    """A signature of a loaded version.

    Attributes:
      method: TensorFlow Serving's method, such as `tensorflow/serving/predict`.
      inputs: the inputs by name; the first axis, the batch, is left out.
      batch: runs the signature; see `Batcher`.
    """

    method: str
    inputs: dict[str, Input]
    batch: Batcher


class Version(NamedTuple):
    """A loaded version: its number, its signatures by name, their protos, and the class names, if it has any."""

    number: int
    signatures: dict[str, Signature]
    definitions: dict[str, Any]
    classes: list[str] | None


class _Failure(NamedTuple):
    reason: str
    retry_at: float  # of time.monotonic()


MakeBatcher = Callable[[Callable[[Arrays], Arrays]], Batcher]


class Versions:
    """The versions of one model; the newest is served.

    `refresh` runs in one thread. Requests read `_loaded` and `_failed`, which are replaced and never changed. A version
    that is replaced is freed when its last request is answered.
    """

    def __init__(self, folder: str, name: str, make_batcher: MakeBatcher):
        self.name = name
        self._folder = folder.rstrip("/")
        self._make_batcher = make_batcher
        self._loaded: dict[int, Version] = {}
        self._failed: dict[int, _Failure] = {}

    def refresh(self) -> None:
        """Loads the newest version, if it is not loaded, and then drops the one before it.

        A version that cannot be loaded is logged, the version before it is served on, and the failed version is tried
        again after a minute. If the folder cannot be read, or has no version, the loaded version is served on.
        """
        try:
            found = find(self._folder)
        except Exception as error:  # TensorFlow's file systems raise many kinds
            _log.error("cannot look for new versions: %s", error)
            return
        self._failed = {number: failure for number, failure in self._failed.items() if number in found}
        for number in sorted(found, reverse=True):
            if number in self._loaded or self._load(number, found[number]):
                return

    def _load(self, number: int, folder: str) -> bool:
        failure = self._failed.get(number)
        if failure and time.monotonic() < failure.retry_at:
            return False
        try:
            version = load(number, folder, self._make_batcher)
        except Exception as error:  # TensorFlow's loader raises many kinds
            _log.exception("version %d cannot be loaded", number)
            reason = f"{type(error).__name__}: {error}"
            self._failed = {**self._failed, number: _Failure(reason, time.monotonic() + _RETRY_S)}
            return False
        self._loaded = {number: version}
        self._failed = {other: failure for other, failure in self._failed.items() if other != number}
        metrics.VERSION.set(number)
        _log.info("version %d is loaded", number)
        gc.collect()  # the replaced version has reference cycles
        return True

    @property
    def ready(self) -> bool:
        """Whether a version is loaded."""
        return bool(self._loaded)

    def get(self, number: int | None = None) -> Version:
        """Returns a loaded version; the newest without a number.

        Raises:
          RequestError: 404, when this version is not served; 503, when none is loaded yet.
        """
        loaded = self._loaded
        if number is None and not loaded:
            raise RequestError(503, f"no version of {self.name} is loaded yet; send the request again", retry_after=1)
        if number is None:
            return loaded[max(loaded)]
        if number not in loaded:
            served = ", ".join(map(str, sorted(loaded))) or "none"
            raise RequestError(404, f"version {number} of {self.name} is not served; expected one of: {served}")
        return loaded[number]

    def status(self, number: int | None = None) -> list[dict[str, Any]]:
        """Returns the state of each version, or of one, as TensorFlow Serving's model status API does.

        Raises:
          RequestError: 404, when there is no version of this number.
        """
        states = [(each, True, "OK", "") for each in self._loaded]
        states += [(each, False, "UNKNOWN", failure.reason) for each, failure in self._failed.items()]
        if number is not None and number not in (each for each, *_ in states):
            self.get(number)
        return [
            {"version": str(each), "state": _STATES[loaded], "status": {"error_code": code, "error_message": reason}}
            for each, loaded, code, reason in sorted(states, reverse=True)
            if number in (None, each)
        ]


def load(number: int, folder: str, make_batcher: MakeBatcher) -> Version:
    """Loads a version and runs each signature once, so that the first request is as fast as the others.

    Raises:
      Exception: what TensorFlow raises for a folder that is no SavedModel.
    """
    model = tf.saved_model.load(folder)
    protos = loader_impl.parse_saved_model(folder).meta_graphs[0].signature_def
    signatures = {}
    for name, function in model.signatures.items():
        inputs = {key: _input(spec) for key, spec in function.structured_input_signature[1].items()}
        run = _runner(model, function)
        run({key: np.zeros((0, *(size or 1 for size in each.shape)), each.dtype) for key, each in inputs.items()})
        signatures[name] = Signature(protos[name].method_name, inputs, make_batcher(run))
    definitions = {name: protos[name] for name in signatures}
    return Version(number, signatures, definitions, class_names.read(folder))


def _input(spec: tf.TensorSpec) -> Input:
    return Input(np.dtype(spec.dtype.as_numpy_dtype), tuple(spec.shape[1:]))


def _runner(model: Any, function: Any) -> Callable[[Arrays], Arrays]:
    """Returns a function of arrays. It keeps `model`, because a signature does not keep the model's variables."""

    def run(inputs: Arrays, model: Any = model) -> Arrays:
        tensors = {name: tf.constant(array, dtype=spec.dtype) for (name, array), spec in _paired(inputs, function)}
        return {name: tensor.numpy() for name, tensor in function(**tensors).items()}

    return run


def _paired(inputs: Arrays, function: Any) -> Any:
    specs = function.structured_input_signature[1]
    return [((name, array), specs[name]) for name, array in inputs.items()]
