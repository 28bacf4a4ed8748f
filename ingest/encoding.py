"""Encodes a photo for a record: a square JPEG, or the file as it is if TensorFlow decodes it to the same pixels."""

import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ingest import decoding
from ingest.decoding import Decoded

QUALITY = 92  # of the public flowers' TFRecords
_QUALITY_AT_FULL_SIZE = 95
_REDUCED = 2  # a JPEG is decoded at a reduced scale, at least this many times the size of the square
# TensorFlow ignores the transparency and the screen of a GIF, and the colour masks of a BMP.
_KEPT_MODES = {"JPEG": ("L", "RGB"), "MPO": ("L", "RGB"), "PNG": None}  # None: every mode
_MOST_PIXELS = 178_956_970  # of an original; the run's limit (trainer/formats.py)
_PNG_END, _PNG_END_SUM = b"\0\0\0\0IEND", b"\xae\x42\x60\x82"  # the last chunk and its checksum
_LONGEST_SIDE = 65_500  # of a JPEG, in libjpeg


class Options(NamedTuple):
    """How photos are encoded.

    Attributes:
      size: the side of the square in pixels.
      fit: 'crop' keeps the largest centred square, 'pad' adds white to the whole photo, 'stretch' changes its
        proportions; see `sources.FITS`.
      keep_original: whether the file is stored instead of a square.
    """

    size: int
    fit: str = "crop"
    keep_original: bool = False


class Encoded(NamedTuple):
    """An encoded photo.

    Attributes:
      content: a JPEG, or the content of the file.
      size: (height, width) of `content` in pixels.
      digest: see `decoding.digest`; it does not depend on the options.
      truncated: the fraction of the rows that could be decoded, if the photo is a truncated JPEG; otherwise None.
      longer_side: of the photo in its file, in pixels.
    """

    content: bytes
    size: tuple[int, int]
    digest: bytes
    truncated: float | None
    longer_side: int


def encode(path: Path, options: Options) -> Encoded:
    """Decodes and encodes a photo.

    Raises:
      Unreadable: when the photo cannot be decoded.
    """
    with decoding.decoded(path) as photo:
        digest = decoding.digest(photo.image)
        if options.keep_original and _is_kept(photo, content := path.read_bytes()):
            return Encoded(content, photo.size[::-1], digest, photo.truncated, max(photo.size))
        least = max(photo.size) if options.keep_original else _REDUCED * options.size
        if not (photo.is_reduced and least > decoding.DIGEST_SIDE):
            return _encoded(photo, options, digest)
    with decoding.decoded(path, least) as photo:
        return _encoded(photo, options, digest)


def _is_kept(photo: Decoded, content: bytes) -> bool:
    """Returns whether TensorFlow decodes a file, given its content, and to the pixels of `photo`."""
    return (
        photo.format in _KEPT_MODES
        and photo.mode in (_KEPT_MODES[photo.format] or (photo.mode,))
        and photo.size[0] * photo.size[1] <= _MOST_PIXELS
        and photo.truncated is None
        and (_is_whole_png(content) if photo.format == "PNG" else _has_end(content))
    )


def _is_whole_png(content: bytes) -> bool:
    """Returns whether a PNG has right checksums and an end, which libpng requires and Pillow does not."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as photo:
            photo.verify()  # without the last checksum
    except Exception:  # of many types
        return False
    return content.partition(_PNG_END)[2].startswith(_PNG_END_SUM)


def _has_end(jpeg: bytes) -> bool:
    """Returns whether an end follows the last scan; TensorFlow requires it, and Pillow stops after the last row."""
    return jpeg.rfind(b"\xff\xd9") > jpeg.rfind(b"\xff\xda")


def _encoded(photo: Decoded, options: Options, digest: bytes) -> Encoded:
    content = io.BytesIO()
    if options.keep_original:
        image = _within_limits(photo.image)
        image.save(content, "JPEG", quality=_QUALITY_AT_FULL_SIZE, subsampling="4:4:4")
    else:
        image = square(photo.image, options.size, options.fit)
        image.save(content, "JPEG", quality=QUALITY)
    return Encoded(content.getvalue(), image.size[::-1], digest, photo.truncated, max(photo.size))


def _within_limits(image: Image.Image) -> Image.Image:
    factor = 1
    while image.width * image.height > _MOST_PIXELS * factor**2 or max(image.size) > _LONGEST_SIDE * factor:
        factor += 1
    return image if factor == 1 else image.reduce(factor)


def square(image: Image.Image, size: int, fit: str) -> Image.Image:
    """Returns an RGB image with sides of `size` pixels; see `Options.fit`.

    The filter and the square are those of the transform graph (`trainer.images.resize`), so that a photo gives the same
    pixels in training and in service.
    """
    if fit == "pad":
        return _padded(image, size)
    part = image if fit == "stretch" else image.crop(_middle_square(*image.size))
    return part.resize((size, size), Image.Resampling.BILINEAR)


def _padded(image: Image.Image, size: int) -> Image.Image:
    longer = max(image.size)
    width, height = (max((2 * side * size + longer) // (2 * longer), 1) for side in image.size)  # rounded
    result = Image.new("RGB", (size, size), "white")
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    result.paste(scaled, ((size - width) // 2, (size - height) // 2))
    return result


def _middle_square(width: int, height: int) -> tuple[int, int, int, int]:
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
