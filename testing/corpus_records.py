"""Shards with damaged and odd records, each with what ExampleGen must find in it.

The results follow from how the shards are made. Nothing here calls the project's reader or its checks.
"""

# mypy cannot infer the type of a lambda with a default
# mypy: disable-error-code="misc"

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf
from PIL import Image

from testing import photo_formats as formats
from testing.frames import CLASSES, LENGTH, example, framed
from testing.photo_formats import FORMATS, changed, encoded, encoder, flipped

RECORDS = 6  # of a shard
_SIZE = 12 + LENGTH + 4  # bytes of a record with its frame
DAMAGED, NOT_AN_EXAMPLE, NOT_A_PHOTO = "damaged record", "not a tf.Example", "not a photo that can be decoded"
UNKNOWN, OUT_OF_RANGE, DISAGREE = "unknown class", "class out of range", "label and class disagree"
GOOD = ""


class Shard(NamedTuple):
    """A shard.

    Attributes:
      name: the name of the file, without an ending.
      content: its content.
      good: the numbers of the records that can be used.
      bad: the reason for each record in the quarantine, by its number.
      lost: the number of records after a damaged one that cannot be read.
    """

    name: str
    content: bytes
    good: set[int]
    bad: Mapping[int, str]
    lost: int = 0


def shards(photos: Iterator[bytes]) -> Iterator[Shard]:
    """Yields all shards; each has RECORDS records with photos of `photos`, except where that is the damage."""
    fitting = (photo for photo in photos if 8_000 < len(photo) < 15_000)
    for parts in (_lengths, _cut, _between, _inside, _examples, _images, _compressed, _whole_files):
        yield from parts(lambda: [example(next(fitting), number % len(CLASSES)) for number in range(RECORDS)])


Make = Callable[[], list[bytes]]


def _file(records: list[bytes], change: Mapping[int, bytes] = {}) -> bytes:
    """Returns a shard; `change` replaces whole records."""
    return b"".join(change.get(number, framed(data)) for number, data in enumerate(records))


def _ends_at(name: str, content: bytes, number: int, lost: int | None = None) -> Shard:
    """Returns a shard in which nothing after the records before `number` can be read.

    Before the first record, the number of lost ones cannot be estimated.
    """
    after = RECORDS - number - 1 if lost is None else lost
    return Shard(f"{name} {number}", content, set(range(number)), {number: DAMAGED}, after if number else 0)


def _one_bad(name: str, content: bytes, number: int, reason: str) -> Shard:
    bad = {number: reason} if reason else {}
    return Shard(f"{name} {number}", content, set(range(RECORDS)) - set(bad), bad)


def _lengths(make: Make) -> Iterator[Shard]:
    for number in range(RECORDS):
        records = make()
        frame, data = framed(records[number]), records[number]
        for byte in (0, 3, 7, 8, 11):  # of the length and its checksum
            yield _ends_at(f"flip length {byte}", _file(records, {number: flipped(frame, byte)}), number)
        for length in (2**31, 2**62, 2**64 - 1, 10 * LENGTH * RECORDS):
            yield _ends_at(f"length {length}", _file(records, {number: framed(data, length)}), number)
        shorter = _file(records, {number: framed(data, len(data) - 100)})
        lost = max(0, RECORDS - number - 2)  # the next header is read in the middle of the data
        bad = {number: DAMAGED, number + 1: DAMAGED}
        yield Shard(f"shorter length {number}", shorter, set(range(number)), bad, lost)


def _cut(make: Make) -> Iterator[Shard]:
    for number in range(RECORDS):
        content = _file(make())
        for place in (1, 7, 12, 13, _SIZE // 2, _SIZE - 4, _SIZE - 1):
            yield _ends_at(f"cut at {place}", content[: number * _SIZE + place], number, lost=0)
        yield Shard(f"cut after {number}", content[: (number + 1) * _SIZE], set(range(number + 1)), {})


def _between(make: Make) -> Iterator[Shard]:
    for number in (0, 2, RECORDS):
        for what, garbage in {
            "zeros": bytes(40),
            "text": b"some text " * 9,
            "one byte": b"\0",
            "ones": b"\xff" * 16,
        }.items():
            records = make()
            content = _file(records[:number]) + garbage + _file(records[number:])
            # the garbage counts as one record, so that together as many are bad or lost as cannot be read
            yield _ends_at(f"{what} before", content, number, lost=max(0, RECORDS - number - 1))
        records = make()
        again = _file(records[:number]) + _file([b""]) + _file(records[number:])
        good = {*range(number), *range(number + 1, RECORDS + 1)}
        yield Shard(f"empty record {number}", again, good, {number: "no image"})


def _inside(make: Make) -> Iterator[Shard]:
    for number in range(RECORDS):
        for place in (12, 40, _SIZE // 2, _SIZE - 5, _SIZE - 1):  # of the data and its checksum
            records = make()
            change = {number: flipped(framed(records[number]), place)}
            yield _one_bad(f"flip {place}", _file(records, change), number, DAMAGED)
        records = make()
        frame = framed(records[number])
        for what, damaged in {
            "without 9 bytes": frame[:50] + frame[59:],
            "with 9 more": frame[:50] + bytes(9) + frame[50:],
        }.items():
            rest = {} if number == RECORDS - 1 and what[:5] != "with " else {number + 1: DAMAGED}
            lost = max(0, RECORDS - number - 2)
            yield Shard(
                f"{what} {number}",
                _file(records, {number: damaged}),
                set(range(number)),
                {number: DAMAGED, **rest},
                lost,
            )
    records = make()
    several = {
        0: flipped(framed(records[0]), 99),
        2: flipped(framed(records[2]), 99),
        4: flipped(framed(records[4]), 5),
    }
    yield Shard("several", _file(records, several), {1, 3}, {0: DAMAGED, 2: DAMAGED, 4: DAMAGED}, 1)
    everything = {number: flipped(framed(data), 99) for number, data in enumerate(records)}
    yield Shard("all", _file(records, everything), set(), dict.fromkeys(range(RECORDS), DAMAGED))


_FEATURES: Mapping[str, tuple[dict[str, Any], str]] = {
    "no image": ({"image": None}, "no image"),
    "no class": ({"class": None}, "no class"),
    "neither": ({"image": None, "class": None}, "no image"),
    "an integer as image": ({"image": 3}, "no image"),
    "a float as image": ({"image": 0.5}, "no image"),
    "two images": ({"image": [b"a", b"b"]}, "no image"),
    "a float as class": ({"class": 1.0}, "no class"),
    "two classes": ({"class": [1, 2]}, "no class"),
    "one-hot class": ({"class": [0, 1, 0, 0, 0]}, "no class"),
    **{f"class {value}": ({"class": value, "label": None}, OUT_OF_RANGE) for value in (5, -1, 255, 2**62, -(2**63))},
    **{f"name {value!r}": ({"class": value, "label": None}, UNKNOWN) for value in (b"", b"1", b"weed", b"Daisy")},
    "a class name": ({"class": b"roses", "label": None}, GOOD),
    "another label": ({"class": 0, "label": b"tulips"}, DISAGREE),
    "a label that is no class": ({"class": 0, "label": b"Rosa canina"}, GOOD),
    "no label": ({"label": None}, GOOD),
    "a label that is not UTF-8": ({"label": b"\xff"}, GOOD),
    **{f"label {value!r}": ({"label": value}, "no label") for value in (3, 0.5, [b"roses", b"roses"])},
    **{f"file name {value!r}": ({"filename": value}, "no filename") for value in (3, 0.5, [b"a.jpg", b"b.jpg"])},
    "another feature": ({"id": 3, "weight": [0.5, 1.5]}, GOOD),
    "a file name": ({"filename": b".jpg"}, GOOD),
    "a file name that is not UTF-8": ({"filename": b"\xff\n.jpg"}, GOOD),
}  # fmt: skip


def _examples(make: Make) -> Iterator[Shard]:
    for number, (what, (features, reason)) in enumerate(_FEATURES.items()):
        records, at = make(), number % RECORDS
        photo = tf.train.Example.FromString(records[at]).features.feature["image"].bytes_list.value[0]
        label = features.get("class", 0)
        if isinstance(features.get("filename"), bytes):  # by which the record is found in the table
            features = {"filename": f"{what} {at}.tfrecord record {at}".encode() + features["filename"]}
        made = example(photo, label if isinstance(label, int) else 0, features)
        yield _one_bad(what, _file(records, {at: framed(made)}), at, reason)
    whole = make()[0]
    parts = (whole[:100], whole[:-1], b"\x0a\xff" + whole)
    for number, data in enumerate((b"\xff" * 12, b'{"image": "a.jpg"}', b"\x07", gzip.compress(b"a"), *parts)):
        records, at = make(), number % RECORDS
        yield _one_bad(f"data {number}", _file(records, {at: framed(data)}), at, NOT_AN_EXAMPLE)


def _images(make: Make) -> Iterator[Shard]:
    for number, (what, (change, reason)) in enumerate(_photos().items()):
        records, at = make(), number % RECORDS
        stored = tf.train.Example.FromString(records[at]).features.feature["image"].bytes_list.value[0]
        made = change(Image.open(io.BytesIO(stored)).resize((48, 40)))
        yield _one_bad(f"photo {what}", _file(records, {at: framed(example(made, at % 5))}), at, reason)


def _photos() -> dict[str, tuple[Callable[[Image.Image], bytes], str]]:
    jpeg, png, bmp, gif = (encoder(name) for name in ("jpeg", "png", "bmp", "gif"))
    decoded = ("jpeg", "jpeg grey", "jpeg cmyk", "progressive", "png", "gif", "bmp")
    found: dict[str, tuple[Callable[[Image.Image], bytes], str]]
    found = {name: (encoder(name), GOOD if name in decoded else NOT_A_PHOTO) for name in FORMATS}
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        found[f"png {mode}"] = partial(encoded, ending="png", mode=mode, options={}), GOOD
    for orientation in range(2, 9):
        found[f"turned {orientation}"] = partial(formats.turned, ending="jpg", orientation=orientation), GOOD
    for name in ("jpeg", "progressive", "png", "gif", "bmp"):
        for part in (0.1, 0.5, 0.9):
            found[f"{name} cut at {part}"] = partial(_cut_photo, name=name, part=part), NOT_A_PHOTO
        # TensorFlow decodes no BMP with another length than its header declares
        found[f"{name} with a tail"] = (
            lambda p, n=name: encoder(n)(p) + bytes(50),
            NOT_A_PHOTO if name == "bmp" else GOOD,
        )
        found[f"{name} of one pixel"] = lambda p, n=name: encoder(n)(p.resize((1, 1))), GOOD
    texts = {
        "empty": b"",
        "zeros": bytes(99),
        "html": b"<html>404</html>",
        "base64": b"/9j/4AAQSkZJRg==",
        "pdf": b"%PDF-1.7\n",
        "svg": b"<svg/>",
    }
    return found | {what: (lambda p, t=text: t, NOT_A_PHOTO) for what, text in texts.items()} | {
        "jpeg without end": (lambda p: jpeg(p)[:-2], NOT_A_PHOTO),
        "png without end": (lambda p: png(p)[:-12], NOT_A_PHOTO),
        "png with a wrong checksum": (lambda p: flipped(png(p), len(png(p)) - 14), NOT_A_PHOTO),
        "png flipped": (lambda p: flipped(png(p), len(png(p)) // 2), NOT_A_PHOTO),
        "png bomb": (lambda p: formats.png_of_size(png(p), 100_000, 100_000), NOT_A_PHOTO),
        "jpeg bomb": (lambda p: formats.jpeg_of_size(jpeg(p), 65_000, 65_000), NOT_A_PHOTO),
        "bmp bomb": (lambda p: changed(bmp(p), 18, (50_000).to_bytes(4, "little") * 2), NOT_A_PHOTO),
        "gif bomb": (lambda p: changed(gif(p), 6, b"\xff\xff\xff\xff"), NOT_A_PHOTO),
        "jpeg of 12 bits": (lambda p: jpeg(p).replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), NOT_A_PHOTO),
        "animated gif": (partial(formats.animated, ending="gif"), GOOD),
        "transparent gif": (partial(encoded, ending="gif", mode="P", options={"transparency": 3}), NOT_A_PHOTO),
    }  # fmt: skip


def _cut_photo(photo: Image.Image, name: str, part: float) -> bytes:
    whole = encoder(name)(photo)
    return whole[: int(len(whole) * part)]


def _compressed(make: Make) -> Iterator[Shard]:
    everything = set(range(RECORDS))
    stored = partial(gzip.compress, compresslevel=0)
    kinds: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zlib": zlib.compress, "stored": stored}
    for what, compress in kinds.items():
        yield Shard(what, compress(_file(make())), everything, {})
        yield Shard(f"{what} of nothing", compress(b""), set(), {})
        records = make()
        yield _one_bad(
            f"{what} with a flipped bit", compress(_file(records, {3: flipped(framed(records[3]), 99)})), 3, DAMAGED
        )
        yield _ends_at(f"{what} of a text", compress(b"some text"), 0)
        yield _ends_at(f"{what} cut in the header", compress(_file(records))[: 9 if what != "zlib" else 2], 0)
    for number in range(RECORDS):  # a member for each record, so that the cut is in a known record
        members = [gzip.compress(framed(data)) for data in make()]
        for part in (0.3, 0.9):
            cut = b"".join(members[:number]) + members[number][: int(len(members[number]) * part)]
            yield _ends_at(f"gzip cut at {part}", cut, number, lost=0)
        garbage = [*members[:number], b"\x1f\x8b\x08" + b"\xff" * 50, *members[number:]]
        yield _ends_at("gzip with garbage", b"".join(garbage), number, lost=0)


def _whole_files(make: Make) -> Iterator[Shard]:
    records = make()
    for name in ("[1] *", "a b", "é", "日本", "'q\"", "#", "%20", "~", "-rf", "no", "\u202etac", "a" * 200):
        yield Shard(f"name {name}", _file(records), set(range(RECORDS)), {})
    yield Shard("nothing", b"", set(), {})
    jpeg = encoder("jpeg")(Image.new("RGB", (40, 40)))
    files = {
        "html": b"<html>404</html>",
        "json": b'{"a": 1}\n',
        "jpeg": jpeg,
        "zip": b"PK\3\4" + bytes(90),
        "zeros": bytes(9999),
        "one byte": b"x",
    }
    for what, content in files.items():
        yield _ends_at(f"{what} as a shard", content, 0)
