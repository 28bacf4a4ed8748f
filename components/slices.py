"""Slices of the judged photos: each third by size and by brightness."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from components.photos import Photos


class Slice(NamedTuple):
    """A slice: its name, and a mask of its photos, bool [n]."""

    name: str
    mask: np.ndarray


def slices_of(photos: Photos) -> dict[str, list[Slice]]:
    """Returns the slices by `size` and by `brightness`."""
    return {
        "size": _slices(side(photos), _size_range),
        "brightness": _slices(photos.brightness, "brightness {:.2f} to {:.2f}".format),
    }


def side(photos: Photos) -> np.ndarray:
    """Returns float [n], the square root of the number of pixels of each photo."""
    return np.sqrt(photos.sizes.prod(axis=1))


def thirds(values: np.ndarray) -> list[np.ndarray]:
    """Returns masks of the lowest, the middle and the highest third of the values.

    Equal values are in the same third. A third without values is omitted.
    """
    edges = np.quantile(values, [1 / 3, 2 / 3])
    third_of_each = np.searchsorted(edges, values, side="left")
    return [third_of_each == index for index in np.unique(third_of_each)]


def _slices(values: np.ndarray, name: Callable[[float, float], str]) -> list[Slice]:
    return [Slice(name(values[mask].min(), values[mask].max()), mask) for mask in thirds(values)]


def _size_range(low: float, high: float) -> str:
    return f"side {low:.0f} px" if round(low) == round(high) else f"side {low:.0f} to {high:.0f} px"
