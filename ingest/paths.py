"""Paths that may be inside another user's unreadable folders, or links in a circle."""

import os
from pathlib import Path


def exists(path: str | Path) -> bool:
    """Returns whether a path exists; False inside an unreadable folder, where `Path.exists` raises PermissionError."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: str | Path) -> bool:
    """Returns whether a path is a folder; False inside an unreadable folder."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: str | Path) -> bool:
    """Returns whether a path is a file; False for a path that is too long, where `Path.is_file` raises OSError."""
    return os.path.isfile(path)  # noqa: PTH113


def absolute(path: str | Path) -> Path:
    """Returns the absolute path without links, with `~` replaced; the path itself if its links form a circle.

    `Path.resolve` raises RuntimeError for a circle before Python 3.13, `Path.expanduser` for an unknown user.
    """
    return Path(os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111
