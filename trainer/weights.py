"""Weights by name: written as `.npz` or `.weights.h5`, read from these and from Keras 2's `.h5`, whole or in part.

A variable's name is 'layer/variable', as in 'block10_sepconv2/pointwise_kernel'; of nested layers, the innermost
counts. Layers that Keras named itself ('conv2d_7') are counted anew, in the order of their numbers: 'conv2d',
'conv2d_1', …, since those numbers depend on what the process built before. Optimizers' and random seeds' state is
left out.
"""

import math
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"  # how the files start
_NAMED = 5  # so many layers are named in a message; the others are counted
_LAYER_CLASSES = {name.lower() for name in dir(keras.layers)}
_UNREADABLE = (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)

Layers = dict[str, dict[str, Any]]  # arrays or variables by the layer's name, then the variable's


@dataclass(frozen=True)
class Report:
    """What `load` did, by layer; layers without variables are not counted. `asdict` gives what JSON can hold.

    Attributes:
      file: the file read.
      loaded: the layers that were assigned, in the model's order.
      skipped: the model's other layers, and why each was left as it was.
      unused: the layers of the file that the model does not have.
      parameters_loaded, parameters: the count of numbers in the layers that were assigned, and in the whole model.
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
        """Returns a line for what was skipped and one for what is not used, each only where there is any."""
        skipped = _listed(f"{layer} ({why})" for layer, why in self.skipped.items())
        lines = {"skipped: ": skipped, "in the file, not in the model: ": _listed(self.unused)}
        return [title + text for title, text in lines.items() if text]


def save(model: keras.Model, path: str | Path) -> None:
    """Writes all weights of a built model, without the optimizer's state, and the file whole or not at all.

    Args:
      model: of any strategy; bfloat16 variables are written to .npz as float32.
      path: on this machine's disk, ending in `.npz` or `.weights.h5` (which `model.load_weights` reads too).

    Raises:
      ValueError: for another ending, or when two layers of the model have one name.
    """
    path = Path(path)
    variables = _flat(_variables(model))
    if not path.name.endswith((".npz", ".weights.h5")):
        raise ValueError(f"expected a weights file that ends in .npz or .weights.h5, received {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".weights-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        if path.suffix == ".npz":
            np.savez(part, **{key: _numbers(key, variable.numpy()) for key, variable in variables.items()})
        else:
            _save_hdf5(model, part)
        part.replace(path)


def load(model: keras.Model, path: str | Path, only_matching: bool = False) -> Report:
    """Assigns a file's weights to the layers of the same names.

    Args:
      model: a built model, of any strategy; what is assigned is cast to its variables' types.
      path: a file as `read` takes it.
      only_matching: load the layers whose variables are all in the file, with the same shapes and no others, and
        leave the rest as they are. Otherwise everything must match.

    Raises:
      ValueError: when the file cannot be read, does not match, or nothing in it does; the model is then as it was.
    """
    ours, theirs = _variables(model), _read(path)
    report = _compare(str(path), ours, theirs)
    _check(report, only_matching)
    for layer in report.loaded:
        for name, variable in ours[layer].items():
            variable.assign(theirs[layer][_name_in_file(name, theirs[layer], ours[layer])])
    return report


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a weights file by 'layer/variable'.

    Keras 3's `.weights.h5` holds the layers' names and only the places of their variables, so that these are called
    'layer/0', 'layer/1', …: the trainable ones first, each in the order in which the layer made them.

    Args:
      path: `.npz` with such names (pickles are refused), `.weights.h5` (early versions of Keras 3 wrote no names), or
        the `.h5` of Keras 2 and Keras Applications. The content says which, not the file's name.

    Raises:
      ValueError: when it is none of these, or damaged.
    """
    return _flat(_read(path))


def _read(path: str | Path) -> Layers:
    try:
        with Path(path).open("rb") as file:
            start = file.read(len(_HDF5))
        if not start.startswith((_HDF5, _ZIP)):
            raise ValueError(f"it starts with {start!r}")
        found = _from_hdf5(path) if start == _HDF5 else _from_npz(path)
        if layers := _by_layer((key, _numbers(key, array)) for key, array in found):
            return layers
        raise ValueError("it holds no weights under the names of layers")
    except _UNREADABLE as error:
        raise ValueError(
            f"the weights file {path} cannot be read: {error}; expected arrays named 'layer/variable' in .npz, or "
            "weights saved by Keras as .weights.h5 or .h5"
        ) from None


def _from_npz(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            yield _key(key), file[key]


def _from_hdf5(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Gives what Keras 3 keeps in groups 'vars' with a `name`, and Keras 2 in groups with `weight_names`."""
    with h5py.File(path, "r") as file:
        groups: list[h5py.Group] = [file]
        file.visititems(lambda _, item: groups.append(item) if isinstance(item, h5py.Group) else None)
        for group in groups:
            if group.name.startswith("/optimizer"):
                continue
            for name in group.attrs.get("weight_names", ()):
                yield _keras2_key(group, _text(name)), group[name][()]
            if group.name.endswith("/vars"):
                if len(group) and "name" not in group.attrs:
                    raise ValueError(f"{group.name} has no layer's name; load it with Keras and save it again")
                for name, dataset in group.items():
                    array = dataset[()]  # HDF5 has no bfloat16; Keras marks it
                    marked = dataset.attrs.get("dtype") == "bfloat16"
                    yield f"{_text(group.attrs['name'])}/{name}", array.view("bfloat16") if marked else array


def _keras2_key(group: h5py.Group, name: str) -> str:
    """Returns the name in Keras 3, in which a depthwise convolution's only kernel is called just that."""
    key = _key(name if "/" in name else f"{group.name}/{name}")
    alone = not any("pointwise_kernel" in _text(other) for other in group.attrs["weight_names"])
    return key.replace("/depthwise_kernel", "/kernel") if alone else key


def _save_hdf5(model: keras.Model, path: Path) -> None:
    """Writes what `model.save_weights` writes, but the optimizer's state, which is twice as large as the weights."""
    everything = path.with_name("everything.weights.h5")
    model.save_weights(everything)
    with h5py.File(everything, "r") as source, h5py.File(path, "w") as target:
        for name in set(source) - {"optimizer"}:
            source.copy(name, target)


def _variables(model: keras.Model) -> Layers:
    try:
        return _by_layer((_key(variable.path), variable) for variable in model.weights)
    except ValueError as error:
        raise ValueError(f"the weights of model {model.name!r} cannot be told apart by name: {error}") from None


def _by_layer(items: Iterable[tuple[str, Any]]) -> Layers:
    """Returns items by layer and variable, with the layers that Keras named counted anew."""
    layers: Layers = {}
    for key, item in items:
        layer, variable = key.split("/")
        if variable in layers.setdefault(layer, {}):
            raise ValueError(f"two layers are named {layer!r}; give each layer a name of its own")
        layers[layer][variable] = item
    counted = _counted_anew(layers)
    return {counted[layer]: variables for layer, variables in layers.items()}


def _flat(layers: Layers) -> dict[str, Any]:
    return {f"{layer}/{name}": item for layer, variables in layers.items() for name, item in variables.items()}


def _counted_anew(layers: Iterable[str]) -> dict[str, str]:
    """Maps layers' names to those that Keras gives in a new process.

    >>> _counted_anew(["conv2d_7", "conv2d_9", "block_3"])
    {'conv2d_7': 'conv2d', 'conv2d_9': 'conv2d_1', 'block_3': 'block_3'}
    """
    same = {layer: layer for layer in layers}
    kinds: dict[str, list[tuple[int, str]]] = {}
    for layer in same:
        kind, number = re.sub(r"_\d+$", "", layer), re.search(r"_(\d+)$", layer)
        if kind.replace("_", "") in _LAYER_CLASSES:
            kinds.setdefault(kind, []).append((int(number[1]) if number else 0, layer))
    for kind, found in kinds.items():
        same |= {layer: f"{kind}_{place}" if place else kind for place, (_, layer) in enumerate(sorted(found))}
    return same


def _compare(file: str, ours: Layers, theirs: Layers) -> Report:
    differences = {layer: _difference(theirs.get(layer), mine) for layer, mine in ours.items()}
    sizes = {layer: sum(math.prod(variable.shape) for variable in mine.values()) for layer, mine in ours.items()}
    return Report(
        file=file,
        loaded=tuple(layer for layer, why in differences.items() if not why),
        skipped={layer: why for layer, why in differences.items() if why},
        unused=tuple(layer for layer in theirs if layer not in ours),
        parameters_loaded=sum(size for layer, size in sizes.items() if not differences[layer]),
        parameters=sum(sizes.values()),
    )


def _difference(theirs: dict[str, np.ndarray] | None, ours: dict[str, keras.Variable]) -> str:
    """Says why a layer of the file does not fit the model's, or nothing where it does."""
    if theirs is None:
        return "not in the file"
    if all(name.isdigit() for name in theirs) and len(theirs) != len(ours):
        return f"{len(theirs)} variables in the file, {len(ours)} in the model"
    names = {name: _name_in_file(name, theirs, ours) for name in ours}
    for name, in_file in names.items():
        if in_file not in theirs:
            return f"{name} is not in the file"
        if theirs[in_file].shape != tuple(ours[name].shape):
            return f"{name} has shape {theirs[in_file].shape} in the file, {tuple(ours[name].shape)} in the model"
    left = sorted(set(theirs) - set(names.values()))
    return f"{left[0]} is only in the file" if left else ""


def _name_in_file(name: str, theirs: dict[str, np.ndarray], ours: dict[str, keras.Variable]) -> str:
    return str(list(ours).index(name)) if all(other.isdigit() for other in theirs) else name


def _check(report: Report, only_matching: bool) -> None:
    differences = "; ".join(report.differences())
    if differences and not only_matching:
        raise ValueError(
            f"the weights file {report.file} does not fit the model: expected the same layers and shapes in both, "
            f"received {differences}; to load only the layers that match, set only_matching"
        )
    if not report.loaded:
        raise ValueError(
            f"nothing in the weights file {report.file} fits the model: expected layers of the same names and shapes, "
            f"received {differences or 'a model without weights'}"
        )


def _numbers(key: str, array: np.ndarray) -> np.ndarray:
    """Returns an array of a type that numpy has, so that a file of it can be read without Keras."""
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{key!r} is not an array of numbers but of {array.dtype}")
    return array


def _key(path: str) -> str:
    """Returns 'layer/variable' of a path such as 'model/layer/variable:0'."""
    *_, layer, variable = ["", *path.removesuffix(":0").split("/")]
    if not layer:
        raise ValueError(f"{path!r} does not name a layer and its variable")
    return f"{layer}/{variable}"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    more = [f"and {len(items) - _NAMED} more"] if len(items) > _NAMED else []
    return ", ".join(items[:_NAMED] + more)
