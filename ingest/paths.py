"""Looks at paths that the store or a person names, which may be below folders of another user (issue 11)."""

import os
from pathlib import Path


def exists(path: str | Path) -> bool:
    """Returns whether a path can be seen.

    `Path.exists` raises PermissionError below a folder that cannot be entered.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: str | Path) -> bool:
    """Returns whether a path can be seen and is a folder, as `exists` does."""
    return os.path.isdir(path)  # noqa: PTH112
