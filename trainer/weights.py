"""Saves weights as `.npz` or `.weights.h5`, and loads all or some of them by name; see `trainer.weight_files`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import h5py
import keras
import numpy as np

from trainer.models.head import HEAD
from trainer.weight_files import (
    VARIABLE_NAMES,
    Layers,
    atomic_write,
    by_layer,
    flat,
    is_keras2,
    key_of,
    numbers,
    on_disk,
    read_layers,
)

_LISTED = 5  # layers that a message names; it gives only the number of the others

Match = Literal["base", "whole", "matching", "matching base"]


@dataclass(frozen=True)
class LoadReport:
    """The result of `load`, by layer, without layers that have no variables.

    Attributes:
      file: the file.
      loaded: the assigned layers, in the model's order.
      skipped: the model's other layers, with the reasons.
      unused: the layers of the file that the model does not have.
      parameters_loaded, parameters: the number of parameters in the assigned layers, and in the model.
    """

    file: str
    loaded: tuple[str, ...]
    skipped: dict[str, str]
    unused: tuple[str, ...]
    parameters_loaded: int
    parameters: int

    def __str__(self) -> str:
        lines = [
            f"weights {self.file}: {len(self.loaded)} of {len(self.loaded) + len(self.skipped)} layers loaded "
            f"({self.parameters_loaded:,} of {self.parameters:,} parameters)"
        ]
        return "\n".join(lines + self.differences())

    def differences(self) -> list[str]:
        """Returns a line for the skipped layers and a line for the unused ones, if there are any."""
        skipped = _listed(f"{layer} ({why})" for layer, why in self.skipped.items())
        lines = {"skipped: ": skipped, "in the file, not in the model: ": _listed(self.unused)}
        return [title + text for title, text in lines.items() if text]


def save(model: keras.Model, path: str | Path) -> None:
    """Writes all weights of a built model, without the optimizer's state. The file is written atomically.

    Args:
      model: of any strategy; bfloat16 variables are written to .npz as float32.
      path: local or in a bucket, ending in `.npz` or `.weights.h5` (which `model.load_weights` reads too).

    Raises:
      ValueError: for another file extension, or when two layers of the model have the same name.
    """
    variables = flat(_variables(model))
    if not str(path).endswith((".npz", ".weights.h5")):
        raise ValueError(f"expected a weights file that ends in .npz or .weights.h5, received {str(path)!r}")
    with atomic_write(path) as file:
        if file.suffix == ".npz":
            arrays: dict[str, Any] = {key: numbers(key, variable.numpy()) for key, variable in variables.items()}
            np.savez(file, **arrays)
        else:
            _save_hdf5(model, file)


def load(model: keras.Model, path: str | Path, match: Match = "whole", may_match: bool = True) -> LoadReport:
    """Assigns a file's weights to the layers of the same names.

    Args:
      model: a built model, of any strategy; values are cast to the dtypes of its variables.
      path: a file that `trainer.weight_files` reads.
      match: 'base' loads all layers except the last, and all of them must match. 'whole' also loads the last layer.
        'matching' loads the layers whose variables are the same in the file, with the same shapes. 'matching base' does
        the same without the last layer, and may load nothing.
      may_match: whether an error suggests the setting that loads only the layers that match.

    Raises:
      ValueError: when the file cannot be read, does not match, or nothing in it matches; the model is then unchanged.
    """
    in_model, in_file = _used(_variables(model), match), _used(read_layers(path), match)
    report = _compare(str(path), in_model, in_file)
    if match == "base" and report.differences() and is_keras2(path):
        try:
            _load_in_order(model, path)
            return replace(report, loaded=tuple(in_model), skipped={}, unused=(), parameters_loaded=report.parameters)
        except ValueError:
            if not report.loaded:  # otherwise the error about names is more helpful
                raise
    return _assign(report, in_model, in_file, match, may_match)


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray], name: str, match: Match) -> LoadReport:
    """Assigns arrays, by 'layer/variable', to the layers of the same names; see `load`. Messages call them `name`.

    Raises:
      ValueError: when the arrays do not match; the model is then unchanged.
    """
    in_model, given = _used(_variables(model), match), _used(by_layer(arrays.items()), match)
    return _assign(_compare(name, in_model, given), in_model, given, match)


def _used(layers: Layers, match: Match) -> Layers:
    return {name: each for name, each in layers.items() if name != HEAD or match not in ("base", "matching base")}


def _assign(report: LoadReport, in_model: Layers, in_file: Layers, match: Match, may_match: bool = True) -> LoadReport:
    _check(report, match, may_match)
    if damaged := [layer for layer in report.loaded if not all(map(_is_finite, in_file[layer].values()))]:
        raise ValueError(
            f"the weights file {report.file} contains NaN or Inf in {_listed(damaged)}; expected finite numbers. Give "
            "another file"
        )
    for layer in report.loaded:
        for name, variable in in_model[layer].items():
            variable.assign(in_file[layer][_name_in_file(name, in_file[layer], in_model[layer])])
    return report


def _is_finite(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all())


def _load_in_order(model: keras.Model, path: str | Path) -> None:
    """Loads all layers except the last by order, like Keras Applications, whose oldest files have other names."""
    try:
        with on_disk(path) as file:
            keras.Model(model.input, model.get_layer(HEAD).input).load_weights(file)
    except ValueError as error:
        raise ValueError(f"the weights file {path} does not fit {model.name} without its last layer: {error}") from None


def _save_hdf5(model: keras.Model, path: Path) -> None:
    """Writes the file of `model.save_weights`, with names of variables, and without the optimizer's state."""
    names: dict[str, list[str]] = {}
    for layer, variable in (key_of(weight.path).split("/") for weight in model.weights):
        names.setdefault(layer, []).append(variable)
    everything = path.with_name("everything.weights.h5")
    model.save_weights(everything)
    with h5py.File(everything, "r") as source, h5py.File(path, "w") as target:
        for name in set(source) - {"optimizer"}:
            source.copy(name, target)
        target.visititems(lambda _, item: _name_variables(item, names))


def _name_variables(item: h5py.Group | h5py.Dataset, names: dict[str, list[str]]) -> None:
    """Adds the names of a layer's variables, because Keras 3 stores only their positions."""
    variables = names.get(item.attrs.get("name", ""), [])
    if item.name.endswith("/vars") and len(variables) == len(item):
        item.attrs[VARIABLE_NAMES] = variables


def _variables(model: keras.Model) -> Layers:
    try:
        return by_layer((key_of(variable.path), variable) for variable in model.weights)
    except ValueError as error:
        raise ValueError(f"the weights of model {model.name!r} have ambiguous names: {error}") from None


def _compare(file: str, in_model: Layers, in_file: Layers) -> LoadReport:
    differences = {layer: _difference(in_file.get(layer), variables) for layer, variables in in_model.items()}
    sizes = {layer: sum(math.prod(each.shape) for each in variables.values()) for layer, variables in in_model.items()}
    return LoadReport(
        file=file,
        loaded=tuple(layer for layer, why in differences.items() if not why),
        skipped={layer: why for layer, why in differences.items() if why},
        unused=tuple(layer for layer in in_file if layer not in in_model),
        parameters_loaded=sum(size for layer, size in sizes.items() if not differences[layer]),
        parameters=sum(sizes.values()),
    )


def _difference(in_file: dict[str, np.ndarray] | None, in_model: dict[str, keras.Variable]) -> str:
    """Returns why a layer of the file does not fit the model's layer, or an empty text if it fits."""
    if in_file is None:
        return "not in the file"
    if all(name.isdigit() for name in in_file) and len(in_file) != len(in_model):
        return f"{len(in_file)} variables in the file, {len(in_model)} in the model"
    names = {name: _name_in_file(name, in_file, in_model) for name in in_model}
    for name, stored in names.items():
        if stored not in in_file:
            return f"{name} is not in the file"
        if in_file[stored].shape != tuple(in_model[name].shape):
            return f"{name} has shape {in_file[stored].shape} in the file, {tuple(in_model[name].shape)} in the model"
    unused = sorted(set(in_file) - set(names.values()))
    return f"{unused[0]} is only in the file" if unused else ""


def _name_in_file(name: str, in_file: dict[str, np.ndarray], in_model: dict[str, keras.Variable]) -> str:
    return str(list(in_model).index(name)) if all(other.isdigit() for other in in_file) else name


def _check(report: LoadReport, match: Match, may_match: bool) -> None:
    differences = "; ".join(report.differences())
    if differences and match in ("base", "whole"):
        advice = "; to load only the layers that match: --set model.weights_match=matching" if may_match else ""
        raise ValueError(
            f"the weights file {report.file} does not fit the model: expected the same layers and shapes in both, "
            f"received {differences}{advice}"
        )
    if not report.loaded and (report.skipped or match != "matching base"):
        raise ValueError(
            f"nothing in the weights file {report.file} fits the model: expected layers of the same names and shapes, "
            f"received {differences or 'a model without weights'}"
        )


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    more = [f"and {len(items) - _LISTED} more"] if len(items) > _LISTED else []
    return ", ".join(items[:_LISTED] + more)
