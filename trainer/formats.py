"""Names the format of encoded photos, and why TensorFlow cannot use one, without decoding it."""

from typing import NamedTuple

import tensorflow as tf
from tensorflow.autograph.experimental import do_not_convert

from trainer import gif

MAX_PIXELS = 178_956_970  # Pillow's limit for a decompression bomb, as in `ingest`
MAX_SCANS = 100  # of a progressive JPEG, which usually has 10; each scan costs a pass over all pixels
DECODED = "JPEG, PNG, GIF or BMP"
JPEG, PNG, GIF, BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM"
TOO_LARGE = f"expected a photo of at most {MAX_PIXELS:,} pixels, but its header declares more; resize it"
_TOO_MANY_SCANS = f"expected a JPEG of at most {MAX_SCANS} scans, but it has more; save it again"
_START_OF_SCAN = b"\xff\xda"  # compressed data has a zero after each 0xff
_NOT_DECODED = f"is not supported; send {DECODED}"

_BMP_PROBLEM = f"a BMP with compression, colour masks or other than 8, 24 or 32 bits per pixel {_NOT_DECODED}"

_HEADER = 26  # bytes that contain the size in PNG, GIF and BMP
_BMP_HEADER = 34  # bytes up to the compression
# \C is any byte; a palette begins directly after a header of 40 bytes
_USABLE_BMP = r"BM\C{12}(?:\x28\x00{3}\C{10}\x08|[\x28\x34\x38\x6c\x7c]\x00{3}\C{10}[\x18\x20])\x00{5}"
_TEXT = 1024

# position, bytes, name; the first match counts
_OTHERS = (
    (8, b"WEBP", "WebP"),
    (8, b"avif", "AVIF"),
    (8, b"avis", "AVIF"),
    *((8, brand, "HEIC") for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")),
    (8, b"crx ", "Canon's raw format"),
    (4, b"ftyp", "video (MP4, QuickTime)"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"\0\0\2\0", "CUR"),
    (0, b"8BPS", "PSD"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"icns", "ICNS"),
    (0, b"qoif", "QOI"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "gzip"),
)
# text formats, by a regular expression of the first bytes
_TEXTS = (
    (r"(?is)\s*(?:<\?xml\C*?|<!--\C*?)?<svg\b\C*", "SVG"),
    (r"(?is)\s*<(?:!doctype )?html\b\C*", "HTML"),
    (r"(?is)\s*<\?xml\b\C*", "XML"),
    (r"(?s)\s*[\[{]\s*[\"{\[]\C*", "JSON"),
    (r"(?s)data:image/\C*", "a data URI"),
    (r"(?s)(?:/9j/|iVBORw0KGgo|R0lGOD|UklGR)\C*", "base64 text"),
)


class Problem(NamedTuple):
    """A condition, scalar bool, and what a user reads if it is true."""

    exists: tf.Tensor
    text: str | tf.Tensor


@do_not_convert
def problem(encoded: tf.Tensor) -> tf.Tensor:
    """Returns why a photo cannot be used, scalar string: '' if its header is that of a usable photo.

    It reads headers only; a photo without a problem may still be damaged.

    Args:
      encoded: scalar string.
    """
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, len(JPEG)), JPEG)  # first, because most photos are JPEG
    return tf.cond(is_jpeg, lambda: _of_jpeg(encoded), lambda: _of_others(encoded))


@tf.function(
    input_signature=[tf.TensorSpec([], tf.string)], autograph=False, experimental_attributes={"_noinline": True}
)
def _of_others(encoded: tf.Tensor) -> tf.Tensor:
    kinds = [tf.equal(tf.strings.substr(encoded, 0, len(magic)), magic) for magic in (PNG, GIF, BMP)]
    rules = [_of_png, _of_gif, _of_bmp, _of_unknown]
    return tf.switch_case(
        tf.argmax(tf.stack([*kinds, True]), output_type=tf.int32), [lambda rule=rule: rule(encoded) for rule in rules]
    )


def _of_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.reduce_prod(tf.io.extract_jpeg_shape(encoded, tf.int64)[:2])
    scans = tf.size(tf.strings.split(encoded, _START_OF_SCAN)) - 1
    return _first(Problem(pixels > MAX_PIXELS, TOO_LARGE), Problem(scans > MAX_SCANS, _TOO_MANY_SCANS))


def _of_png(encoded: tf.Tensor) -> tf.Tensor:
    header = _header(encoded)
    return _first(Problem(_number(header[16:20]) * _number(header[20:24]) > MAX_PIXELS, TOO_LARGE))


def _of_gif(encoded: tf.Tensor) -> tf.Tensor:
    found = gif.frames(encoded, MAX_PIXELS)
    screen = _header(encoded)[6:10]
    box = _header(tf.strings.substr(encoded, found.first, _HEADER))[1:9]
    fills = tf.reduce_all(tf.equal(box, tf.concat([tf.zeros_like(screen), screen], 0)))
    is_transparent = tf.equal(_header(tf.strings.substr(encoded, found.control, _HEADER))[3] % 2, 1)
    return _first(
        Problem(found.pixels > MAX_PIXELS, TOO_LARGE),
        Problem(tf.equal(found.first, 0), "a damaged GIF: it has no frame"),
        Problem((found.control > 0) & is_transparent, f"a transparent GIF {_NOT_DECODED}"),
        Problem(~fills, f"a GIF whose first frame is smaller than its screen {_NOT_DECODED}"),
    )


def is_usable_bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Returns whether TensorFlow decodes a BMP correctly, scalar bool."""
    return tf.strings.regex_full_match(tf.strings.substr(encoded, 0, _BMP_HEADER), _USABLE_BMP)


def _of_bmp(encoded: tf.Tensor) -> tf.Tensor:
    header = _header(encoded)
    width, height = _number(header[18:22][::-1]), _number(header[22:26][::-1])
    height = tf.where(height < 2**31, height, 2**32 - height)  # negative if the rows are stored from top to bottom
    return _first(Problem(~is_usable_bmp(encoded), _BMP_PROBLEM), Problem(width * height > MAX_PIXELS, TOO_LARGE))


def _of_unknown(encoded: tf.Tensor) -> tf.Tensor:
    start = tf.strings.join([tf.strings.substr(encoded, 0, _TEXT), "\0" * _HEADER])
    places, magics, names = zip(*_OTHERS, strict=True)
    heads = tf.strings.substr(tf.fill([len(places)], start), places, [len(magic) for magic in magics])
    is_text = [tf.strings.regex_full_match(start, pattern) for pattern, _ in _TEXTS]
    is_format = tf.concat([[tf.equal(encoded, "")], tf.equal(heads, magics), is_text, [True]], 0)
    sentences = [f"{name} is not supported; send {DECODED}" for name in (*names, *(name for _, name in _TEXTS))]
    sentences = [f"the photo is empty; send {DECODED}", *sentences, f"the format is unknown; send {DECODED}"]
    return _first(Problem(tf.constant(True), tf.constant(sentences)[tf.argmax(is_format)]))


def _first(*problems: Problem) -> tf.Tensor:
    """Returns the text of the first problem that a photo has, or ''."""
    texts = tf.stack([problem.text for problem in problems] + [""])
    return texts[tf.argmax(tf.stack([problem.exists for problem in problems] + [tf.constant(True)]))]


def _header(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the first bytes, int64 [_HEADER], padded with zeros."""
    return tf.cast(tf.io.decode_raw(encoded, tf.uint8, fixed_length=_HEADER), tf.int64)


def _number(values: tf.Tensor) -> tf.Tensor:
    """Returns the number of big-endian bytes."""
    return tf.reduce_sum(values * [256**index for index in range(values.shape[0])][::-1])
