"""Empty files in a layout, and what `ingest.layouts` finds in it."""

import os
from pathlib import Path

from ingest import layouts
from ingest.layouts import Entry, Options


def touch(root: Path, *names: str) -> Path:
    """Makes empty files, and returns their root."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def find(source: Path, **options: object) -> tuple[list[Entry], dict[str, str]]:
    """Returns the entries, and the reason for each skipped path, which is relative to the source's folder."""
    skipped = []
    entries = layouts.find(source, Options(**options), skipped)
    folder = source if source.is_dir() else source.parent
    names = [os.path.relpath(each.path, folder) if each.path.is_absolute() else str(each.path) for each in skipped]
    return entries, {name: each.reason for name, each in zip(names, skipped, strict=True)}


def labels(entries: list[Entry]) -> list[tuple[str, str, str | None]]:
    """Returns the name, the label and the split of each entry."""
    return [(entry.name, entry.label, entry.split) for entry in entries]
