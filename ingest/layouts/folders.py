"""Labels photos by their folders: class folders, with train, val and test above or inside them, and nested ones."""

import shlex
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from errors import UserError
from ingest.idx_names import FILE
from ingest.layouts import manifests, tree
from ingest.layouts.entries import Entry, Options, is_photo_name
from ingest.layouts.tree import File
from ingest.names import printable
from ingest.parallel import Skipped
from ingest.records import is_record_file
from ingest.split_names import TRAIN, split_in_folder, split_of

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # the manifests of Hugging Face's imagefolder


def find(source: Path, options: Options, skipped: list[Skipped]) -> list[Entry]:
    """Returns the files in class folders under `source`; others are appended to `skipped`.

    Raises:
      UserError: when there are no class folders, or their depth is ambiguous.
      OSError: when a folder cannot be read.
    """
    files = tree.files(source, options.follow_links, skipped)
    photos = [file for file in files if is_photo_name(file.path.name)]
    if metadata := _metadata_files(files, photos):
        return [entry for file in metadata for entry in _of_metadata(file, options, skipped)]
    if flags := options.of_manifests():
        raise UserError(f"{flags[0]} is for a manifest, but {printable(source)} is a folder; give a manifest")
    level = _split_level(source, photos)
    splits = _split_names(files, level)
    folders = {file: _class_folders(file, level, splits) for file in files}
    _check_class_folders(source, photos, files, level, skipped)
    if not options.nested:
        _check_depth(source, [file for file in photos if len(folders[file]) > 1], photos)
    used = {file: names for file, names in folders.items() if len(names) == 1 or (names and options.nested)}
    skipped += _left_out(file.path for file in files if file not in used)
    return [
        Entry(
            file.path,
            "/".join(names) if options.nested == "join" else names[0],
            None if level is None else splits[file.folders[level]],
            file.name,
        )
        for file, names in used.items()
    ]


def _metadata_files(files: Sequence[File], photos: Sequence[File]) -> list[File]:
    """Returns the manifests in split folders without class folders: Hugging Face's layout."""
    if any(len(file.folders) > 1 for file in photos):
        return []
    inside = [file for file in files if len(file.folders) == 1 and split_of(file.folders[0])]
    return [file for file in inside if file.path.name in _METADATA]


def _of_metadata(file: File, options: Options, skipped: list[Skipped]) -> Iterator[Entry]:
    for entry in manifests.find(file.path, options, skipped, []):  # the folders give the splits
        yield entry._replace(split=split_of(file.folders[0]), name=f"{file.folders[0]}/{entry.name}")


def _split_level(source: Path, photos: Sequence[File]) -> int | None:
    """Returns the level of the folders that are splits: 0 above the class folders, 1 inside them, or None.

    Raises:
      UserError: when some folders of the first level are splits with class folders, and others have photos too.
    """
    deep = [file.folders for file in photos if len(file.folders) > 1]
    if _are_splits({file.folders[0] for file in photos if file.folders}, {folders[0] for folders in deep}):
        return 0
    splits = {folders[0] for folders in deep if split_of(folders[0])}
    others = {file.folders[0] for file in photos if file.folders and not split_of(file.folders[0])}
    if splits and others:
        raise UserError(
            f"expected either class folders or the folders train, val and test in {printable(source)}; received both: "
            f"{printable(min(splits))} and {printable(min(others))}. Move one of them away"
        )
    if splits:
        return 0
    return 1 if deep and all(len(file.folders) > 1 and split_of(file.folders[1]) for file in photos) else None


def _are_splits(tops: Collection[str], deep: Collection[str]) -> bool:
    """Returns whether all first folders state a split, `train` with folders inside and others: train2017, seg_test."""
    stated = {name: split_in_folder(name) for name in tops}
    return None not in stated.values() and TRAIN in {stated[name] for name in deep} and len(set(stated.values())) > 1


def _split_names(files: Sequence[File], level: int | None) -> dict[str, str]:
    """Returns the split of each folder of a level that stands for one."""
    if level is None:
        return {}
    names = {file.folders[level] for file in files if len(file.folders) > level}
    stated = {name: split_in_folder(name) if level == 0 else split_of(name) for name in names}
    return {name: split for name, split in stated.items() if split}


def _class_folders(file: File, level: int | None, splits: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the folders that label a file; () for a file outside class folders or splits."""
    if level is None:
        return file.folders
    if len(file.folders) <= level or file.folders[level] not in splits:
        return ()
    return file.folders[:level] + file.folders[level + 1 :]


def _check_class_folders(
    source: Path, photos: Sequence[File], files: Sequence[File], level: int | None, skipped: Sequence[Skipped]
) -> None:
    """Checks that photos are in class folders.

    Raises:
      UserError: when none is, with what to do: follow links, or give a manifest.
    """
    tops = {file.folders[0] for file in files if file.folders}
    flat_splits = level is None and all(map(split_of, tops))
    if tops and not flat_splits:
        return
    links = sum(each.reason == tree.OUTSIDE for each in skipped)
    beside = [file.path for file in files if file.path.suffix.lower() in manifests.ENDINGS]
    received = f"{len(photos):,} photos without class folders"
    if not tops and links:
        advice = f"{links} links to targets outside it. Add --follow-links"
    elif other := _other_format(source, files):
        advice = other
    elif beside:
        command = f"python -m ingest photos {printable(shlex.quote(str(beside[0])))} --to DIR"
        advice = f"{received}. If {printable(beside[0].name)} lists the labels: {command}"
    else:
        advice = f"{received}. Make one folder for each class, or give a manifest ({', '.join(manifests.ENDINGS)})"
    raise UserError(f"expected one folder for each class in {printable(source)}, received {advice}")


def _other_format(source: Path, files: Sequence[File]) -> str:
    """Returns the number of TFRecord or IDX files and the command for them; "" if there are none, or other photos."""
    names, quoted = [file.path.name for file in files], printable(shlex.quote(str(source)))
    if any(map(is_photo_name, names)):
        return ""
    if idx := sum(FILE.fullmatch(name) is not None for name in names):
        return f"{idx:,} IDX files. To convert them: python -m ingest mnist {quoted} --to DIR"
    if records := sum(map(is_record_file, names)):
        return f"{records:,} TFRecord files, which need no conversion: python local_runner.py --data {quoted}"
    return ""


def _check_depth(source: Path, nested: Sequence[File], photos: Sequence[File]) -> None:
    """Raises UserError if there are photos in folders inside class folders."""
    if not nested:
        return
    example = nested[0].path.relative_to(source)
    tops = {file.folders[0] for file in photos if file.folders}
    inner = f" If {printable(next(iter(tops)))} contains the class folders, give it as {'PHOTOS_DIR'}."
    raise UserError(
        f"expected photos directly in class folders; {len(nested):,} are in folders inside them, such as "
        f"{printable(example)}.{inner if len(tops) == 1 else ''} For a class of each folder add --nested join, for a "
        "class of each class folder --nested top"
    )


def _left_out(paths: Iterable[Path]) -> Iterator[Skipped]:
    """Yields the skipped files; several of one folder as the folder, with their number."""
    by_folder = defaultdict(list)
    for path in paths:
        by_folder[path.parent].append(path)
    for folder, found in by_folder.items():
        if len(found) == 1:
            yield Skipped(found[0], "not directly in a class folder")
        else:
            yield Skipped(folder, f"{len(found):,} files that are not directly in a class folder")
