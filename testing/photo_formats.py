"""Encodes pictures in the formats and modes that people have, and damages the files in ways with a known result."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_HEIC = Path(__file__).parent.parent / "tests" / "golden" / "turned.heic"
ORIENTATION = 0x0112
_ROWS = {"quality": 90, "subsampling": "4:4:4", "restart_marker_rows": 1}

# The ending, Pillow's mode, and the options of Pillow's encoder
FORMATS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("jpg", "RGB", _ROWS),
    "jpeg grey": ("jpg", "L", {"quality": 90, "restart_marker_rows": 1}),
    "jpeg cmyk": ("jpg", "CMYK", _ROWS),
    "progressive": ("jpg", "RGB", {"quality": 90, "progressive": True}),
    "png": ("png", "RGB", {}),
    "gif": ("gif", "RGB", {}),
    "bmp": ("bmp", "RGB", {}),
    "webp": ("webp", "RGB", {}),
    "webp lossless": ("webp", "RGB", {"lossless": True}),
    "tiff": ("tiff", "RGB", {}),
    "tiff lzw": ("tiff", "RGB", {"compression": "tiff_lzw"}),
    "avif": ("avif", "RGB", {"speed": 10}),
    "heic": ("heic", "RGB", {}),
}
# Modes and compressions in addition to those of FORMATS
VARIANTS: Sequence[tuple[str, str, dict[str, Any]]] = (
    *(("jpg", "RGB", {"subsampling": each}) for each in ("4:2:0", "4:2:2")),
    *(("jpg", mode, {"progressive": True}) for mode in ("L", "CMYK")),
    *(("jpg", "RGB", {"quality": quality}) for quality in (1, 100)),
    *(("png", mode, {}) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
    *(("png", "P", {"bits": bits}) for bits in (1, 2, 4)),
    ("png", "RGB", {"compress_level": 0}),
    ("png", "P", {"transparency": 3}),
    *(("gif", mode, {}) for mode in ("1", "L", "P", "RGBA")),
    ("gif", "L", {"interlace": 0}),
    ("gif", "P", {"transparency": 3}),
    *(("bmp", mode, {}) for mode in ("1", "L", "P", "RGBA")),
    *(("webp", "RGBA", {"lossless": each}) for each in (False, True)),
    *(("tiff", mode, {}) for mode in ("1", "L", "LA", "P", "RGBA", "RGBX", "CMYK", "LAB", "I;16")),
    *(("tiff", "RGB", {"compression": each}) for each in ("tiff_adobe_deflate", "packbits", "jpeg", "lzma", "zstd")),
    *(("tiff", "1", {"compression": each}) for each in ("group3", "group4", "tiff_ccitt")),
    *(("avif", mode, {"speed": 10}) for mode in ("L", "RGBA")),
)
ANIMATED = ("gif", "png", "webp", "tiff", "avif", "mpo")


def encoded(picture: Image.Image, ending: str, mode: str, options: dict[str, Any]) -> bytes:
    """Returns a picture in a format; of HEIC, which has no encoder here, always the same one."""
    if ending == "heic":
        return _HEIC.read_bytes()
    if mode == "P":
        converted = picture.quantize(2 ** options.get("bits", 8))
    else:
        converted = _deep(picture) if mode == "I;16" else picture.convert(mode)
    content = io.BytesIO()
    converted.save(content, {"jpg": "JPEG"}.get(ending, ending.upper()), **options)
    return content.getvalue()


def animated(picture: Image.Image, ending: str) -> bytes:
    """Returns an animation or a file of several pictures; the first one is `picture`."""
    return encoded(picture, ending, "RGB", {"save_all": True, "append_images": [picture.rotate(90)]})


def turned(picture: Image.Image, ending: str, orientation: int) -> bytes:
    """Returns a picture with an EXIF orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(picture, ending, "RGB", {"exif": exif})


def _deep(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)


def positions(content: bytes, marker: bytes) -> list[int]:
    """Returns where a marker is found."""
    found, at = [], content.find(marker)
    while at >= 0:
        found.append(at)
        at = content.find(marker, at + 1)
    return found


def restarts(jpeg: bytes) -> list[int]:
    """Returns the ends of the rows of blocks of a JPEG with a restart marker after each row."""
    start = jpeg.find(b"\xff\xda")
    return [at for at in range(start, len(jpeg) - 1) if jpeg[at] == 0xFF and 0xD0 <= jpeg[at + 1] <= 0xD7]


def changed(content: bytes, at: int, new: bytes) -> bytes:
    """Returns the content with other bytes at a position."""
    return content[:at] + new + content[at + len(new) :]


def flipped(content: bytes, at: int) -> bytes:
    """Returns the content with all bits of one byte inverted."""
    return changed(content, at, bytes([content[at] ^ 0xFF]))


def png_of_size(png: bytes, width: int, height: int) -> bytes:
    """Returns a PNG whose header declares another size, with the right checksum."""
    header = changed(png[12:29], 4, struct.pack(">2I", width, height))
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def jpeg_of_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Returns a baseline JPEG whose header declares another size."""
    return changed(jpeg, jpeg.find(b"\xff\xc0") + 5, struct.pack(">2H", height, width))


def without_segment(jpeg: bytes, marker: bytes) -> bytes:
    """Returns a JPEG without the segments of a kind."""
    for at in reversed(positions(jpeg[: jpeg.find(b"\xff\xda")], marker)):
        jpeg = jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4]) :]
    return jpeg


def tiff_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """Returns a little-endian TIFF with another value of a tag with one value."""
    start = int.from_bytes(tiff[4:8], "little")
    for index in range(int.from_bytes(tiff[start : start + 2], "little")):
        at = start + 2 + 12 * index
        if int.from_bytes(tiff[at : at + 2], "little") == tag:
            return changed(tiff, at + 2, struct.pack("<HII", 4, 1, value))
    raise ValueError(tag)


Encode = Callable[[Image.Image], bytes]


def encoder(name: str) -> Encode:
    """Returns the function that encodes a picture in a format of FORMATS."""
    return lambda picture: encoded(picture, *FORMATS[name])
