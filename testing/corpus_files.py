"""Photo files that are damaged or odd, each with the result that `ingest photos` must give it.

The results follow from how the files are made. Nothing here calls the project's decoder.
"""

# mypy cannot infer the type of a lambda with a default
# mypy: disable-error-code="misc"

import gzip
import io
import os
import socket
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from testing import photo_formats as formats
from testing.photo_formats import ANIMATED, FORMATS, VARIANTS, changed, encoded, encoder, flipped, restarts

USED, TRUNCATED, IGNORED = "used", "used, and listed as truncated", "neither used nor listed"
_SIDE = 96  # pixels: 12 rows of blocks in a JPEG
_ROWS = 12
_NOT_A_PHOTO = "^not a photo in a supported format"
_EMPTY = "^an empty file$"
_LARGE = r"^larger than 250 megapixels \(--max-megapixels\)$"
_CUT_JPEG = "^a JPEG that is truncated or damaged; less than half of it can be decoded: "
_HEAD = 16  # bytes by which a format is recognised
_NAME = {"jpeg": "JPEG", "progressive": "JPEG", "heic": "HEIF"}


class Item(NamedTuple):
    """A file of the corpus.

    Attributes:
      name: the file's name, or a path without a class.
      make: returns the content, given a picture of 96 × 96 pixels; None if `place` writes the file.
      expected: USED, TRUNCATED, IGNORED, or a regular expression of the reason why the file is skipped.
      alike: whether the pixels may be those of other files, so that all such files must be in one class.
      place: writes something else than a file with a content, given its path.
    """

    name: str
    make: Callable[[Image.Image], bytes] | None
    expected: str
    alike: bool = False
    place: Callable[[Path], None] | None = None


def items() -> Iterator[Item]:
    """Yields all files."""
    for parts in (_cut, _damaged, _not_photos, _bombs, _appended, _endings, _sizes, _kinds, _exif, _names):
        yield from parts()


def _of(name: str, what: str, expected: str, change: Callable[[bytes], bytes]) -> Item:
    encode = encoder(name)
    is_heic = name == "heic"
    return Item(f"{name} {what}.{FORMATS[name][0]}", lambda picture: change(encode(picture)), expected, is_heic)


def _damage(name: str) -> str:
    return f"^a damaged {_NAME.get(name, name.split()[0].upper())}: "


def _cut(names: tuple[str, ...] = tuple(FORMATS)) -> Iterator[Item]:
    for name in names:
        yield _of(name, "cut to nothing", _EMPTY, lambda c: b"")
        yield _of(name, "cut to one byte", _NOT_A_PHOTO, lambda c: c[:1])
        if "jpeg" in name:
            yield from _cut_jpeg(name)
        elif name == "progressive":
            yield from _cut_progressive(name)
        else:
            for part in (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97):
                yield _of(name, f"cut at {part}", _damage(name), lambda c, p=part: c[: max(_HEAD, int(len(c) * p))])


def _cut_jpeg(name: str) -> Iterator[Item]:
    for part in (0.1, 0.4, 0.7, 0.99):  # of the header
        yield _of(name, f"header cut at {part}", _damage("jpeg"), lambda c, p=part: c[: int(c.find(b"\xff\xda") * p)])
    for row in (0, 2, 4, 6, 8, 10):  # in the middle of the next row: with row 5, half of the rows would be there

        def cut(content: bytes, row: int = row) -> bytes:
            ends = [content.find(b"\xff\xda") + 14, *restarts(content)]
            return content[: (ends[row] + ends[row + 1]) // 2]

        yield _of(name, f"cut after row {row}", TRUNCATED if row >= _ROWS // 2 else _CUT_JPEG, cut)
    yield _of(name, "without its end", TRUNCATED, lambda c: c[:-2])


def _cut_progressive(name: str) -> Iterator[Item]:
    def scans(content: bytes) -> list[int]:
        return [*formats.positions(content, b"\xff\xda"), len(content)]

    for scan in (1, 2, 4, 6, 8):  # the first scan has all rows, with little detail
        yield _of(name, f"cut in scan {scan}", TRUNCATED, lambda c, n=scan: c[: sum(scans(c)[n : n + 2]) // 2])
    for part in (0.1, 0.3):  # larger, because libjpeg blurs the last rows of a first scan into the next ones

        def cut(picture: Image.Image, part: float = part) -> bytes:
            content = encoder(name)(picture.resize((4 * _SIDE, 4 * _SIDE)))
            first, second, *_ = scans(content)
            return content[: int(first + 14 + (second - first) * part)]

        yield Item(f"{name} first scan cut at {part}.jpg", cut, _CUT_JPEG)


def _damaged() -> Iterator[Item]:
    for name in FORMATS:
        at = 4 if name in ("avif", "heic") else 0  # the word ftyp
        yield _of(name, "with another magic number", _NOT_A_PHOTO, lambda c, at=at: flipped(c, at))
    for at in (17, 24, 30):  # IHDR: the size, the bits, the checksum
        yield _of("png", f"flipped at {at}", _damage("png"), lambda c, at=at: flipped(c, at))
    for part in (0.2, 0.4, 0.6, 0.8):  # zlib's checksum
        yield _of("png", f"flipped at {part}", _damage("png"), lambda c, p=part: flipped(c, int(len(c) * p)))
    yield _of("png", "without IEND", USED, lambda c: c[:-12])
    yield _of("png", "with a wrong checksum", USED, lambda c: flipped(c, len(c) - 14))
    yield _of("gif", "without trailer", USED, lambda c: c[:-1])
    yield _of("png", "higher than its data", _damage("png"), lambda c: formats.png_of_size(c, _SIDE, 2 * _SIDE))
    yield _of("png", "of no size", _damage("png"), lambda c: formats.png_of_size(c, 0, 0))
    yield _of("bmp", "higher than its data", _damage("bmp"), lambda c: changed(c, 22, b"\xc0\0\0\0"))
    yield _of("tiff", "higher than its data", _damage("tiff"), lambda c: formats.tiff_tag(c, 257, 2 * _SIDE))
    yield _of("tiff", "of an unknown compression", _damage("tiff"), lambda c: formats.tiff_tag(c, 259, 999))
    yield _of("jpeg", "of 12 bits", "^expected 8 bits per channel, received 12$",
              lambda c: c.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"))  # fmt: skip
    yield _of("jpeg", "lossless", _CUT_JPEG, lambda c: changed(c, c.find(b"\xff\xc0"), b"\xff\xc3"))
    yield _of("jpeg", "without quantization", _CUT_JPEG, lambda c: formats.without_segment(c, b"\xff\xdb"))
    for mode in ("I", "F"):
        yield Item(f"32 bits {mode}.tiff", lambda p, m=mode: encoded(p.convert("L"), "tiff", m, {}),
                   "^expected 8 or 16 bits per channel, received 32$")  # fmt: skip
    yield _of("heic", "with an item type that is not UTF-8", _damage("heic"),
              lambda c: c.replace(b"\0Exif\0", b"\0\xdc\0if\0", 1))  # fmt: skip


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", content)
    return file.getvalue()


def _not_photos() -> Iterator[Item]:
    jpeg, png = encoder("jpeg"), encoder("png")
    wrapped: dict[str, Callable[[Image.Image], bytes]] = {
        "zip": lambda p: _zip(jpeg(p)),
        "gzip": lambda p: gzip.compress(jpeg(p)),
        "base64": lambda p: b64encode(jpeg(p)),
        "data URI": lambda p: b"data:image/jpeg;base64," + b64encode(jpeg(p)),
        "HTTP header": lambda p: b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg(p),
        "byte order mark": lambda p: b"\xef\xbb\xbf" + jpeg(p),
        "line break first": lambda p: b"\n" + jpeg(p),
        "line ends replaced": lambda p: png(p).replace(b"\r\n", b"\n"),
        **{
            f"Pillow's {name}": lambda p, n=name: encoded(p, n, "RGB", {})
            for name in ("ppm", "ico", "tga", "pcx", "eps", "pdf", "sgi")
        },
        "jpeg 2000": lambda p: encoded(p, "jpeg2000", "RGB", {}),
    }  # fmt: skip
    texts = {
        "html": b"<!DOCTYPE html><title>404</title>", "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "xml": b"<?xml version='1.0'?><a/>", "json": b'{"error": "not found"}',
        "eps text": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "pdf text": b"%PDF-1.7\n", "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "zeros": bytes(5000), "ones": b"\xff" * 5000,
        "wav": b"RIFF\x24\0\0\0WAVEfmt ", "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0",
        "jpeg xl": b"\xff\x0a" + bytes(50), "psd": b"8BPS\0\1" + bytes(50), "elf": b"\x7fELF" + bytes(60),
        "xbm": b"#define a_width 1\n#define a_height 1\nstatic char a_bits[] = {0};", "one byte": b"\0",
        "an error's text": "Fehler: größe".encode("utf-16"),
    }  # fmt: skip
    for what, make in wrapped.items():
        yield Item(f"{what}.jpg", make, _NOT_A_PHOTO)
    for what, text in texts.items():
        yield Item(f"{what}.jpg", lambda p, t=text: t, _NOT_A_PHOTO)


def _bombs() -> Iterator[Item]:
    for side in (15_812, 50_000, 100_000):  # 15,811 pixels squared are less than 250 megapixels
        yield _of("png", f"of {side} pixels", _LARGE, lambda c, s=side: formats.png_of_size(c, s, s))
        yield _of("tiff", f"of {side} pixels", _LARGE,
                  lambda c, s=side: formats.tiff_tag(formats.tiff_tag(c, 256, s), 257, s))  # fmt: skip
        yield _of("bmp", f"of {side} pixels", _LARGE, lambda c, s=side: changed(c, 18, s.to_bytes(4, "little") * 2))
    for side in (16_000, 65_000):
        yield _of("jpeg", f"of {side} pixels", _LARGE, lambda c, s=side: formats.jpeg_of_size(c, s, s))
        yield _of("gif", f"of {side} pixels", _LARGE, lambda c, s=side: changed(c, 6, s.to_bytes(2, "little") * 2))


def _appended() -> Iterator[Item]:
    tails = {"zeros": bytes(999), "a text": b"\n<!-- end -->\n"}
    for name in FORMATS:
        for what, tail in tails.items():
            yield _of(name, f"before {what}", USED, lambda c, t=tail: c + t)
        yield _of(name, "twice", USED, lambda c: c + c)


def _endings() -> Iterator[Item]:
    for name in FORMATS:
        for ending in ("jpg", "png", "JPEG", "txt", "csv", ""):
            yield Item(f"{name} as{'.' if ending else ''}{ending}", encoder(name), USED, name == "heic")


def _sizes() -> Iterator[Item]:
    for name in FORMATS:
        for size in ((1, 1), (1, 60), (60, 1), (2, 3), (17, 31)) if name != "heic" else ():
            yield Item(f"{name} {size[0]}x{size[1]}.{FORMATS[name][0]}",
                       lambda p, n=name, s=size: encoder(n)(p.resize(s)), USED, alike=True)  # fmt: skip


def _kinds() -> Iterator[Item]:
    for number, (ending, mode, options) in enumerate(VARIANTS):
        yield Item(f"kind {number} {ending} {mode}.{ending}",
                   partial(encoded, ending=ending, mode=mode, options=options), USED)  # fmt: skip
    for ending in ANIMATED:
        yield Item(f"animated.{ending}", partial(formats.animated, ending=ending), USED)


def _exif() -> Iterator[Item]:
    for ending in ("jpg", "png", "webp", "tiff", "avif"):
        for orientation in (*range(1, 9), 0, 9, 65_535):
            if ending != "avif" or orientation in range(1, 9):
                yield Item(f"turned {orientation}.{ending}",
                           partial(formats.turned, ending=ending, orientation=orientation), USED)  # fmt: skip
    broken = (
        b"",
        b"II*\0\xff\xff\xff\xff",
        b"nothing",
        b"MM\0*\0\0\0\x08\0\x09",
        b"II*\0\x08\0\0\0\1\0\x12\1\2\0\4\0\0\0",
    )
    for ending in ("jpg", "webp"):
        for number, exif in enumerate(broken):
            yield Item(f"exif {number}.{ending}",
                       lambda p, e=ending, x=exif: encoded(p, e, "RGB", {"exif": b"Exif\0\0" + x}), USED)  # fmt: skip


_ODD = (
    " ", "  two  spaces  ", "'quoted' \"twice\"", "comma, semicolon; tab\t", "line\nbreak", "bell\a", "esc\x1b[31m",
    "-rf", "--help", "*", "?", "[a-z]", "{a,b}", "$HOME", "`ls`", "a|b", "a>b", "a&b", "#1", "%s", "%00", "~",
    "back\\slash", "con", "nul", "no", "null", "1", "1e5", "a.b.c", "photo.jpg", "UPPER", "é", "e\u0301",
    "گربه\u200cها", "日本語\u3000写真", "👩\u200d👩\u200d👧", "\u202etac", "\ufeffbom", "\u00a0nbsp",
    "a" * 251, "é" * 125, "<b>bold", "=1+1", "@sum", "zero\u200bwidth", "\u2028separator",
)  # fmt: skip


def _names() -> Iterator[Item]:
    jpeg = encoder("jpeg")
    for number, name in enumerate(_ODD):
        yield Item(f"{name}.{('jpg', 'JPG', 'png')[number % 3]}", jpeg, USED)
        if len(name) < 50:
            yield Item(f"{name} cut.jpg", lambda p: jpeg(p)[:900], _CUT_JPEG)
    for name in (".hidden.jpg", "._resource.jpg", ".DS_Store", "@eaDir/a.jpg", "__MACOSX/a.jpg"):
        yield Item(name, jpeg, IGNORED)
    yield Item("Thumbs.db", lambda p: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), _NOT_A_PHOTO)
    yield Item("latin1 \udce9.jpg", jpeg, "^the name is not UTF-8; rename it$")
    for name, place, expected in _PLACES:
        yield Item(name, None, expected, True, place)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")  # a socket's path has at most 107 bytes
        finally:
            os.close(folder)


def _secret(path: Path) -> None:
    Image.linear_gradient("L").save(path)
    path.chmod(0)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


_PLACES: Sequence[tuple[str, Callable[[Path], None], str]] = (
    ("folder.jpg", Path.mkdir, "^an empty folder$"),
    ("pipe.jpg", os.mkfifo, "^not a file$"),
    ("socket.jpg", _socket, "^not a file$"),
    ("no target.jpg", _link("nothing"), "^a link that cannot be followed: No such file or directory$"),
    ("circle.jpg", _link("circle.jpg"), "^a link that cannot be followed: Too many levels of symbolic links$"),
    ("device.jpg", _link("/dev/zero"), "^a link to a target outside the photo folder; --follow-links follows it$"),
    ("link.jpg", _link("heic as.jpg"), USED),
    ("secret.jpg", _secret, USED if os.geteuid() == 0 else "^Permission denied$"),
)
