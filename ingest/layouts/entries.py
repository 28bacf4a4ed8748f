"""What a layout gives for each photo, the flags that describe a layout, and the names of photo files."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from errors import UserError
from ingest.names import printable, unusable
from ingest.parallel import Skipped

PHOTO_ENDINGS = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".mpo", ".png", ".gif", ".bmp", ".dib"),
        *(".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"),
    ]
)


_OF_MANIFESTS = ("--path-column", "--label-column", "--split-column", "--photos-root")


class Entry(NamedTuple):
    """A file that is labelled.

    Attributes:
      path: the file.
      label: the class name.
      split: `train`, `eval` or `test` if the layout states it, otherwise None.
      name: the path relative to the source, with `/` between folders; UTF-8.
    """

    path: Path
    label: str
    split: str | None
    name: str


class Options(NamedTuple):
    """The flags that describe a layout.

    Attributes:
      nested: how folders inside class folders are labelled: 'join', by their path, or 'top', by the class folder;
        None refuses them.
      follow_links: whether links that leave the folder of photos are followed.
      path_column: the manifest's column of paths; None to guess it.
      label_column: the manifest's column of labels; None to guess it.
      split_column: the manifest's column of splits; None to guess it.
      photos_root: the folder that a manifest's paths are relative to; None for the manifest's folder.
    """

    nested: str | None = None
    follow_links: bool = False
    path_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    photos_root: Path | None = None

    def of_manifests(self) -> list[str]:
        """Returns the given flags that need a manifest."""
        return [flag for flag in _OF_MANIFESTS if getattr(self, flag.removeprefix("--").replace("-", "_"))]


def is_photo_name(name: str) -> bool:
    """Returns whether a file's name has the ending of a photo format."""
    return Path(name).suffix.lower() in PHOTO_ENDINGS


def first_skipped(skipped: Sequence[Skipped]) -> str:
    """Returns the first skipped file and the reason, to append to an error; "" if nothing was skipped."""
    if not skipped:
        return ""
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"\n  skipped: {printable(skipped[0].path)}: {printable(skipped[0].reason)}{more}"


def check_labels(labels: Iterable[str], remedy: str) -> None:
    """Checks that each class name can be shown in reports and stored as UTF-8, and that no two names look the same.

    Raises:
      UserError: naming the first label that cannot; it ends with `remedy`.
    """
    forms: dict[str, str] = {}
    for label in sorted(labels):
        if forms.setdefault(unicodedata.normalize("NFC", label), label) != label:
            raise UserError(
                f"two class names look the same, {printable(label)!r}, but have different forms of Unicode; {remedy}"
            )
        if problem := unusable(label):
            raise UserError(
                f"expected a class name of printable characters, received {problem} in '{printable(label)}'; {remedy}"
            )
