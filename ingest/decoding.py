"""Decodes a photo file of any format to upright RGB pixels. Pillow releases Python's global lock in its decoders."""

import contextlib
import hashlib
import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import ExifTags, Image, ImageChops, PngImagePlugin, TiffImagePlugin

from ingest import heif

heif.register()
# An explicit list, because Pillow opens some formats with external programs (EPS with Ghostscript). JPEG includes MPO.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", heif.NAME)
JPEG_FORMATS = ("JPEG", "MPO")
# A JPEG is decoded at the smallest scale of the DCT (1/1, 1/2, 1/4, 1/8) at which each side has these pixels. The scale
# depends on the photo alone, so that the digest does too.
DIGEST_SIDE = 512
_DIGEST_BYTES = 16
_LONGEST_TEXT = 64 * 2**20  # bytes of a PNG's text chunks; Pillow's limit is 1 MB, and photos with more are in use
_LARGE = 40_000_000  # pixels; photos with more are decoded one at a time, to limit the memory
_STRIP = 4_000_000  # pixels that are hashed at a time
_LEAST_DECODED = 0.5  # of the rows of a truncated JPEG
_FILL = {127, 128}  # libjpeg fills the missing part of a truncated JPEG with these values
_STRIP_OFFSETS, _ROWS_PER_STRIP, _IMAGE_LENGTH = 273, 278, 257  # TIFF's tags
_MARKS = (173, 0)  # values of a PNG's pixels before it is decoded
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_one_large_photo = threading.Lock()


class Unreadable(Exception):
    """The file is not a usable photo; the text is the reason."""


class Decoded(NamedTuple):
    """A decoded photo.

    Attributes:
      image: RGB, upright; a JPEG may be decoded at a reduced scale.
      format: Pillow's name of the file's format.
      mode: Pillow's name of the pixels' mode in the file.
      size: (width, height) in the file, before the photo is turned upright.
      truncated: the fraction of the rows that could be decoded, if a JPEG is truncated; otherwise None.
    """

    image: Image.Image
    format: str
    mode: str
    size: tuple[int, int]
    truncated: float | None

    @property
    def is_reduced(self) -> bool:
        """Whether the photo has more pixels than `image`."""
        return max(self.size) > max(self.image.size)


@contextlib.contextmanager
def limits(megapixels: int) -> Iterator[None]:
    """Sets Pillow's limits of a photo's pixels and of the texts in a PNG, which are global, and restores them.

    Args:
      megapixels: the largest photo; one with more is Unreadable.
    """
    before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    # Pillow raises an error above twice its limit, at which it only warns.
    Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = megapixels * 1_000_000 // 2, _LONGEST_TEXT
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = before


@contextlib.contextmanager
def decoded(source: Path | bytes, least: int = DIGEST_SIDE) -> Iterator[Decoded]:
    """Yields a decoded photo. While one of more than 40 megapixels is in use, other threads with such a photo wait.

    Args:
      source: the photo's file or its content.
      least: a JPEG is decoded at the smallest scale at which each side has at least this number of pixels.

    Raises:
      Unreadable: when the photo cannot be decoded, has more pixels than `limits` allows, or is a JPEG of which less
        than half can be decoded.
    """
    with contextlib.ExitStack() as stack:
        photo = stack.enter_context(_open(source))
        try:
            if photo.width * photo.height > _LARGE:
                stack.enter_context(_one_large_photo)
            result = _decode(photo, source, least)
        except Unreadable:
            raise
        except Exception as error:  # for damaged files, Pillow raises errors of many types
            raise Unreadable(_reason(error, str(photo.format))) from None
        yield result


def digest(image: Image.Image) -> bytes:
    """Returns the BLAKE2b digest, 16 bytes, of an RGB image's size and pixels.

    Copies have the same digest, also in other lossless formats or with another EXIF orientation; a JPEG of 1,024 pixels
    and more, which is decoded at a reduced scale, only as a JPEG.
    """
    result = hashlib.blake2b(b"%d,%d," % image.size, digest_size=_DIGEST_BYTES)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image if rows >= image.height else image.crop((0, top, image.width, min(top + rows, image.height)))
        result.update(strip.tobytes())
    return result.digest()


def _open(source: Path | bytes) -> Image.Image:
    try:
        return Image.open(_file(source), formats=FORMATS)
    except Exception as error:  # UnidentifiedImageError, or for some damaged files an error of another type
        if isinstance(error, Image.DecompressionBombError) or getattr(error, "strerror", None):
            raise Unreadable(_reason(error)) from None
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            raise Unreadable(_why_unidentified(file)) from None


def _file(source: Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _decode(photo: Image.Image, source: Path | bytes, least: int) -> Decoded:
    size, truncated = photo.size, None
    try:
        image = _load(photo, least)
        if _lacks_rows(photo, source):
            raise Unreadable(f"a damaged {photo.format}: the last rows are missing")
    except OSError as error:
        if photo.format not in JPEG_FORMATS:
            raise
        image, truncated = _truncated(source, least, _line(error))
    return Decoded(_upright(_to_rgb(image), photo), str(photo.format), photo.mode, size, truncated)


def _load(photo: Image.Image, least: int, mark: int = _MARKS[0]) -> Image.Image:
    photo.draft(None, (least, least))
    if photo.format == "PNG":
        photo.im = Image.new(photo.mode, photo.size, mark).im
    photo.load()
    return photo


def _lacks_rows(photo: Image.Image, source: Path | bytes) -> bool:
    """Returns whether a complete PNG or TIFF lacks the data of its last rows, for which Pillow raises no error."""
    if isinstance(photo, TiffImagePlugin.TiffImageFile):
        strips, rows = len(photo.tag_v2.get(_STRIP_OFFSETS, ())), photo.tag_v2.get(_ROWS_PER_STRIP)
        return bool(strips and rows and strips * rows < photo.tag_v2[_IMAGE_LENGTH])
    if photo.format != "PNG" or not _is_filled(photo, _MARKS[0]):  # the last row is still as `_load` has filled it
        return False
    with _open(source) as again:
        return _is_filled(_load(again, max(again.size), _MARKS[1]), _MARKS[1])


def _is_filled(photo: Image.Image, mark: int) -> bool:
    last = photo.crop((0, photo.height - 1, photo.width, photo.height))
    return last.tobytes() == Image.new(photo.mode, last.size, mark).tobytes()


def _truncated(source: Path | bytes, least: int, reason: str) -> tuple[Image.Image, float]:
    """Returns the image of a JPEG that ends too early, with grey in the rows that are missing, and the other fraction.

    Pillow has a switch for it, which is global and also accepts truncated files of other formats.

    Raises:
      Unreadable: when more than half of the rows are missing.
    """
    content = source if isinstance(source, bytes) else source.read_bytes()
    # The file may end in a table of Huffman codes of a progressive JPEG, which libjpeg cannot use in part.
    for end in (len(content), content.rfind(b"\xff\xc4")):
        with contextlib.suppress(OSError, Unreadable):  # which of the two depends on the version of Pillow
            image = _load(_open(content[:end] + b"\xff\xd9"), least)
            if (rows := _decoded_rows(image)) >= _LEAST_DECODED:
                return image, rows
    raise Unreadable(f"a JPEG that is truncated or damaged; less than half of it can be decoded: {reason}")


def _decoded_rows(image: Image.Image) -> float:
    """Returns the fraction of the rows above those that libjpeg filled, because their data is missing."""
    last = image.getpixel((image.width - 1, image.height - 1))
    values = last if isinstance(last, tuple) else (last,)
    if not set(values) <= _FILL:
        return 1.0
    filled = Image.new(image.mode, image.size, last)
    box = ImageChops.difference(image, filled).getbbox(alpha_only=False)
    return box[3] / image.height if box else 0.0


def _upright(image: Image.Image, photo: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(photo.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # for broken EXIF data, Pillow raises errors of many types; the photo is used as it is stored
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Returns an image as RGB, with white where it is transparent."""
    if image.mode in ("I", "F"):
        raise Unreadable("expected 8 or 16 bits per channel, received 32")
    if image.mode.startswith("I;16"):  # convert() would make every value above 255 white
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _why_unidentified(file: BinaryIO) -> str:
    """Returns why Pillow cannot open a file: the decoder's reason if the file begins as one of FORMATS does."""
    start = file.read(16)
    if not start:
        return "an empty file"
    for name in FORMATS:
        opener, accepts = Image.OPEN[name]
        if accepts and accepts(start) is True:
            file.seek(0)
            try:
                opener(file, "")
            except Exception as error:  # of many types
                bits = re.search(r"cannot handle (\d+)-bit layers", str(error))
                return f"expected 8 bits per channel, received {bits[1]}" if bits else _reason(error, name)
    return f"not a photo in a supported format ({', '.join(FORMATS)})"


def _reason(error: Exception, name: str = "photo") -> str:
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"larger than {limit // 1_000_000:,} megapixels (--max-megapixels)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"a damaged {name}: {_line(error)}"


def _line(error: Exception) -> str:
    """Returns the text of an error as one line; libheif's texts end with a line break."""
    return " ".join(str(error).split()) or type(error).__name__
