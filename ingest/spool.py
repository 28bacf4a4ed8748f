"""Keeps encoded photos in one temporary file, so that memory holds only an index until the split is planned."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from ingest.splitting import Photo


class Item(NamedTuple):
    """A photo in the spool: where its content is, and the content's (height, width) in pixels."""

    photo: Photo
    offset: int
    length: int
    size: tuple[int, int]


class Spool:
    """A temporary file of encoded photos, which is deleted on exit; `items` is its index."""

    def __init__(self, folder: Path):
        self.items: list[Item] = []
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, photo: Photo, content: bytes, size: tuple[int, int]) -> None:
        """Appends a photo."""
        self.items.append(Item(photo, self._file.tell(), len(content), size))
        self._file.write(content)

    def relabel(self, labels: Sequence[str | None]) -> None:
        """Sets the labels of all photos; a photo with None is removed from the index."""
        self.items = [
            item._replace(photo=item.photo._replace(label=label))
            for item, label in zip(self.items, labels, strict=True)
            if label is not None
        ]

    def content(self, item: Item) -> bytes:
        """Returns the content of a photo."""
        self._file.seek(item.offset)
        return self._file.read(item.length)
