"""Decodes the content of a photo for `ingest check` and `ingest quarantine`."""

import hashlib
import io
from typing import NamedTuple

from PIL import Image, ImageOps

from ingest import decoding

_LEAST = 512  # pixels of each side; a larger JPEG is decoded at a reduced scale


class Decoded(NamedTuple):
    """An upright RGB image, perhaps at a reduced scale, and the width and height of the upright photo."""

    image: Image.Image
    width: int
    height: int


def decode(data: bytes) -> Decoded:
    """Returns an encoded photo, with white in the place of transparent pixels.

    Raises:
      decoding.Unreadable: when the photo cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=decoding.FORMATS) as photo:
            size = photo.size
            photo.draft(None, (_LEAST, _LEAST))
            image = decoding._to_rgb(ImageOps.exif_transpose(photo))
    except decoding.Unreadable:
        raise
    except Exception as error:  # for damaged files, Pillow raises errors of many types
        raise decoding.Unreadable(decoding._reason(error)) from None
    is_turned = (size[0] > size[1]) != (image.width > image.height)
    width, height = size[::-1] if is_turned else size
    return Decoded(image, width, height)


def digest(image: Image.Image) -> bytes:
    """Returns the BLAKE2b digest, 16 bytes, of an RGB image's size and pixels."""
    return hashlib.blake2b(b"%d,%d," % image.size + image.tobytes(), digest_size=16).digest()
