"""Writes a folder completely or not at all; the folder may be an existing one, such as a mounted volume."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from errors import UserError
from ingest.names import printable, unusable

_IN_NEW_VOLUMES = "lost+found"  # in an empty ext4 volume


@contextmanager
def atomic_folder(target: Path, last: str = "") -> Iterator[Path]:
    """Yields a temporary folder, and moves its content to `target` if no error is raised; otherwise nothing is left.

    A new `target` appears by renaming. An existing one is not replaced, because a mount point cannot be: the files are
    moved into it, and the file named `last` after the others.

    Raises:
      OSError: when `target` cannot be written.
    """
    with _parents(target.parent), temporary_folder(target) as folder:
        yield folder
        if target.is_dir():
            _move_content(folder, target, last)
        else:
            folder.replace(target)


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yields a temporary folder on the disk of `target`: inside it if it exists, otherwise beside it.

    The folder has the last name of `target`, so that a name that the disk does not accept fails here.
    """
    place = target if target.is_dir() else target.parent
    # The temporary directory is private; the folder inside it has the permissions of the user's umask.
    with tempfile.TemporaryDirectory(prefix=f".{target.name[:20]}-", dir=place) as temporary:
        folder = Path(temporary) / target.name
        folder.mkdir()
        yield folder


def check_free(target: Path) -> None:
    """Checks that `target` can be written, and that this would not overwrite anything.

    Raises:
      UserError: when `target` is a file or a folder that is not empty, or cannot be written.
    """
    if (problem := unusable(target.name)) and target.name:
        raise UserError(f"expected a folder of printable characters (--to), received {problem} in {printable(target)}")
    try:
        found = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
        taken = [name for name in found if name != _IN_NEW_VOLUMES]
        is_file = target.exists() and not target.is_dir()
    except OSError as error:
        raise UserError(f"cannot read {printable(target)}: {error.strerror}; give another folder (--to DIR)") from None
    if taken or is_file:
        problem = f"is not empty: it contains {printable(taken[0])}" if taken else "is a file"
        raise UserError(
            f"expected a new or an empty folder, but {printable(target)} {problem}. "
            "Remove it, or give another folder (--to DIR)"
        )
    try:
        with _parents(target.parent, keep=False), temporary_folder(target):
            pass
    except OSError as error:
        reason = f"{printable(error.filename)} is a file" if isinstance(error, FileExistsError) else error.strerror
        raise UserError(
            f"cannot write {printable(target)}: {reason}. Change the permissions, or give another folder (--to DIR)"
        ) from None


@contextmanager
def _parents(folder: Path, keep: bool = True) -> Iterator[None]:
    """Makes a folder and its parents, and removes the new ones after an error, or always without `keep`."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    done = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
        done = keep
    finally:
        if not done:
            for path in filter(Path.is_dir, new):
                with suppress(OSError):  # another process uses it
                    path.rmdir()


def _move_content(folder: Path, target: Path, last: str) -> None:
    moved = []
    try:
        for path in sorted(folder.iterdir(), key=lambda path: (path.name == last, path.name)):
            place = target / path.name
            if place.exists():  # made by another process since check_free
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
            moved.append(place)
            path.replace(place)
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        raise
