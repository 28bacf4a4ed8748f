"""Registers HEIC in Pillow, with a check for the damage at which pi-heif ends the process.

libheif lists every item of a file by its type, four characters. pi-heif 1.4.0, its last version, crashes with a
segmentation fault if the type is not UTF-8 (pillow_heif's pull request 478).
"""

import re
from typing import IO

import pi_heif
from PIL import Image, ImageFile

NAME = "HEIF"
# A box of the kind `infe` (ISO/IEC 14496-12, 8.11.6): version, flags, the item's id, a protection index, the type
_ITEM_TYPES = re.compile(rb"infe(?:\x02.{3}.{4}|\x03.{3}.{6})(.{4})", re.DOTALL)


def register() -> None:
    """Registers the format, in place of pi-heif's own opener."""
    pi_heif.register_heif_opener()
    _, accepts = Image.OPEN[NAME]
    Image.register_open(NAME, _open, accepts)


def _open(file: IO[bytes], name: str | bytes) -> ImageFile.ImageFile:
    for found in _ITEM_TYPES.finditer(file.read()):
        if not found[1].isascii():
            raise SyntaxError(f"an item of the type {found[1]!r}")  # what Pillow expects for a damaged file
    file.seek(0)
    return pi_heif.HeifImageFile(file, name)
