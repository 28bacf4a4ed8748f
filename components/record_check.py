"""Reads a record file and checks each record: checksums, features, class, and a photo that can be decoded.

Records that can be used get the names of features and the class indices that the other nodes expect. The others go to
the quarantine with a reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from google.protobuf.message import DecodeError

from components import photos
from components.edits import DROPPED, RELABELLED, UNCHANGED, Edit
from components.photos import Measured
from components.quarantine import DISAGREE, OUT_OF_RANGE
from errors import shortened
from ingest import record_file
from ingest.bad_records import BadRecord
from ingest.feature_names import FILENAME, is_default
from ingest.label_edits import DIGEST, Edits
from storage.s3 import as_s3
from trainer.features import CLASS, IMAGE, LABEL

_BATCH = 64  # records that are decoded in one call
_BATCH_BYTES = 16 * 2**20
_NAME_BYTES = 200  # of a file name in the quarantine and in the table
_ONE_HOT = "one_hot_class"  # float[classes], an optional feature


class Expected(NamedTuple):
    """What a record must have.

    Attributes:
      classes: the class names.
      features: the records' name of each feature; see `ingest.feature_names`.
      first_class: the number of the first class, 0 or 1.
      edits: corrections of labels, see `label_edits.resolve`; None for no corrections.
    """

    classes: Sequence[str]
    features: Mapping[str, str]
    first_class: int
    edits: Edits | None = None


class Good(NamedTuple):
    """A record that can be used: the serialized example, the photo's measurements, and the edit, if any."""

    data: bytes
    measured: Measured
    edit: Edit | None = None


class LeftOut(NamedTuple):
    """A record that an edit leaves out: its encoded photo, or b"" without one, and the edit."""

    image: bytes
    edit: Edit


class _Photo(NamedTuple):
    """A record that is complete except that its photo is not decoded yet."""

    bad: BadRecord  # with the source, for the case that the photo cannot be decoded
    data: bytes
    image: bytes
    label: int
    name: bytes
    edit: Edit | None


class NotUsable(Exception):
    """The record cannot be used; `reason` is a short text, and `detail` says what was expected and received."""

    def __init__(self, reason: str, detail: str):
        self.reason, self.detail = reason, detail
        super().__init__(reason, detail)


def check_file(path: str, size: int, source: str, expected: Expected) -> Iterator[Good | BadRecord | LeftOut]:
    """Yields the records of a file, in order within each kind.

    Args:
      path: the file, local or in a bucket.
      size: its length in bytes.
      source: its name in messages.
      expected: what a record must have.
    """
    batch: list[_Photo] = []
    with FileSystems.open(as_s3(path), compression_type=CompressionTypes.UNCOMPRESSED) as file:
        for record in record_file.read(file, size):
            bad = BadRecord(source, record.number, "damaged record", record.problem, "", record.lost, record.data)
            try:
                if record.problem:
                    raise NotUsable("damaged record", record.problem)
                parsed = _parsed(bad, expected)
                if isinstance(parsed, LeftOut):
                    yield parsed
                else:
                    batch.append(parsed)
            except NotUsable as error:
                yield bad._replace(reason=error.reason, detail=error.detail)
            if len(batch) == _BATCH or sum(len(each.image) for each in batch) > _BATCH_BYTES:
                yield from _measured(batch)
                batch = []
    yield from _measured(batch)


def photo_of(data: bytes, names: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Returns the encoded photo of a record and the name of the photo's file, or b"". The record needs no class.

    Args:
      data: the serialized example.
      names: the records' name of each feature.

    Raises:
      NotUsable: when there is no photo.
    """
    features = _features(data)
    return _value(features, names[IMAGE], "bytes"), _filename(features, names)


def _features(data: bytes) -> Mapping[str, Any]:
    try:
        return tf.train.Example.FromString(data).features.feature
    except DecodeError:
        raise NotUsable("not a tf.Example", f"{len(data):,} bytes, beginning with {data[:12]!r}") from None


def _filename(features: Mapping[str, Any], names: Mapping[str, str]) -> bytes:
    return _text(features, names[FILENAME])[:_NAME_BYTES]


def _parsed(bad: BadRecord, expected: Expected) -> _Photo | LeftOut:
    features, names = _features(bad.data), expected.features
    filename = _filename(features, names)
    name = filename or f"{bad.source} record {bad.record}".encode()
    edit, new_label = _edit(features, expected, readable(name))
    if edit and edit.kind == DROPPED:
        return LeftOut(_image_or_nothing(features, names[IMAGE]), edit)
    image = _value(features, names[IMAGE], "bytes")
    label = expected.classes.index(new_label) if edit else _label(features, expected)
    data, relabelled = bad.data, edit is not None and edit.kind == RELABELLED
    if (
        relabelled
        or expected.first_class
        or not is_default(names)
        or features[CLASS].WhichOneof("kind") == "bytes_list"
    ):
        data = _renamed(features, expected, image, label)
    return _Photo(bad._replace(filename=filename.decode(errors="replace")), data, image, label, name, edit)


def digest_of(features: Mapping[str, Any]) -> str:
    """Returns the digest that `ingest photos` writes; '' for other records."""
    values = features[DIGEST].bytes_list.value if DIGEST in features else []
    return values[0].decode(errors="replace") if len(values) == 1 else ""


def readable(name: bytes) -> str:
    r"""Returns the name of a record as text for files and messages.

    >>> readable("é".encode()), readable(b"\xff.jpg")
    ('é', '\\xff.jpg')
    """
    return name.decode(errors="backslashreplace")


def _edit(features: Mapping[str, Any], expected: Expected, name: str) -> tuple[Edit | None, str]:
    """Returns the edit of a record, if any, and its new class. The record's own class need not be valid."""
    found = expected.edits.find(digest_of(features), name) if expected.edits else None
    if not found:
        return None, ""
    key, label = found
    try:
        was = expected.classes[_label(features, expected)]
    except NotUsable:
        was = ""
    kind = (UNCHANGED if label == was else RELABELLED) if label else DROPPED
    return Edit(key, kind, name, was), label


def _image_or_nothing(features: Mapping[str, Any], name: str) -> bytes:
    try:
        return bytes(_value(features, name, "bytes"))
    except NotUsable:
        return b""


def _value(features: Mapping[str, Any], name: str, *kinds: str) -> Any:
    """Returns the only value of a feature of one of the kinds 'bytes' and 'int64'."""
    kind = (features[name].WhichOneof("kind") if name in features else None) or "none"
    values = list(getattr(features[name], kind).value) if kind != "none" else []
    if kind.removesuffix("_list") not in kinds or len(values) != 1:
        received = f"{len(values)} of {kind.removesuffix('_list')}" if values else "none"
        raise NotUsable(f"no {name}", f"{name}: expected one value of {' or '.join(kinds)}, received {received}")
    return values[0]


def _text(features: Mapping[str, Any], name: str) -> bytes:
    """Returns the value of an optional feature, or b"". StatisticsGen fails if one feature has several kinds."""
    kind = features[name].WhichOneof("kind") if name in features else None
    return _value(features, name, "bytes") if kind and getattr(features[name], kind).value else b""


def _label(features: Mapping[str, Any], expected: Expected) -> int:
    """Returns the class index, from a number or a name; a class name in the feature `label` must be the same class."""
    classes, name = expected.classes, expected.features[CLASS]
    value = _value(features, name, "int64", "bytes")
    label = _index(value, name, expected)
    text_feature = expected.features[LABEL]
    kind = features[text_feature].WhichOneof("kind") if text_feature in features else None
    if isinstance(value, bytes) and kind != "bytes_list":  # such as an index; `_renamed` replaces it
        return label
    text = _text(features, text_feature).decode(errors="replace")
    if text in classes and text != classes[label]:
        number = label + expected.first_class
        raise NotUsable(DISAGREE, f"class {number} is {classes[label]}, but {text_feature} is {text}")
    return label


def _index(value: bytes | int, name: str, expected: Expected) -> int:
    classes, first = expected.classes, expected.first_class
    last = first + len(classes) - 1
    if isinstance(value, bytes):
        text = value.decode(errors="replace")
        if text not in classes:
            raise NotUsable("unknown class", f"{name}: expected one of data.classes, received {text[:40]!r}")
        return classes.index(text)
    if not first <= value <= last:
        raise NotUsable(OUT_OF_RANGE, f"{name}: expected {first} to {last}, received {value}")
    return value - first


def _renamed(features: Mapping[str, Any], expected: Expected, image: bytes, label: int) -> bytes:
    """Returns the example with the names that the other nodes expect. Other features are kept."""
    used = {name for name in expected.features.values() if name}
    result = tf.train.Example()
    for name, feature in features.items():
        if name not in used:
            result.features.feature[name].CopyFrom(feature)
    renamed = result.features.feature
    filename = expected.features[FILENAME]
    if filename in features:
        renamed[FILENAME].CopyFrom(features[filename])
    for name in (IMAGE, CLASS, LABEL):
        renamed[name].Clear()
    renamed[IMAGE].bytes_list.value.append(image)
    renamed[CLASS].int64_list.value.append(label)
    renamed[LABEL].bytes_list.value.append(expected.classes[label].encode())
    if _ONE_HOT in renamed:
        one_hot = [float(index == label) for index in range(len(expected.classes))]
        renamed[_ONE_HOT].float_list.value[:] = one_hot
    return result.SerializeToString(deterministic=True)


def _measured(batch: Sequence[_Photo]) -> Iterator[Good | BadRecord]:
    """Decodes the photos of a batch in parallel; if one fails, each is decoded alone."""
    if not batch:
        return
    try:
        rows = photos.measure([each.image for each in batch])
    except tf.errors.OpError as error:
        if len(batch) > 1:
            for each in batch:
                yield from _measured([each])
            return
        (photo,) = batch
        yield photo.bad._replace(reason="not a photo that can be decoded", detail=_why(photo.image, error))
        return
    digests = photos.digests([each.data for each in batch]).numpy().tolist()
    for each, row, digest in zip(batch, rows, digests, strict=True):
        yield Good(each.data, Measured(each.label, *row, digest, each.name), each.edit)


def _why(image: bytes, error: tf.errors.OpError) -> str:
    text = error.message.split("\n\t [[")[0].rpartition("\n")[2]  # after the trace and before the name of the node
    text = text.removeprefix("assertion failed: [").removesuffix("]")  # of `images.checked`
    return f"{len(image):,} bytes, beginning with {image[:12]!r}: {shortened(text)}"
