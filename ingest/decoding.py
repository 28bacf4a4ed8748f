"""One photo, from a file of any usual format to an upright square JPEG. Pillow works outside Python's lock."""

import io
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

# Named, since Pillow would hand others to programs outside (EPS to Ghostscript). JPEG stands for phones' MPO too.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
QUALITY = 92  # of the public flowers' TFRecords
_REDUCED = 2  # a JPEG is decoded at a fraction of its size, at least this many times the size that is asked for


class Unreadable(Exception):
    """A file is not a photo that can be used. The text is the reason."""


def check_header(path: Path) -> None:
    """Checks that a file begins as a photo of a usual format, without decoding it.

    Raises:
      Unreadable: when it does not, or when it is so large that Pillow takes it for a decompression bomb.
    """
    try:
        with Image.open(path, formats=FORMATS):
            pass
    except Exception as error:  # damaged files make Pillow's readers raise errors of about any type
        raise Unreadable(_reason(error)) from None


def square_jpeg(path: Path, size: int) -> bytes:
    """Returns a photo turned upright (EXIF), in RGB, cropped to a centred square of `size` pixels, as JPEG.

    What is transparent is put on white; of an animation, the first picture is taken.

    Raises:
      Unreadable: when it cannot be decoded.
    """
    try:
        with Image.open(path, formats=FORMATS) as photo:
            photo.draft(None, (_REDUCED * size, _REDUCED * size))
            upright = _to_rgb(ImageOps.exif_transpose(photo))
        square = ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        square.save(buffer, "JPEG", quality=QUALITY)
    except Exception as error:  # as above
        raise Unreadable(_reason(error)) from None
    return buffer.getvalue()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise Unreadable("expected 8 or 16 bits a channel, received 32")
    if image.mode.startswith("I;16"):  # convert() would make every value above 255 white
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not a photo in a format that is read ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"larger than {limit:,} pixels, as a decompression bomb would be"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
