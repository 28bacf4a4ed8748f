"""Reads weights files: `.npz`, Keras 3's `.weights.h5` and `.keras`, the `.h5` of Keras 2 and Keras Applications.

A variable's name is 'layer/variable', such as 'block10_sepconv2/pointwise_kernel', with the innermost of nested layers.
Layers that Keras named itself ('conv2d_7') are renumbered in the order of their numbers: 'conv2d', 'conv2d_1', …,
because those numbers depend on the models that the process built before. The state of optimizers and random seeds is
not read.
"""

import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from storage import s3

VARIABLE_NAMES = "variables"  # the HDF5 attribute with the names of a layer's variables; `trainer.weights` writes it
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"  # the first bytes of the files
_KERAS = "model.weights.h5"  # the weights in a `.keras` file
_LAYER_CLASSES = {name.lower() for name in dir(keras.layers)}
_FORMAT_ERRORS = (EOFError, KeyError, RuntimeError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)
_UNREADABLE = (OSError, tf.errors.OpError, *_FORMAT_ERRORS)  # buckets raise TensorFlow's errors

Layers = dict[str, dict[str, Any]]  # arrays or variables, by layer and variable


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a weights file by 'layer/variable'.

    Keras 3's own `.weights.h5` has the names of layers but not of variables. These are then called 'layer/0',
    'layer/1', …: first the trainable variables, each in the order of creation. Files of `trainer.weights.save` have
    both names.

    Args:
      path: `.npz` with such names (pickles are refused), `.weights.h5` (early versions of Keras 3 wrote no names),
        `.keras`, of which only the weights are read, or the `.h5` of Keras 2 and Keras Applications; local or in a
        bucket. The content decides the format, not the file's name.

    Raises:
      ValueError: when the file has none of these formats, or is damaged.
    """
    return flat(read_layers(path))


def read_layers(path: str | Path) -> Layers:
    """Returns the arrays of a weights file by layer and variable; see `read`."""
    with _readable(path) as file:
        return _layers(file)


@contextmanager
def _readable(path: str | Path) -> Iterator[Path]:
    """Yields a local file, and converts the errors of h5py, numpy and zipfile for a damaged file to ValueError."""
    try:
        with on_disk(path) as file:
            yield file
    except _UNREADABLE as error:
        raise ValueError(
            f"the weights file {path} cannot be read: {error}; expected arrays named 'layer/variable' in .npz, or "
            "weights saved by Keras as .weights.h5, .keras or .h5"
        ) from None


@contextmanager
def on_disk(path: str | Path) -> Iterator[Path]:
    """Yields a local file itself, or a local copy of a file in a bucket, which h5py and numpy cannot open."""
    if not _in_bucket(path):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(path).name
        if s3.is_s3(path):
            s3.download(str(path), copy)
        else:
            tf.io.gfile.copy(str(path), str(copy))
        yield copy


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yields a temporary local file, which is then moved to `path`, local or in a bucket, atomically."""
    target = None if _in_bucket(path) else Path(path).parent
    if target:
        target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".weights-", dir=target) as folder:
        part = Path(folder) / Path(path).name
        yield part
        if target:
            part.replace(path)
        else:
            copy = str(path) + part.parent.name  # a unique name, because several workers may write the same file
            tf.io.gfile.copy(str(part), copy)
            tf.io.gfile.rename(copy, str(path), overwrite=True)


def _in_bucket(path: str | Path) -> bool:
    return "://" in str(path)


def _layers(path: Path) -> Layers:
    with path.open("rb") as file:
        start = file.read(len(_HDF5))
    if not start.startswith((_HDF5, _ZIP)):
        raise ValueError(f"it starts with {start!r}")
    found = _from_hdf5(path) if start == _HDF5 else _from_zip(path)
    if layers := by_layer((name, numbers(name, array)) for name, array in found):
        return layers
    raise ValueError("it contains no weights by layer name")


def _from_zip(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with zipfile.ZipFile(path) as file:
        whole_model = file.read(_KERAS) if _KERAS in file.namelist() else None
    if whole_model:
        yield from _from_hdf5(io.BytesIO(whole_model))
        return
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            yield key_of(key), file[key]


def _from_hdf5(path: Path | io.BytesIO) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the arrays of Keras 3's groups 'vars' with a `name`, and of Keras 2's groups with `weight_names`."""
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
                    raise ValueError(f"{group.name} has no layer name; load it with Keras and save it again")
                names = group.attrs.get(VARIABLE_NAMES, ())
                for index, dataset in group.items():
                    name = _text(names[int(index)]) if len(names) else index
                    array = dataset[()]  # HDF5 has no bfloat16; Keras marks it by an attribute
                    is_bfloat16 = dataset.attrs.get("dtype") == "bfloat16"
                    yield f"{_text(group.attrs['name'])}/{name}", array.view("bfloat16") if is_bfloat16 else array


def _keras2_key(group: h5py.Group, name: str) -> str:
    """Returns the name in Keras 3, where a depthwise convolution's only kernel is named `kernel`."""
    key = key_of(name if "/" in name else f"{group.name}/{name}")
    is_only_kernel = not any("pointwise_kernel" in _text(other) for other in group.attrs["weight_names"])
    return key.replace("/depthwise_kernel", "/kernel") if is_only_kernel else key


def is_keras2(path: str | Path) -> bool:
    """Returns whether a file is an `.h5` of Keras 2, whose layers Keras Applications matches by their order.

    Raises:
      ValueError: when the file is damaged.
    """
    with _readable(path) as file:
        if not h5py.is_hdf5(file):
            return False
        with h5py.File(file, "r") as opened:
            return "layer_names" in opened.attrs


def by_layer(items: Iterable[tuple[str, Any]]) -> Layers:
    """Returns items by layer and variable. Layers that Keras named are renumbered."""
    layers: Layers = {}
    for key, item in items:
        layer, variable = key.split("/")
        if variable in layers.setdefault(layer, {}):
            raise ValueError(f"two layers are named {layer!r}; rename one")
        layers[layer][variable] = item
    names = _renumbered(layers)
    return {names[layer]: variables for layer, variables in layers.items()}


def flat(layers: Layers) -> dict[str, Any]:
    """Returns arrays or variables by 'layer/variable'."""
    return {f"{layer}/{name}": item for layer, variables in layers.items() for name, item in variables.items()}


def _renumbered(layers: Iterable[str]) -> dict[str, str]:
    """Maps the names of layers to the names that Keras would give in a new process.

    >>> _renumbered(["conv2d_7", "conv2d_9", "block_3"])
    {'conv2d_7': 'conv2d', 'conv2d_9': 'conv2d_1', 'block_3': 'block_3'}
    """
    names = {layer: layer for layer in layers}
    kinds: dict[str, list[tuple[int, str]]] = {}
    for layer in names:
        kind, number = re.sub(r"_\d+$", "", layer), re.search(r"_(\d+)$", layer)
        if kind.replace("_", "") in _LAYER_CLASSES:
            kinds.setdefault(kind, []).append((int(number[1]) if number else 0, layer))
    for kind, found in kinds.items():
        names |= {layer: f"{kind}_{index}" if index else kind for index, (_, layer) in enumerate(sorted(found))}
    return names


def numbers(key: str, array: np.ndarray) -> np.ndarray:
    """Returns an array with one of numpy's dtypes, so that files with this array can be read without Keras."""
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"expected an array of numbers under {key!r}, received an array of {array.dtype}")
    return array


def key_of(path: str) -> str:
    """Returns 'layer/variable' of a path such as 'model/layer/variable:0'."""
    *_, layer, variable = ["", *path.removesuffix(":0").split("/")]
    if not layer:
        raise ValueError(f"{path!r} does not name a layer and its variable")
    return f"{layer}/{variable}"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
