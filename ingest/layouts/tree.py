"""Lists the files under a folder, with links either followed or refused."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ingest.parallel import Skipped

# Folders that systems make: macOS in zips, Synology, ext4 volumes, Windows drives
_OF_SYSTEMS = frozenset(["__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"])
OUTSIDE = "a link to a target outside the photo folder; --follow-links follows it"


class File(NamedTuple):
    """A file, with the names of the folders between it and the listed folder."""

    path: Path
    folders: tuple[str, ...]

    @property
    def name(self) -> str:
        """The path relative to the listed folder, with `/` between folders."""
        return "/".join((*self.folders, self.path.name))


def files(source: Path, follow_links: bool, skipped: list[Skipped]) -> list[File]:
    """Returns all files under a folder, without hidden files and folders of the operating system.

    A link to a target inside `source` is followed, another link only with `follow_links`. Other links, files that are
    not regular, and empty folders are appended to `skipped`.

    Raises:
      OSError: when a folder cannot be read.
    """
    return list(_Walk(source, follow_links, skipped).below(source, ()))


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """Returns the entries of a folder that are not hidden and not made by the operating system: links last, by name.

    Raises:
      OSError: when the folder cannot be read.
    """
    with os.scandir(folder) as listing:
        entries = [each for each in listing if not each.name.startswith(".") and each.name not in _OF_SYSTEMS]
    return sorted(entries, key=lambda each: (each.is_symlink(), each.name))


class _Walk:
    """A walk through the folders under `source`.

    Under each folder of the first level, a folder is entered once, so that links in a circle come to an end.
    """

    def __init__(self, source: Path, follow_links: bool, skipped: list[Skipped]):
        self._source, self._follow_links, self._skipped = source, follow_links, skipped
        self._entered: set[tuple[int, int]] = set()

    def below(self, folder: Path, names: tuple[str, ...]) -> Iterator[File]:
        """Yields the files under a folder; `names` are the folders between `source` and its entries."""
        entries = visible(folder)
        if not entries and names:
            self._skipped.append(Skipped(folder, "an empty folder"))
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink() and not self._is_followed(path):
                continue
            if entry.is_dir():
                if not names:
                    self._entered = {_identity(self._source)}
                if self._is_new(path):
                    yield from self.below(path, (*names, entry.name))
            elif entry.is_file():
                yield File(path, names)
            else:
                self._skipped.append(Skipped(path, "not a file"))

    def _is_followed(self, path: Path) -> bool:
        """Returns whether a link is followed; if not, it is skipped."""
        try:
            path.stat()
        except OSError as error:  # no target, or a circle of links
            self._skipped.append(Skipped(path, f"a link that cannot be followed: {error.strerror}"))
            return False
        if self._follow_links or Path(os.path.realpath(path)).is_relative_to(self._source):
            return True
        self._skipped.append(Skipped(path, OUTSIDE))
        return False

    def _is_new(self, folder: Path) -> bool:
        identity = _identity(folder)
        if identity in self._entered:
            self._skipped.append(
                Skipped(folder, "a link to a folder that contains it, or to one that is already listed")
            )
            return False
        self._entered.add(identity)
        return True


def _identity(folder: Path) -> tuple[int, int]:
    info = folder.stat()
    return info.st_dev, info.st_ino
