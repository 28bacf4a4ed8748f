"""Reads the quarantine of a run, the records that cannot be used: `python -m ingest quarantine`.

ExampleGen writes it: `quarantine-*.jsonl` has a line for each record of `quarantine-*.tfrecord`, and `counts.json` has
the numbers of all records.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError

from errors import UserError
from ingest import record_file, sheet
from ingest.bad_records import BadRecord
from ingest.example_proto import Example
from ingest.names import printable

_ROWS, _COUNTS = "quarantine-*.jsonl", "counts.json"
_LISTED = 5  # records of each reason on the terminal
_SHOWN = 200  # records of each reason on the page, and in memory


class Group(NamedTuple):
    """The records with the same reason: their number, the number of record files, and the first records."""

    reason: str
    records: int
    files: int
    first: Sequence[BadRecord]


def run(source: Path, command: str, html: Path | None = None) -> int:
    """Prints the records of a quarantine by reason, and returns 0.

    Args:
      source: the folder of the quarantine, or a folder of outputs, of which the newest quarantine is shown.
      command: the command, for the page.
      html: the page with the pictures that can be decoded; None for none.

    Raises:
      UserError: when there is no quarantine, it cannot be read, or the page cannot be written.
    """
    sheet.check_writable(html)
    folder = find(source.expanduser())
    try:
        counts = json.loads((folder / _COUNTS).read_text(encoding="utf-8"))
        verdict = f"{counts['bad']:,} records in the quarantine, {counts['good']:,} used"
        verdict += f", about {counts['lost']:,} cannot be read" if counts["lost"] else ""
        groups = _groups(read(folder))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the quarantine {printable(folder)}: {error}; run the pipeline again") from None
    tables = [_table(groups)] if groups else []
    for table in tables:
        sheet.show(table)
    for group in groups:
        _list(group)
    print(f"{verdict}: {printable(folder)}")
    if html is not None:
        title, sections = f"Quarantine {printable(folder)}", [_section(group) for group in groups]
        sheet.write(
            html, title=title, verdict=verdict, is_bad=bool(groups), command=command, tables=tables, sections=sections
        )
        print(f"page: {printable(html)}")
    return 0


def find(path: Path) -> Path:
    """Returns the folder of a quarantine: `path` itself, or the newest one under it.

    Raises:
      UserError: when there is none.
    """
    if not path.is_dir():
        raise UserError(f"expected the output folder of a run; {printable(path)} is not a folder")
    if (path / _COUNTS).is_file():
        return path
    found = [file for file in path.rglob(f"quarantine/*/{_COUNTS}") if file.is_file()]
    if not found:
        raise UserError(
            f"{printable(path)} contains no quarantine; give the output folder of a run, or the quarantine's folder"
        )
    return max(found, key=lambda file: file.stat().st_mtime).parent


def read(folder: Path) -> Iterator[BadRecord]:
    """Yields the records of a quarantine.

    Raises:
      OSError: when a file cannot be read.
      ValueError: when a line is not JSON, or there are other numbers of lines and records.
      KeyError: when a line lacks a value.
    """
    for lines in sorted(folder.glob(_ROWS)):
        with lines.with_suffix(".tfrecord").open("rb") as records:
            rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
            for row, record in zip(rows, record_file.read(records), strict=True):
                yield BadRecord(**{name: row[name] for name in BadRecord._fields if name != "data"}, data=record.data)


def _groups(rows: Iterable[BadRecord]) -> list[Group]:
    """Returns the records by reason, the most frequent reason first."""
    counts: Counter[str] = Counter()
    files: dict[str, set[str]] = {}
    first: dict[str, list[BadRecord]] = {}
    for row in rows:
        counts[row.reason] += 1
        files.setdefault(row.reason, set()).add(row.source)
        if len(kept := first.setdefault(row.reason, [])) < _SHOWN:
            kept.append(row)
    return [Group(reason, count, len(files[reason]), first[reason]) for reason, count in counts.most_common()]


def _table(groups: Sequence[Group]) -> sheet.Table:
    rows = [[printable(group.reason), f"{group.records:,}", f"{group.files:,}"] for group in groups]
    return sheet.Table("Records by reason", ["reason", "records", "record files"], rows, (1, 2))


def _list(group: Group) -> None:
    print(f"{printable(group.reason)}:")
    for row in group.first[:_LISTED]:
        print(f"  {row.place}: {printable(row.detail)}")
    if group.records > _LISTED:
        print(f"  … and {group.records - _LISTED:,} more")


def _section(group: Group) -> sheet.Section:
    title = f"{printable(group.reason)}: {group.records:,}"
    cards = [[sheet.Card(_picture(row.data), [row.place, printable(row.detail)])] for row in group.first]
    return sheet.Section(title[0].upper() + title[1:], "", cards, group.records)


def _picture(record: bytes) -> str:
    """Returns the largest bytes value of a tf.Example as a picture; "" if it cannot be decoded."""
    try:
        features = Example.FromString(record).features.feature
    except DecodeError:
        return ""
    values = [value for feature in features.values() for value in feature.bytes_list.value]
    return sheet.picture(max(values, key=len)) if values else ""
