"""Measures a photo: size, digest, perceptual hash, brightness and sharpness."""

from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image, ImageFilter, ImageStat

from ingest import decoding

HASH_SIDE = 32  # imagehash.phash reduces a photo to 32 × 32 pixels; the hash of a smaller one says nothing
_MEASURED_SIDE = 64  # cleanvision's, for the sharpness
_REDUCED_SIDE = 128  # at least; a photo is reduced before the slower steps


class Measures(NamedTuple):
    """What is measured of a photo.

    Attributes:
      width: in pixels, of the upright photo.
      height: in pixels.
      digest: of the pixels; equal for copies.
      hash: the perceptual hash as a number of 64 bits; None if it says nothing: for a photo with a side below
        HASH_SIDE, or with hardly any detail.
      darkest: the brightness, 0 to 1, that 5 % of the pixels do not reach.
      brightest: the brightness, 0 to 1, that 1 % of the pixels exceed.
      sharpness: from 0 to 1, as cleanvision computes it.
    """

    width: int
    height: int
    digest: bytes
    hash: int | None
    darkest: float
    brightest: float
    sharpness: float


def measure(data: bytes) -> Measures:
    """Returns the measures of an encoded photo.

    Raises:
      decoding.Unreadable: when the photo cannot be decoded.
    """
    with decoding.decoded(data) as photo:
        digest = decoding.digest(photo.image)
        width, height = _upright(photo.size, photo.image.size)
        image = photo.image.reduce(max(1, min(photo.image.size) // _REDUCED_SIDE))
    has_hash = min(width, height) >= HASH_SIDE
    small = image.copy()
    small.thumbnail((_MEASURED_SIDE, _MEASURED_SIDE), Image.Resampling.BICUBIC)
    darkest, brightest = np.percentile(_brightness(small), [5, 99]).tolist()
    return Measures(
        width, height, digest, _hash(image) if has_hash else None, darkest, brightest, _sharpness(small.convert("L"))
    )


def _upright(size: tuple[int, int], decoded: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of a photo after it is turned upright, as `decoded` is."""
    is_turned = (size[0] > size[1]) != (decoded[0] > decoded[1])
    return size[::-1] if is_turned else size


def _hash(image: Image.Image) -> int | None:
    """Returns the perceptual hash; None if equal coefficients show that the photo has too little detail for it.

    A bit says whether a coefficient is above the median, so half of the bits are set if the coefficients differ.
    """
    bits = imagehash.phash(image).hash
    return int.from_bytes(np.packbits(bits).tobytes()) if 2 * bits.sum() == bits.size else None


def _brightness(image: Image.Image) -> np.ndarray:
    """Returns the perceived brightness of each pixel, 0 to 1 (alienryderflex.com/hsp.html), as cleanvision does."""
    values = np.asarray(image, np.float32) / 255
    return np.sqrt(values**2 @ np.array([0.241, 0.691, 0.068], np.float32))


def _sharpness(grey: Image.Image) -> float:
    """Returns the contrast of the edges; high also if the grey values are few, as in drawings."""
    edges = ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).var[0] ** 0.5
    few_values = 1 - np.exp(-0.01 * np.std(grey.histogram()))
    return float(min(1.0, 1 - np.exp(-0.01 * edges) + (few_values if few_values > 0.18 else 0.0)))
