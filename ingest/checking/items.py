"""Lists and reads labelled photos: those of record files, or those of any layout that `ingest photos` reads."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError

from ingest import layouts, record_file
from ingest.example_proto import Example
from ingest.feature_names import CLASS, FEATURES, FILENAME, IMAGE, LABEL, fitting
from ingest.layouts import tree
from ingest.layouts.entries import Options, is_photo_name
from ingest.parallel import Skipped
from ingest.records import is_beside_records
from ingest.split_names import split_in_file_name

_MOST = 2**62


class Item(NamedTuple):
    """A labelled photo.

    Attributes:
      name: the file's name, relative to the source; 'SHARD record N' for a record that names no file.
      label: the class name; for records without class names, 'class N'.
      split: `train`, `eval` or `test`, or None if the source states none.
      path: the photo, or the record file.
      record: the position in the record file; None for a photo's own file.
      digest: the digest that `ingest photos` stored in the record, or "".
      number: the class index of a record that has a class name too; otherwise None.
    """

    name: str
    label: str
    split: str | None
    path: Path
    record: int | None = None
    digest: str = ""
    number: int | None = None


class Source(NamedTuple):
    """Labelled photos.

    Attributes:
      kind: 'records' or 'files', for messages.
      total: the number of photos.
      read: yields each photo and its encoded bytes; given paths, only those in them.
      unreadable: (name, reason) of files with a photo's ending and of records that contain no photo; complete after
        `read`.
      others: (name, reason) of other files, such as README.txt; complete after `read`.
      labels: the classes of items that contain no photo.
    """

    kind: str
    total: int
    read: Callable[..., Iterator[tuple[Item, bytes]]]
    unreadable: list[tuple[str, str]]
    others: list[tuple[str, str]]
    labels: set[str]

    def add_unreadable(self, item: Item, reason: str) -> None:
        """Adds an item that contains no photo to `unreadable` or `others`, and its class to `labels`."""
        self.labels.add(item.label)
        is_other = item.record is None and not is_photo_name(item.path.name)
        (self.others if is_other else self.unreadable).append((item.name, reason))


def find(source: Path, options: Options, row: str | None = None) -> Source:
    """Returns the photos of a folder of record files, otherwise of a folder or manifest of photos.

    Args:
      source: a folder or a manifest.
      options: the flags that describe a layout.
      row: a key of FEATURES, the names of the records' features; None for the first row that fits each record.

    Raises:
      UserError: when a folder without record files has no layout that `ingest photos` knows.
    """
    source = source.expanduser().resolve()
    files = _record_files(source) if source.is_dir() else []
    read = [path for path in files if not is_beside_records(path.name)]
    if not read:
        return _of_files(source, options)
    beside = [(_relative(path, source), "not read, by its name") for path in files if path not in read]
    return _of_records(source, read, row)._replace(others=beside)


def _record_files(folder: Path) -> list[Path]:
    """Returns the files under a folder, without hidden ones, that begin with a record."""
    visible = [path for path in folder.rglob("*") if not any(p.startswith(".") for p in path.relative_to(folder).parts)]
    return sorted(
        path for path in visible if not is_photo_name(path.name) and path.is_file() and record_file.begins(path)
    )


def _of_files(source: Path, options: Options) -> Source:
    skipped: list[Skipped] = []
    found = layouts.find(source, options, skipped)
    unreadable: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for each in _single_files(skipped):
        problems = others if source.is_dir() and _is_other(each) else unreadable
        problems.append((_relative(each.path, source), each.reason))

    def read(paths: Collection[Path] | None = None) -> Iterator[tuple[Item, bytes]]:
        for entry in found:
            if paths is not None and entry.path not in paths:
                continue
            try:
                data = entry.path.read_bytes()
            except OSError as error:
                unreadable.append((entry.name, error.strerror or str(error)))
                continue
            yield Item(entry.name, entry.label, entry.split, entry.path), data

    return Source("files", len(found), read, unreadable, others, set())


def _single_files(skipped: Sequence[Skipped]) -> Iterator[Skipped]:
    """Yields the skipped files; for a folder with files beside the class folders, each of these files."""
    listed = {each.path for each in skipped}
    for each in skipped:
        inside = tree.visible(each.path) if each.path.is_dir() and os.access(each.path, os.R_OK | os.X_OK) else []
        files = [Path(file.path) for file in inside if file.is_file() and Path(file.path) not in listed]
        yield from [Skipped(file, "not directly in a class folder") for file in files] or [each]


def _is_other(skipped: Skipped) -> bool:
    """Returns whether a skipped file of a folder is not a photo by its name; rows of a manifest are not files."""
    path = skipped.path
    is_row = not path.is_absolute() or skipped.reason.startswith("line ")
    return not is_row and path.is_file() and not is_photo_name(path.name)


def _relative(path: Path, source: Path) -> str:
    folder = source if source.is_dir() else source.parent
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _of_records(folder: Path, files: Sequence[Path], row: str | None) -> Source:
    splits = {path: split_in_file_name(path.name) for path in files}
    if not all(splits.values()):
        splits = dict.fromkeys(files)  # as data.split: auto
    unreadable: list[tuple[str, str]] = []

    def read(paths: Collection[Path] | None = None) -> Iterator[tuple[Item, bytes]]:
        for path in files if paths is None else sorted(paths):
            name = str(path.relative_to(folder))
            try:
                yield from _read(path, name, splits[path], row, unreadable)
            except OSError as error:
                unreadable.append((name, error.strerror or str(error)))

    return Source("records", sum(map(_count, files)), read, unreadable, [], set())


def _count(path: Path) -> int:
    try:
        return record_file.count(path, _MOST)
    except OSError:  # `_of_records` reports it
        return 0


def _read(
    path: Path, shard: str, split: str | None, row: str | None, unreadable: list[tuple[str, str]]
) -> Iterator[tuple[Item, bytes]]:
    with path.open("rb") as file:
        for record in record_file.read(file, path.stat().st_size):
            place = f"{shard} record {record.number}"
            try:
                if record.problem:
                    raise ValueError(record.problem)
                features = Example.FromString(record.data).features.feature
                names = FEATURES[row or fitting(list(features)) or "flowers"]
                image = _image(features, names[IMAGE])
                name = _text(features, names[FILENAME]) or place
            except DecodeError:
                unreadable.append((place, "not a tf.Example"))
            except ValueError as error:
                unreadable.append((place, str(error)))
            else:
                digest = _text(features, "digest")
                label, number = _label(features, names)
                yield Item(name, label, split, path, record.number, digest, number), image


def _image(features: Mapping, name: str) -> bytes:
    """Returns the encoded photo of a record; raises ValueError if the record has none."""
    values = features[name].bytes_list.value if name in features else []  # features[name] would create the feature
    if not values:
        received = ", ".join(sorted(features)) or "none"
        raise ValueError(f"no image; expected the feature {name} (--features names others); received {received}")
    return values[0]


def _label(features: Mapping, row: Mapping[str, str]) -> tuple[str, int | None]:
    """Returns the class name of a record, or 'class N', or 'no class'; and the class index of a class with a name."""
    numbers = features[row[CLASS]].int64_list.value if row[CLASS] in features else []
    text = _text(features, row[LABEL]) or _text(features, row[CLASS])
    if text:
        return text, next(iter(numbers), None)
    return (f"class {numbers[0]}" if numbers else "no class"), None


def _text(features: Mapping, name: str) -> str:
    values = features[name].bytes_list.value if name and name in features else []
    return values[0].decode(errors="replace") if values else ""
