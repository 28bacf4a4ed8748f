"""Finds the files that a manifest's paths name, which may have been written on another machine or for a bucket."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from errors import UserError
from ingest.layouts import tree
from ingest.layouts.entries import is_photo_name
from ingest.names import printable
from ingest.paths import is_file, is_folder

_ROOT = "give the folder that the paths are relative to (--photos-root DIR)"


def locate(paths: Sequence[str], root: Path, follow_links: bool) -> list[Path | None]:
    """Returns the file of each path, and None where there is none.

    The paths are relative to `root`, absolute, or URIs. The ending may be missing, as in Kaggle's manifests. If none of
    these files exists, a path names the file under `root` whose path ends with it, or that it ends with.

    Raises:
      UserError: when several files are possible.
      OSError: when a folder cannot be read.
    """
    folders = _Folders()
    found = [folders.file(root, _local(path)) for path in paths]
    return found if any(found) else _by_ends(paths, root, follow_links)


def is_remote(path: str) -> bool:
    """Returns whether a manifest's path is a URI of another machine, such as gs://BUCKET/cat.jpg."""
    return "://" in path and not path.startswith("file://")


def _local(path: str) -> str:
    path = path.removeprefix("file://")
    return path if "/" in path else path.replace("\\", "/")  # written on Windows


class _Folders:
    """Listings of folders, each read once."""

    def __init__(self) -> None:
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def file(self, folder: Path, path: str) -> Path | None:
        """Returns the file of a path in a folder, with another form of Unicode or with an ending if needed."""
        if is_remote(path):
            return None
        direct = Path(os.path.normpath(folder / path))
        if is_file(direct):
            return direct
        place = direct.parent
        if not is_folder(place):
            return None
        if place not in self._listings:
            self._listings[place] = _listing(place)
        names = self._listings[place].get(_form(direct.name), [])
        if len(names) > 1:
            raise UserError(
                f"the manifest's path {printable(path)} names several files: "
                f"{', '.join(map(printable, sorted(names)))}; add the ending to the path"
            )
        return place / names[0] if names else None


def _listing(folder: Path) -> dict[str, list[str]]:
    """Returns the files of a folder by their names in one form of Unicode, and photos also by names without ending."""
    result = defaultdict(list)
    for entry in tree.visible(folder):
        if entry.is_file():
            result[_form(entry.name)].append(entry.name)
            if is_photo_name(entry.name):
                result[_form(Path(entry.name).stem)].append(entry.name)
    return result


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _by_ends(paths: Sequence[str], root: Path, follow_links: bool) -> list[Path | None]:
    by_name: dict[str, list[tuple[tuple[str, ...], Path]]] = defaultdict(list)
    for file in tree.files(root, follow_links, []):
        *folders, name = map(_form, file.name.split("/"))
        by_name[name].append(((*folders, name), file.path))
        if is_photo_name(name) and (stem := Path(name).stem) != name:
            by_name[stem].append(((*folders, stem), file.path))
    found = [_ending(path, by_name) for path in paths]
    texts: dict[Path, str] = {}
    for path, place in zip(paths, found, strict=True):
        if place and texts.setdefault(place, path) != path:
            raise UserError(
                f"the manifest's paths {printable(texts[place])} and {printable(path)} would both be "
                f"{printable(place)}; {_ROOT}"
            )
    return found


def _ending(path: str, by_name: dict[str, list[tuple[tuple[str, ...], Path]]]) -> Path | None:
    """Returns the file whose path ends with `path`, otherwise the file with the longest path that `path` ends with."""
    parts = tuple(_form(part) for part in re.split("/+", _local(path)) if part not in ("", "."))
    candidates = by_name.get(parts[-1], []) if parts else []
    longer = [file for name, file in candidates if name[-len(parts) :] == parts]
    if len(longer) > 1:
        listed = ", ".join(printable(file) for file in sorted(longer)[:2])
        raise UserError(f"the manifest's path {printable(path)} names several files: {listed}; {_ROOT}")
    shorter = [(len(name), file) for name, file in candidates if parts[-len(name) :] == name]
    return longer[0] if longer else max(shorter)[1] if shorter else None
