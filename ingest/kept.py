"""The records of `python -m serving --keep`: an answer, measurements of its photo and, if the server may, the photo.

They have the pipeline's features `image` and `size`, and features `served/…`. They have no `class`: the label of an
answer is a prediction.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, get_args

from google.protobuf.message import DecodeError

from errors import UserError
from ingest import record_file, records, regular_file
from ingest.example_proto import Example
from ingest.names import printable

START, CLOSED, OPEN = "kept-", ".tfrec", ".tfrec.part"  # the names of files; the server still writes to OPEN ones
_LISTS = {bytes: "bytes_list", int: "int64_list", float: "float_list"}
_FEATURES = {
    "label": "served/label",
    "probability": "served/probability",
    "version": "served/version",
    "time": "served/time",
    "size": "size",
    "brightness": "served/brightness",
    "contrast": "served/contrast",
    "colours": "served/colours",
    "image": "image",
}


class Kept(NamedTuple):
    """A record.

    Attributes:
      label: the predicted class.
      probability: of the predicted class, 0 to 1.
      version: of the model.
      time: seconds since 1970.
      size: height and width in pixels.
      brightness: see `components.photos.Photos`, as are the next two.
      contrast: of the photo.
      colours: of the photo.
      image: the photo as it was sent, or b"".
    """

    label: bytes
    probability: float
    version: int
    time: int
    size: Sequence[int]
    brightness: float
    contrast: float
    colours: Sequence[float]
    image: bytes = b""


# Of the values of a field, the type; and their number if it is not 1
_TYPES = {name: (get_args(type_) or (type_,))[0] for name, type_ in Kept.__annotations__.items()}
_COUNTS = {"size": 2, "colours": 3}


class Place(NamedTuple):
    """Where a record is: the file, and the record's number in it.

    Attributes:
      file: the path.
      number: of the record, counted from 0.
      problem: why the file cannot be read, or ''.
    """

    file: Path
    number: int
    problem: str = ""

    def __str__(self) -> str:
        return f"{printable(self.file.name)}{f': {self.problem}' if self.problem else f' record {self.number}'}"


def serialized(kept: Kept) -> bytes:
    """Returns the record as a tf.Example."""
    example = Example()
    for name, value in kept._asdict().items():
        values: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
        if values != [b""]:
            getattr(example.features.feature[_FEATURES[name]], _LISTS[type(values[0])]).value.extend(values)
    return example.SerializeToString(deterministic=True)


def parsed(data: bytes) -> Kept | None:
    """Returns a record, given its tf.Example; None if it is not a record of `--keep`."""
    try:
        features = Example.FromString(data).features.feature
    except DecodeError:
        return None
    values: dict[str, Any] = {}
    for name, key in _FEATURES.items():
        kind = features[key].WhichOneof("kind") if key in features else None
        if kind not in (_LISTS[_TYPES[name]], None):
            return None
        found = list(getattr(features[key], kind).value) if kind else []
        if name == "image":
            found = found or [b""]
        if len(found) != _COUNTS.get(name, 1) or not all(_is_finite(each) for each in found):
            return None
        values[name] = found if name in _COUNTS else found[0]
    return Kept(**values)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def files(folder: Path) -> list[Path]:
    """Returns the files of a folder, the oldest first, also those that the server has not closed.

    Raises:
      UserError: when there is none, or the folder cannot be read.
    """
    return list(map(Path, paths(str(folder))))


def paths(folder: str) -> list[str]:
    """Returns the paths of `files`, given a folder, or the URIs of the files in a bucket's folder.

    Raises:
      UserError: when there is none, or the folder cannot be read.
    """
    try:
        found = records.matching(folder, f"{START}*")
    except OSError as error:
        raise UserError(
            f"cannot read the kept answers in {printable(folder)}: {error.strerror or error}; give the folder of --keep"
        ) from None
    found = [path for path in found if path.endswith((CLOSED, OPEN))]
    if not found:
        raise UserError(f"expected files of --keep in {printable(folder)}, received none; give the folder of --keep")
    return found


def records_of(file: BinaryIO, size: int = 0) -> Iterator[tuple[record_file.Record, Kept | None]]:
    """Yields the records of an open file, each with its content; None, and a `problem`, if it cannot be read.

    Args:
      file: the file, at its start.
      size: see `record_file.read`.
    """
    for record in record_file.read(file, size):
        kept = None if record.problem else parsed(record.data)
        if not kept and not record.problem:
            record = record._replace(problem=f"no record of --keep at record {record.number}")
        yield record, kept


def opened(path: Path) -> BinaryIO:
    """Opens a file, which the server may have closed, and so renamed, since it was listed.

    Raises:
      FileNotFoundError: when the server has removed it.
      OSError: as `regular_file.opened`.
    """
    try:
        return regular_file.opened(path)
    except FileNotFoundError:
        return regular_file.opened(path.with_name(path.name.removesuffix(OPEN) + CLOSED))


def read(folder: Path) -> Iterator[tuple[Place, Kept | None]]:
    """Yields the records of a folder, the oldest file first; None for a record or a file that cannot be read.

    Raises:
      UserError: as `files`; when no record can be read.
    """
    found, problem = False, ""
    for path in files(folder):
        try:
            with opened(path) as file:
                for record, kept in records_of(file):
                    found = found or kept is not None
                    yield Place(path, record.number), kept
        except FileNotFoundError:  # the server has removed it
            continue
        except OSError as error:
            place = Place(path, 0, error.strerror or str(error))
            problem = problem or f" ({place})"
            yield place, None
    if not found:
        raise UserError(f"no record of --keep can be read in {printable(folder)}{problem}; give the folder of --keep")
