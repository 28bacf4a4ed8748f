"""Loads the versions of a model, and new versions while the server runs."""

import gc
import logging
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model import loader_impl

from serving import metrics
from serving.batching import Batcher
from serving.errors import RequestError, brief, refuse_unknown
from serving.folders import find
from serving.forms import Arrays, Input
from storage.aliases import CHAMPION, Aliases
from storage.aliases import read as read_aliases
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
    """A loaded version: its number, its signatures by name, their protos, class names if it has any, and folder."""

    number: int
    signatures: dict[str, Signature]
    definitions: dict[str, Any]
    classes: list[str] | None
    folder: str


class _Failure(NamedTuple):
    reason: str
    retry_at: float  # of time.monotonic()


MakeBatcher = Callable[[Callable[[Arrays], Arrays]], Batcher]


class _State(NamedTuple):
    """What requests read: the loaded versions, the one that is served by default, the aliases, and their problems."""

    loaded: dict[int, Version]
    served: int | None
    aliases: Aliases
    problems: list[str]


class Versions:
    """The versions of one model. The champion is served by default; without a champion, the newest version is.

    `refresh` runs in one thread. Requests read `_state` and `_failed`, which are replaced and never changed. A version
    that is replaced is freed when its last request is answered.
    """

    def __init__(self, folder: str, name: str, make_batcher: MakeBatcher, expected: Collection[str] = ()):
        """Makes the versions; none is loaded yet.

        Args:
          folder: the folder of the versions, or of one version.
          name: the model's name.
          make_batcher: makes the batcher of a signature.
          expected: aliases that should exist; a missing one is reported with the other problems.
        """
        self.name = name
        self._folder = folder.rstrip("/")
        self._make_batcher = make_batcher
        self._expected = expected
        self._state = _State({}, None, {}, [])
        self._failed: dict[int, _Failure] = {}

    def refresh(self) -> None:
        """Loads the versions that are served by default or have an alias, and then drops the others.

        A version that cannot be loaded is logged and tried again after a minute. What cannot be read, found or loaded
        changes nothing: the versions before are served on.
        """
        try:
            found = find(self._folder)
        except Exception as error:  # TensorFlow's file systems raise many kinds
            _log.error("cannot look for new versions: %s", error)
            return
        self._failed = {number: failure for number, failure in self._failed.items() if number in found}
        before = self._state
        wanted, problems = self._wanted(found)
        missing = [] if problems else [f"{name}: no such alias" for name in self._expected if name not in wanted]
        loaded = dict(before.loaded)
        aliases: Aliases = {}
        for name, number in wanted.items():
            if self._is_loaded(number, found, loaded):
                aliases[name] = number
            elif name in before.aliases:
                aliases[name] = before.aliases[name]
            if aliases.get(name) != number or number not in found:
                problems.append(f"{name}: version {number} is {'damaged' if number in found else 'not there'}")
        served = aliases.get(CHAMPION)
        if served is None and (before.served is None or not (CHAMPION in wanted or problems)):
            newest = (number for number in sorted(found, reverse=True) if self._is_loaded(number, found, loaded))
            served = next(newest, None)
        self._publish(_State(loaded, before.served if served is None else served, aliases, problems + missing))

    def _wanted(self, found: dict[int, str]) -> tuple[Aliases, list[str]]:
        """Returns the aliases in the folder, or those before if they cannot be read, and why they cannot be read."""
        if self._folder in found.values():  # one version
            return {}, []
        try:
            return read_aliases(self._folder), []
        except Exception as error:  # libraries for buckets raise many kinds
            return self._state.aliases, [f"cannot read the aliases: {error}"]

    def _publish(self, state: _State) -> None:
        """Replaces what requests read, without the versions that are no longer used."""
        before = self._state
        used = {state.served, *state.aliases.values()}
        self._state = state._replace(loaded={key: each for key, each in state.loaded.items() if key in used})
        if state.served is not None and state.served != before.served:
            metrics.VERSION.set(state.served)
            _log.info("version %d is served", state.served)
        for problem in state.problems:
            if problem not in before.problems:
                _log.error("%s", problem)
        if before.loaded.keys() - self._state.loaded.keys():
            gc.collect()  # a replaced version has reference cycles

    def _is_loaded(self, number: int, found: dict[int, str], loaded: dict[int, Version]) -> bool:
        """Returns whether a version is in `loaded`, into which it is loaded if possible."""
        failure = self._failed.get(number)
        if number in loaded or number not in found or (failure and time.monotonic() < failure.retry_at):
            return number in loaded
        try:
            loaded[number] = load(number, found[number], self._make_batcher)
        except Exception as error:  # TensorFlow's loader raises many kinds
            _log.exception("version %d cannot be loaded", number)
            reason = f"{type(error).__name__}: {error}"
            self._failed = {**self._failed, number: _Failure(reason, time.monotonic() + _RETRY_S)}
            return False
        self._failed = {other: failure for other, failure in self._failed.items() if other != number}
        _log.info("version %d is loaded", number)
        return True

    @property
    def ready(self) -> bool:
        """Whether a version is loaded."""
        return self._state.served is not None

    def get(self, number: int | None = None, label: str | None = None) -> Version:
        """Returns a loaded version: of a number, of an alias, or the one that is served by default.

        Raises:
          RequestError: 404, when this version is not served; 503, when none is loaded yet.
        """
        state = self._state
        if state.served is None:
            raise RequestError(503, f"no version of {self.name} is loaded yet; send the request again", retry_after=1)
        if label is not None and not state.aliases:
            raise RequestError(404, f"unknown label {brief(label)}; the model has no labels")
        if label is not None and label not in state.aliases:
            refuse_unknown(404, "label", label, state.aliases)
        number = state.served if number is None else number
        number = number if label is None else state.aliases[label]
        if number not in state.loaded:
            served = ", ".join(map(str, sorted(state.loaded)))
            raise RequestError(404, f"version {number} of {self.name} is not served; expected one of: {served}")
        return state.loaded[number]

    def aliased(self, alias: str) -> Version | None:
        """Returns the version of an alias; None if it has none that is loaded."""
        state = self._state
        return state.loaded[state.aliases[alias]] if alias in state.aliases else None

    def overview(self) -> dict[str, Any]:
        """Returns which version is served by default, the version of each alias, and what is wrong with the aliases."""
        state = self._state
        return {
            "served_version": None if state.served is None else str(state.served),
            "aliases": {name: str(number) for name, number in sorted(state.aliases.items())},
            "alias_problems": state.problems,
        }

    def status(self, number: int | None = None) -> list[dict[str, Any]]:
        """Returns the state of each version, or of one, as TensorFlow Serving's model status API does.

        Raises:
          RequestError: 404, when there is no version of this number.
        """
        failed = {each: failure.reason for each, failure in self._failed.items()}
        states = [(each, True, "OK", "") for each in self._state.loaded]
        states += [(each, False, "UNKNOWN", reason) for each, reason in failed.items()]
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
    return Version(number, signatures, definitions, class_names.read(folder), folder)


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
