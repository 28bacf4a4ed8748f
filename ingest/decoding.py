"""Converts a photo file to an upright square JPEG. Pillow releases Python's global lock, so threads run in parallel."""

import io
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

# An explicit list, because Pillow opens some formats with external programs (EPS with Ghostscript). JPEG includes MPO.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
QUALITY = 92  # of the public flowers' TFRecords
_REDUCED = 2  # a JPEG is decoded at a reduced size, at least this many times the target size


class Unreadable(Exception):
    """The file is not a usable photo; the text is the reason."""


def check_header(path: Path) -> None:
    """Checks that a file's header is that of a photo in one of FORMATS.

    Raises:
      Unreadable: when it is not, or when Pillow rejects the size as a decompression bomb.
    """
    try:
        with Image.open(path, formats=FORMATS):
            pass
    except Exception as error:  # for damaged files, Pillow raises errors of many types
        raise Unreadable(_reason(error)) from None


def square_jpeg(path: Path, size: int) -> bytes:
    """Returns a photo as an upright RGB JPEG, cropped to a centred square with sides of `size` pixels.

    Transparent pixels become white. Only the first frame of an animation is used.

    Raises:
      Unreadable: when the photo cannot be decoded.
    """
    try:
        with Image.open(path, formats=FORMATS) as photo:
            photo.draft(None, (_REDUCED * size, _REDUCED * size))
            upright = _to_rgb(ImageOps.exif_transpose(photo))
        square = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        square.save(buffer, "JPEG", quality=QUALITY)
    except Exception as error:  # see check_header
        raise Unreadable(_reason(error)) from None
    return buffer.getvalue()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise Unreadable("expected 8 or 16 bits per channel, received 32")
    if image.mode.startswith("I;16"):  # convert() would make every value above 255 white
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not a photo in a supported format ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"larger than {limit:,} pixels, which may be a decompression bomb"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
