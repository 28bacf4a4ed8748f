"""Lists the record files of a folder, and divides them into splits."""

import contextlib
import itertools
import os
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from errors import UserError
from ingest import record_file
from ingest.split_names import EVAL, TEST, TRAIN, split_in_file_name
from storage import s3

INPUT_FILES = "input_files"  # ImportExampleGen's execution property that maps a file's path to its digest
WILDCARDS = "*?[\\"  # Beam and TensorFlow treat a path with one of these characters as a pattern
ANY = "*"  # the pattern that matches all names in _RECORDS
# names that Beam, TF-Slim, TFDS and Kaggle use
_RECORDS = re.compile(r"\.tfrec(ords?)?([.-]|$)|-\d+-of-\d+", re.IGNORECASE)
_BESIDE = re.compile(r"\.(part|partial|crdownload|tmp|bak|index|idx|json|md5)$|~$", re.IGNORECASE)
PHOTOS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".heic")
_ENOUGH = 100  # entries of a folder, to see what it contains
_SHARDS_FOR_TEST = 4  # with fewer, each split would lose too much data to the others


def resolved_split(files: Sequence[str], split: str) -> str:
    """Returns how the record files are divided, given `data.split`.

    'auto' is 'names' if each name states a split, and not all state the same one, such as TF-Slim's flowers_train_….
    """
    if split != "auto":
        return split
    named = {split_in_file_name(file.rpartition("/")[2]) for file in files}
    return "names" if None not in named and TRAIN in named and len(named) > 1 else "shards"


def splits_of_files(
    files: Sequence[str], split: str, eval_fraction: float, test_fraction: float, empty: Collection[str] = ()
) -> list[str]:
    """Returns the split of each record file, or [] if the records are divided by their hash.

    Args:
      files: the sorted paths.
      split: 'names' takes the split from each file's name; 'shards' holds out the first round(n × test_fraction) files
        for test and the next round(n × eval_fraction) for eval, at least one each; 'hash' divides by record. 'auto' is
        'names' if the names state splits, otherwise 'shards'.
      eval_fraction: between 0 and 1.
      test_fraction: at least 0, less than 1. Without a test split, or with fewer than 4 shards, there are two splits.
      empty: those of the files that have no content. With 'shards' they are not counted, and are in train.

    Raises:
      UserError: when a name states no split (for 'names'), or no file is left for train or eval.
    """
    split = resolved_split(files, split)
    if split == "hash":
        return []
    if split == "names":
        return _named_splits(files, eval_fraction)
    filled = [file for file in files if file not in empty]
    splits = dict(zip(filled, _first_held_out(len(filled), eval_fraction, test_fraction), strict=True))
    return [splits.get(file, TRAIN) for file in files]


def _first_held_out(files: int, eval_fraction: float, test_fraction: float) -> list[str]:
    test = max(1, round(files * test_fraction)) if test_fraction and files >= _SHARDS_FOR_TEST else 0
    held_out = test + max(1, round(files * eval_fraction))
    if held_out >= files:
        fewer = "hold out fewer (data.eval_fraction, data.test_fraction) or " if files > 1 else ""
        raise UserError(
            f"{held_out} of {files} shards would be held out for evaluation, so none is left to train on; "
            f"{fewer}split by record (--set data.split=hash)"
        )
    return [TEST] * test + [EVAL] * (held_out - test) + [TRAIN] * (files - held_out)


def _named_splits(files: Sequence[str], eval_fraction: float) -> list[str]:
    """Returns the splits that the names state.

    If no name states eval, the first files of train are used for it, or the whole test split if train has few files.
    """
    named = [split_in_file_name(file.rpartition("/")[2]) for file in files]
    instead = "shards" if len(files) > 1 else "hash"
    for file, split in zip(files, named, strict=True):
        if split is None:
            raise UserError(
                f"data.split: expected a split in each file name, such as train or validation; received {file}; "
                f"rename it, exclude it (data.pattern), or --set data.split={instead}"
            )
    splits = [str(split) for split in named]
    training = [index for index, split in enumerate(splits) if split == TRAIN]
    if EVAL not in splits and TEST in splits and len(training) >= _SHARDS_FOR_TEST:
        for index in training[: max(1, round(len(training) * eval_fraction))]:
            splits[index] = EVAL
    elif EVAL not in splits:
        splits = [EVAL if split == TEST else split for split in splits]
    if missing := [split for split in (TRAIN, EVAL) if split not in splits]:
        raise UserError(
            f"data.split: expected files for train and eval, no file name states {missing[0]}; rename the files, or "
            f"--set data.split={instead}"
        )
    return splits


def check_path(path: str | Path, instead: str) -> None:
    """Checks that Beam and TensorFlow do not treat a path as a pattern.

    Args:
      path: an absolute path or a URI.
      instead: advice for the error, such as 'give another folder (--data DIR)'.

    Raises:
      UserError: when the path has one of WILDCARDS.
    """
    if found := [character for character in WILDCARDS if character in str(path)]:
        raise UserError(
            f"expected a path without {' '.join(WILDCARDS)}, which Beam and TensorFlow read as a pattern; "
            f"received {found[0]} in {path}; rename it, or {instead}"
        )


def list_files(directory: str | Path, pattern: str) -> list[str]:
    """Returns the sorted paths of a folder's files that match a pattern: the files that a run reads.

    Args:
      directory: a local folder or a bucket's folder.
      pattern: names with `*`, `?` and `[...]`, separated by `/`; `*` does not match hidden files, as in a shell. ANY
        matches the usual names of record files.

    Raises:
      UserError: when no file matches.
    """
    files = matching(str(directory), pattern)
    if not files:
        raise UserError(f"no file in {directory} matches {pattern!r}; {_advice(str(directory))}")
    return files


def is_record_file(name: str) -> bool:
    """Returns whether a file has a usual name of record files.

    >>> names = "a.tfrec", "a.tfrecords", "a.tfrecord.gz", "a.tfrecord-00000-of-00002", "train-00007", "train.csv"
    >>> [is_record_file(name) for name in names]
    [True, True, True, True, True, False]
    """
    return _is_named(name) and not is_beside_records(name)


def _is_named(name: str) -> bool:
    return bool(_RECORDS.search(name)) or ("." not in name and split_in_file_name(name) is not None)


def is_beside_records(name: str) -> bool:
    """Returns whether a file is a partial download, a copy or an index of a record file by its name.

    >>> [is_beside_records(name) for name in ("a.tfrec.part", "a.TFREC.BAK", "a-00001-of-00002.json", "part-1-of-2")]
    [True, True, True, False]
    """
    return bool(_BESIDE.search(name))


def _advice(directory: str) -> str:
    """Returns what a folder without matching files contains, and what to do."""
    entries = sorted(_entries(directory))
    contents = f"it contains: {', '.join(name for name, _ in entries[:5]) or 'nothing'}"
    files = [name for name, is_folder in entries if not is_folder]
    if pattern := ANY if any(map(is_record_file, files)) else _pattern_of_records(directory, files):
        return f"{contents}. Set the pattern: --set data.pattern={shlex.quote(pattern)}"
    folders = [f"{directory}/{name}" for name, is_folder in entries if is_folder][:5]
    inside = [(f"{folder}/{name}", is_folder) for folder in folders for name, is_folder in _readable(folder)]
    deeper = [name for path, is_folder in inside if is_folder for name, _ in _readable(path)]
    if any(name.lower().endswith(PHOTOS) for name in [*files, *(path for path, _ in inside), *deeper]):
        return (
            f"{contents}. These are photos; first run python -m ingest photos {shlex.quote(directory)} --to DIR, then "
            "use DIR/settings.yaml (--config)"
        )
    if any(is_record_file(path.rpartition("/")[2]) for path, _ in inside):
        return f"{contents}. Its folders contain record files; give one of them, or --set data.pattern='*/*'"
    return f"{contents}. Give a folder of TFRecords"


def _pattern_of_records(directory: str, files: Sequence[str]) -> str:
    """Returns a pattern for the first local file that begins with a record, such as '*.tfr', or ''."""
    for name in files[:_ENOUGH] if "://" not in directory else ():
        suffix = Path(name).suffix
        if suffix[1:].isalnum() and not is_beside_records(name) and record_file.begins(Path(directory, name)):
            return f"*{suffix}"
    return ""


def _readable(folder: str) -> list[tuple[str, bool]]:
    try:
        return list(itertools.islice(_entries(folder), _ENOUGH))
    except OSError:
        return []


def matching(directory: str, pattern: str) -> list[str]:
    """Returns the files of `list_files`; [] if no file matches."""
    *parents, last = pattern.split("/")
    folders = [directory.rstrip("/")]
    for part in parents:
        folders = [f"{folder}/{name}" for folder in folders for name in _names(folder, part, folders=True)]
    return sorted(f"{folder}/{name}" for folder in folders for name in _names(folder, last, folders=False))


def _names(folder: str, part: str, folders: bool) -> Iterator[str]:
    for name, is_folder in _entries(folder):
        matches = is_record_file(name) if part == ANY and not folders else fnmatchcase(name, part)
        hidden = name.startswith(".") and not part.startswith(".")
        if is_folder is folders and matches and not hidden:
            yield name


def _entries(folder: str) -> Iterator[tuple[str, bool]]:
    """Yields (name, is folder) for each entry of a folder."""
    if "://" not in folder:
        with os.scandir(folder or "/") as entries:
            for entry in entries:
                if entry.is_symlink() or entry.is_dir() or entry.is_file():
                    yield entry.name, _is_folder(entry)
        return
    if s3.is_s3(folder):
        yield from s3.entries(folder)
        return
    from tensorflow.io import gfile  # 5 s to import, needed only for buckets of Cloud Storage

    for name in gfile.listdir(folder):
        if bare := name.rstrip("/"):  # a bucket may contain an empty object with the folder's name
            yield bare, name.endswith("/")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):  # a link to itself
        return entry.is_dir()
    return False


def unmatched(directory: Path, files: Sequence[str]) -> list[str]:
    """Returns the files in a folder and its readable subfolders that are named as record files and not in `files`.

    Partial downloads, copies and indices of record files are among them.
    """
    folders = [directory, *(Path(directory, name) for name in _names(str(directory), "*", folders=True))]
    readable = [str(each) for each in folders if os.access(each, os.R_OK | os.X_OK)]
    found = [f"{each}/{name}" for each in readable for name in _names(each, "[!.]*", folders=False) if _is_named(name)]
    read = set(files)
    return sorted(os.path.relpath(file, directory) for file in found if file not in read)
