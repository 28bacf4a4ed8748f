"""Writes a sheet of pictures: one HTML file that contains everything it shows."""

import base64
import datetime
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import rich.table
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console
from rich.text import Text

from errors import UserError
from ingest import decoding
from ingest.names import printable

_SIDE = 288  # pixels of the long side: twice that of the page


class Card(NamedTuple):
    """A photo: a data URI or "", and the lines below it."""

    picture: str
    lines: Sequence[str]


class Section(NamedTuple):
    """Groups of photos, of which the first may be shown."""

    title: str
    note: str
    groups: Sequence[Sequence[Card]]
    total: int

    @property
    def shown(self) -> int:
        """The number of groups."""
        return len(self.groups)


class Table(NamedTuple):
    """A table; `numbers` has the indices of the columns that are aligned to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


def show(table: Table) -> None:
    """Prints a table."""
    shown = rich.table.Table(title=table.title, title_justify="left")
    for index, name in enumerate(table.columns):
        shown.add_column(name, justify="right" if index in table.numbers else "left")
    for row in table.rows:
        shown.add_row(*map(Text, row))
    Console().print(shown)


def check_writable(path: Path | None) -> None:
    """Checks that a page can be written, before the work begins.

    Raises:
      UserError: when its folder does not exist, or `path` is a folder.
    """
    try:
        if path is not None and path.is_dir():
            raise _cannot_write(path, "it is a folder")
        if path is not None and not path.parent.is_dir():
            raise _cannot_write(path, "its folder does not exist")
    except OSError as error:
        raise _cannot_write(path, error.strerror) from None


def _cannot_write(path: object, why: str | None) -> UserError:
    return UserError(f"cannot write the page {printable(path)}: {why}; give another file (--html FILE)")


def picture(data: bytes, side: int = _SIDE) -> str:
    """Returns a small copy of an encoded photo as a data URI; "" if it cannot be decoded.

    Args:
      data: the encoded photo.
      side: the largest width and height in pixels.
    """
    try:
        with decoding.decoded(data) as photo:
            image = photo.image.copy()
    except decoding.Unreadable:
        return ""
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def write(path: Path, **content: Any) -> None:
    """Writes the page, see `render`.

    Raises:
      UserError: when the file cannot be written.
    """
    try:
        path.write_text(render(**content), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise _cannot_write(path, error.strerror) from None


def render(**content: Any) -> str:
    """Returns the page; `content` has the title, verdict, is_bad, command, tables and sections of sheet.html."""
    environment = Environment(
        loader=PackageLoader("ingest"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    written = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return environment.get_template("sheet.html").render(written=written, **content)
