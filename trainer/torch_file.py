"""Reads tensors of PyTorch's legacy format (`torch.save` before version 1.6) without PyTorch.

The file is a series of pickles: a magic number, the protocol, the system, the tensors, and the keys of the storages.
Then follow the storages, each as its number of elements (int64) and the elements. The pickles may only name the four
globals in `_Tensors.find_class`, so unpickling runs no code of the file.
"""

import pickle  # noqa: S403 (restricted, see above)
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_COUNT = np.dtype("<i8")


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a file by name, as contiguous arrays.

    A tensor is a view of a storage with any strides. The kernels of converted TensorFlow models are views of arrays in
    TensorFlow's order, so their elements are not in the order of their shape.

    Raises:
      ValueError: when the file has another format, names another global, or is damaged.
    """
    try:
        with path.open("rb") as file:
            if _load(file) != _MAGIC:
                raise ValueError("the magic number of torch.save is missing")
            _load(file), _load(file)
            tensors, keys = _load(file), _load(file)
            storages = _read_storages(file, keys, {tensor.storage for tensor in tensors.values()})
        return {name: _view(storages[tensor.storage.key], tensor) for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a file of torch.save: {error}") from None


def _load(file: BinaryIO) -> Any:
    return _Tensors(file).load()


class _Tensors(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            "collections.OrderedDict": OrderedDict,
            "torch._utils._rebuild_tensor_v2": lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, shape, strides
            ),
            "torch.FloatStorage": np.dtype("<f4"),
            "torch.LongStorage": np.dtype("<i8"),
        }
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"expected only {', '.join(allowed)}, received {module}.{name}")
        return allowed[f"{module}.{name}"]

    def persistent_load(self, reference: Any) -> _Storage:
        _, dtype, key, *_ = reference
        return _Storage(key, dtype)


def _read_storages(file: BinaryIO, keys: list[str], storages: set[_Storage]) -> dict[str, np.ndarray]:
    dtypes = {storage.key: storage.dtype for storage in storages}
    result = {}
    for key in keys:
        (count,) = np.frombuffer(file.read(_COUNT.itemsize), _COUNT)
        content = file.read(int(count) * dtypes[key].itemsize)
        result[key] = np.frombuffer(content, dtypes[key], int(count))
    return result


def _view(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
    steps = [(size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)]
    if min(steps, default=0) < 0 or tensor.offset < 0 or tensor.offset + sum(steps) >= len(storage):
        raise ValueError(f"a tensor of shape {tensor.shape} is outside its storage of {len(storage)} elements")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides))
