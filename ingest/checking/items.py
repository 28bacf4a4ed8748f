"""Lists and reads labelled photos: those of record files, or those of any layout that `ingest photos` reads."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError

from ingest import layouts, record_file
from ingest.example_proto import Example
from ingest.feature_names import CLASS, FEATURES, FILENAME, IMAGE, LABEL, fitting
from ingest.layouts.entries import Options, is_photo_name
from ingest.names import printable
from ingest.parallel import Skipped
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
    """

    name: str
    label: str
    split: str | None
    path: Path
    record: int | None = None
    digest: str = ""


class Source(NamedTuple):
    """Labelled photos.

    Attributes:
      kind: 'records' or 'files', for messages.
      total: the number of photos.
      read: yields each photo and its encoded bytes; given paths, only those in them.
      unreadable: (name, reason) of files and records that contain no photo; complete after `read`.
    """

    kind: str
    total: int
    read: Callable[..., Iterator[tuple[Item, bytes]]]
    unreadable: list[tuple[str, str]]


def find(source: Path, options: Options) -> Source:
    """Returns the photos of a folder of record files, otherwise of a folder or manifest of photos.

    Raises:
      UserError: when a folder without record files has no layout that `ingest photos` knows.
    """
    source = source.expanduser().resolve()
    files = _record_files(source) if source.is_dir() else []
    return _of_records(source, files) if files else _of_files(source, options)


def _record_files(folder: Path) -> list[Path]:
    """Returns the files under a folder, without hidden ones, that begin with a record."""
    visible = [path for path in folder.rglob("*") if not any(p.startswith(".") for p in path.relative_to(folder).parts)]
    return sorted(path for path in visible if not is_photo_name(path.name) and path.is_file() and _is_records(path))


def _is_records(path: Path) -> bool:
    try:
        record = record_file.first(path)
    except OSError:
        return False
    return record is not None and not record.problem


def _of_files(source: Path, options: Options) -> Source:
    skipped: list[Skipped] = []
    found = layouts.find(source, options, skipped)
    unreadable = [(printable(each.path), each.reason) for each in skipped]

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

    return Source("files", len(found), read, unreadable)


def _of_records(folder: Path, files: Sequence[Path]) -> Source:
    splits = {path: split_in_file_name(path.name) for path in files}
    if not all(splits.values()):
        splits = dict.fromkeys(files)  # as data.split: auto
    unreadable: list[tuple[str, str]] = []

    def read(paths: Collection[Path] | None = None) -> Iterator[tuple[Item, bytes]]:
        for path in files if paths is None else sorted(paths):
            yield from _read(path, str(path.relative_to(folder)), splits[path], unreadable)

    return Source("records", sum(record_file.count(path, _MOST) for path in files), read, unreadable)


def _read(path: Path, shard: str, split: str | None, unreadable: list[tuple[str, str]]) -> Iterator[tuple[Item, bytes]]:
    with path.open("rb") as file:
        for record in record_file.read(file, path.stat().st_size):
            place = f"{shard} record {record.number}"
            try:
                if record.problem:
                    raise ValueError(record.problem)
                features = Example.FromString(record.data).features.feature
                row = FEATURES[fitting(list(features)) or "flowers"]
                image = features[row[IMAGE]].bytes_list.value[0]
                name = _text(features, row[FILENAME]) or place
            except DecodeError:
                unreadable.append((place, "not a tf.Example"))
            except ValueError as error:
                unreadable.append((place, str(error)))
            except IndexError:
                unreadable.append((place, f"no image; it has the features {', '.join(sorted(features))}"))
            else:
                digest = _text(features, "digest")
                yield Item(name, _label(features, row), split, path, record.number, digest), image


def _label(features: Mapping, row: Mapping[str, str]) -> str:
    """Returns the class name of a record, or 'class N', or 'no class'."""
    number = features[row[CLASS]].int64_list.value if row[CLASS] in features else []
    text = _text(features, row[LABEL]) or _text(features, row[CLASS])
    return text or (f"class {number[0]}" if number else "no class")


def _text(features: Mapping, name: str) -> str:
    values = features[name].bytes_list.value if name and name in features else []
    return values[0].decode(errors="replace") if values else ""
