"""A picture of each operation of the table, applied to a few photos."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from PIL import Image, ImageDraw, ImageFont

from errors import UserError
from trainer import formats, images, tfrecords
from trainer.augmentation.batches import operation
from trainer.augmentation.table import OPERATIONS, Chosen

_PHOTOS, _SIDE, _GAP, _LABEL = 6, 192, 8, 200  # photos in a row, and pixels
_SEED = (0, 0)
_START = 8  # bytes that name a format
_EACH = 1000  # records of a file that are looked at


def write(sources: Sequence[Path], to: Path) -> None:
    """Writes a PNG with a row for the photos, and one for each operation with its default options.

    Args:
      sources: files or folders; each file is a photo or contains TFRecords.
      to: the file.

    Raises:
      UserError: when there is no photo, or a file cannot be read or written.
    """
    try:
        pixels = _photos(sources)
        _sheet(pixels).save(to)
    except OSError as error:
        raise UserError(f"cannot read or write {error.filename or to}: {error.strerror or error}") from None


def _sheet(pixels: tf.Tensor) -> Image.Image:
    classes = tf.one_hot(tf.range(len(pixels)), len(pixels))
    rows: list[tuple[str, Any]] = [("photos", pixels)]
    for name in OPERATIONS:
        chosen = Chosen.model_validate(name)
        changed, _ = operation(chosen)(tf.constant(_SEED), pixels, classes)
        options = [f"{option} {value:.3g}" for option, value in dict(chosen.options).items()]
        rows.append(("\n".join([name, *options]), changed))
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (_LABEL + len(pixels) * step, _GAP + len(rows) * step), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=18)
    for row, (label, photos) in enumerate(rows):
        draw.text((_GAP, _GAP + row * step), label, fill="black", font=font)
        for column, photo in enumerate(np.round((photos.numpy() + 1) * 127.5).astype(np.uint8)):
            sheet.paste(Image.fromarray(photo), (_LABEL + column * step, _GAP + row * step))
    return sheet


def _photos(sources: Sequence[Path]) -> tf.Tensor:
    """Returns up to six photos of different files, if there are so many: float32 [photos, 192, 192, 3]."""
    files = [file for source in sources for file in _files(source)]
    chosen = files[:: max(1, len(files) // _PHOTOS)]
    each = -(-_PHOTOS // max(1, len(chosen)))
    pixels = [photo for file in chosen for photo in islice(_decoded(file), each)][:_PHOTOS]
    if not pixels:
        names = ", ".join(map(str, sources))
        raise UserError(f"expected TFRecords of photos, or photos ({formats.DECODED}), found none in {names}")
    return tf.stack(pixels)


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    inside = [path for path in sorted(source.rglob("*")) if path.is_file()]
    return [path for path in inside if not path.name.startswith((".", "_"))]


def _decoded(file: Path) -> Iterator[tf.Tensor]:
    """Yields the pixels of the photos in a file; photos that cannot be decoded are skipped."""
    for encoded in _encoded(file):
        with suppress(tf.errors.InvalidArgumentError):
            photo = images.decode(images.checked(tf.constant(encoded)))
            yield images.to_range(images.resize(photo, _SIDE, "fill-crop"))


def _encoded(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        if _is_photo(opened.read(_START)):
            yield file.read_bytes()
            return
    try:
        for record in tfrecords.read([str(file)]).take(_EACH).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature.values()
            yield from [value for feature in features for value in feature.bytes_list.value if _is_photo(value)][:1]
    except (tf.errors.DataLossError, DecodeError):  # no TFRecord, or no example
        return


def _is_photo(content: bytes) -> bool:
    return content.startswith((formats.JPEG, formats.PNG, formats.GIF, formats.BMP))
