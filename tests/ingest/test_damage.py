"""Properties of what `ingest` reads, for any damage: photos, record files, manifests and edits."""

import gzip
import io
import json
import zlib

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from errors import UserError
from ingest import decoding, encoding, label_edits, layouts, record_file
from ingest.encoding import Options
from testing.frames import framed
from testing.photo_formats import FORMATS, VARIANTS, encoded, turned
from tests.helpers.damage import PROPERTY, damaged
from trainer import images

_MEGAPIXELS = 16
_PICTURE = Image.radial_gradient("L").resize((24, 16)).convert("RGB")
_PHOTOS = [encoded(_PICTURE, *FORMATS[name]) for name in FORMATS] + [encoded(_PICTURE, *each) for each in VARIANTS]
_TURNED = [turned(_PICTURE, ending, 6) for ending in ("jpg", "png", "webp", "tiff")]
_KEPT = [photo for photo in _PHOTOS + _TURNED if photo[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xdb")]


@PROPERTY
@given(damaged(_PHOTOS + _TURNED))
def test_a_damaged_photo_is_decoded_or_refused_with_a_reason(change):
    with decoding.limits(_MEGAPIXELS):
        try:
            with decoding.decoded(change[0]) as photo:
                width, height = photo.image.size
                assert photo.image.mode == "RGB" and 0 < width * height <= _MEGAPIXELS * 1_000_000
                assert len(decoding.digest(photo.image)) == 16
                assert encoding.square(photo.image, 16, "crop").size == (16, 16)
        except decoding.Unreadable as error:
            assert str(error).strip() and len(str(error).splitlines()) == 1 and " at 0x" not in str(error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the photos that manifests name."""
    folder = tmp_path_factory.mktemp("damage")
    for name in ("a.jpg", "cat/a.jpg", "dog/b.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(_PHOTOS[0])
    return folder


@PROPERTY
@given(damaged(_KEPT))
def test_tensorflow_decodes_each_original_that_is_kept(folder, change):
    path = folder / "damaged"
    path.write_bytes(change[0])
    with decoding.limits(_MEGAPIXELS):
        try:
            content = encoding.encode(path, Options(16, keep_original=True)).content
        except decoding.Unreadable:
            return
    assert images.decode(images.checked(tf.constant(content))).shape[2] == 3


_RECORDS = [bytes([number]) * (number * 7 % 30) for number in range(6)]
_SHARD = b"".join(map(framed, _RECORDS))
_STARTS = [sum(len(data) + 16 for data in _RECORDS[:number]) for number in range(len(_RECORDS) + 1)]


def _read(content: bytes) -> list[record_file.Record]:
    found = list(record_file.read(io.BytesIO(content), len(content)))
    assert [record.number for record in found] == list(range(len(found)))
    assert not any(record.lost for record in found[:-1])
    assert all(0 <= record.lost <= len(content) // 16 and "\n" not in record.problem for record in found)
    return found


@PROPERTY
@given(damaged([_SHARD]))
def test_the_records_before_a_damage_are_read(change):
    content, first = change
    found = _read(content)
    before = sum(end <= first for end in _STARTS[1:])
    assert [record.data for record in found[:before]] == _RECORDS[:before]
    assert not any(record.problem for record in found[:before])


@PROPERTY
@given(damaged([compress(_SHARD) for compress in (gzip.compress, zlib.compress)]))
def test_no_damage_of_the_compression_gives_another_record(change):
    assert all(record.problem or record.data in _RECORDS for record in _read(change[0]))


@PROPERTY
@given(st.integers(2, 12), st.integers(0, 40), st.data())
def test_the_number_of_lost_records_is_right_if_all_have_one_length(count, size, data):
    number, byte, bit = (
        data.draw(st.integers(0, count - 1)),
        data.draw(st.integers(0, 11)),
        data.draw(st.integers(0, 7)),
    )
    content = bytearray(framed(bytes(size)) * count)
    content[number * (size + 16) + byte] ^= 1 << bit
    *good, bad = _read(bytes(content))
    assert (len(good), bad.number, bad.lost) == (number, number, count - number - 1 if number else 0)
    assert bad.problem


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(("a.jpg", "cat")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("path", "label", "split")), inner),
    max_leaves=8,
)  # fmt: skip
_CELLS = st.sampled_from(("path", "label", "split", "a.jpg", "cat/a.jpg", "cat", "train", "", '"', "gs://b/c.jpg"))
_CELLS |= st.text(max_size=9)
_CSV = st.lists(st.lists(_CELLS, max_size=4).map(",".join), max_size=5).map("\n".join)
_JSON_LINES = st.lists(_JSON.map(json.dumps) | st.text(max_size=9), max_size=4).map("\n".join)


@PROPERTY
@given(
    st.sampled_from((".csv", ".tsv", ".json", ".jsonl", ".parquet")),
    st.text() | _CSV | _JSON_LINES,
    st.sampled_from(("utf-8", "utf-16")),
)
def test_any_manifest_is_read_or_refused(folder, ending, text, encoding_):
    path = folder / f"manifest{ending}"
    path.write_bytes(text.encode(encoding_, "surrogatepass"))
    try:
        layouts.find(path, layouts.Options(), [])
    except UserError as error:
        assert str(error)
    try:
        label_edits.read(path)
    except UserError as error:
        assert str(error)
