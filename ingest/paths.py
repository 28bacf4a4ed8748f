"""Checks paths that may be inside another user's unreadable folders (issue 11)."""

import os
from pathlib import Path


def exists(path: str | Path) -> bool:
    """Returns whether a path exists; False inside an unreadable folder, where `Path.exists` raises PermissionError."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: str | Path) -> bool:
    """Returns whether a path is a folder; False inside an unreadable folder."""
    return os.path.isdir(path)  # noqa: PTH112
