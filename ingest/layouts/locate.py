"""Finds the files that a manifest's paths name, which may have been written on another machine or for a bucket."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
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
    ends, whole = defaultdict(list), defaultdict(list)  # the files by the ends of their paths, and by the whole paths
    for file in tree.files(root, follow_links, []):
        for name in _forms(file.name):
            whole[name].append(file.path)
            for end in _ends(name):
                ends[end].append(file.path)
    found: list[Path | None] = []
    texts: dict[Path, str] = {}
    for path in paths:
        name = _form("/".join(part for part in _local(path).split("/") if part not in ("", ".")))
        candidates = ends.get(name) or next((whole[end] for end in _ends(name) if end in whole), [])
        if len(candidates) > 1:
            listed = ", ".join(printable(place) for place in sorted(candidates)[:2])
            raise UserError(f"the manifest's path {printable(path)} names several files: {listed}; {_ROOT}")
        if candidates and texts.setdefault(candidates[0], path) != path:
            raise UserError(
                f"the manifest's paths {printable(texts[candidates[0]])} and {printable(path)} would both be "
                f"{printable(candidates[0])}; {_ROOT}"
            )
        found.append(candidates[0] if candidates else None)
    return found


def _forms(name: str) -> list[str]:
    """Returns a path in one form of Unicode, and that of a photo also without its ending."""
    name = _form(name)
    return [name, name[: -len(Path(name).suffix)]] if is_photo_name(name) else [name]


def _ends(path: str) -> Iterator[str]:
    """Yields the path and its ends, longest first: a/b/c, b/c, c."""
    while path:
        yield path
        path = path.partition("/")[2]
