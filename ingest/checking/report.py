"""Shows what `ingest check` found: tables on the terminal, and a page with the photos."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ingest import sheet
from ingest.checking.findings import Finding
from ingest.checking.items import Item, Source
from ingest.checking.measures import Measures
from ingest.names import printable
from ingest.split_names import SPLITS

_LISTED = 5  # lines of a list on the terminal
_SHOWN = 40  # groups of a section of the page
_IN_GROUP = 8  # photos of a group on the page


class Report(NamedTuple):
    """What was found.

    Attributes:
      photos: the photos that can be decoded.
      measures: of each photo.
      findings: of `findings.find`.
      problems: of `findings.class_problems`.
      unreadable: (name, reason) of the other files and records.
    """

    photos: Sequence[Item]
    measures: Sequence[Measures]
    findings: Sequence[Finding]
    problems: Sequence[str]
    unreadable: Sequence[tuple[str, str]]

    @property
    def decisions(self) -> int:
        """The number of kinds of findings that must be decided before a training."""
        found = sum(1 for each in self.findings if each.decide and each.groups)
        return found + bool(self.problems) + bool(self.unreadable)

    @property
    def verdict(self) -> str:
        """A line with `decisions`."""
        if not self.decisions:
            return "Nothing must be decided before a training."
        return f"Decide before a training: {self.decisions} of the findings, marked with !"


def show(report: Report) -> None:
    """Prints the tables, and the first photos of the findings that must be decided."""
    for table in _tables(report):
        sheet.show(table)
    for each in report.findings:
        if each.decide:
            groups = [", ".join(_place(report.photos[i]) for i in group) for group in each.groups]
            _list(f"{each.title}:", groups)
    _list("classes:", report.problems)
    _list("unreadable:", [f"{name}: {reason}" for name, reason in report.unreadable])
    print(report.verdict)


def write_page(path: Path, title: str, command: str, report: Report, source: Source) -> None:
    """Writes the page. It reads the photos again that it shows.

    Raises:
      UserError: when the file cannot be written.
    """
    shown = {i for each in report.findings for group in each.groups[:_SHOWN] for i in group[:_IN_GROUP]}
    wanted = {report.photos[i]: i for i in shown}
    pictures: dict[int, str] = {}
    for item, data in source.read({item.path for item in wanted}):
        if item in wanted:
            pictures[wanted[item]] = sheet.picture(data)
    sections = [_section(each, report, pictures) for each in report.findings if each.groups]
    lists = [
        sheet.Table("Classes that must be decided", ["class"], [[each] for each in report.problems]),
        sheet.Table("Unreadable", ["file or record", "reason"], report.unreadable),
    ]
    sheet.write(
        path,
        title=title,
        verdict=report.verdict,
        is_bad=report.decisions > 0,
        command=command,
        tables=_tables(report) + [each for each in lists if each.rows],
        sections=sections,
    )


def _section(finding: Finding, report: Report, pictures: dict[int, str]) -> sheet.Section:
    groups = [
        [sheet.Card(pictures.get(i, ""), _lines(report.photos[i], report.measures[i])) for i in group[:_IN_GROUP]]
        for group in finding.groups[:_SHOWN]
    ]
    title = f"{finding.title}: {finding.photos:,}"
    return sheet.Section(title[0].upper() + title[1:], finding.note, groups, len(finding.groups))


def _lines(item: Item, measured: Measures) -> list[str]:
    place = f"{item.label} · {item.split}" if item.split else item.label
    digest = measured.digest.hex() if item.record is None else printable(item.digest)
    return [printable(item.name), printable(place), f"{measured.width} × {measured.height}", *filter(None, [digest])]


def _tables(report: Report) -> list[sheet.Table]:
    return [_classes(report.photos), _sizes(report.measures), _summary(report)]


def _classes(photos: Sequence[Item]) -> sheet.Table:
    """Returns the number of photos of each class, in all and by split."""
    totals = Counter(item.label for item in photos)
    counts = Counter((item.label, item.split) for item in photos)
    splits = [split for split in SPLITS if any(item.split == split for item in photos)]
    rows = [
        [printable(label), f"{total:,}", f"{total / len(photos):.1%}", *(f"{counts[label, s]:,}" for s in splits)]
        for label, total in totals.most_common()
    ]
    sums = [f"{sum(counts[label, split] for label in totals):,}" for split in splits]
    rows.append(["all", f"{len(photos):,}", "", *sums])
    return sheet.Table("Classes", ["class", "photos", "share", *splits], rows, range(1, 3 + len(splits)))


def _sizes(measures: Sequence[Measures]) -> sheet.Table:
    sides = np.array([(each.width, each.height) for each in measures])
    rows = [
        [name, *(f"{value:,.0f}" for value in (values.min(), np.median(values), values.max()))]
        for name, values in (("width", sides[:, 0]), ("height", sides[:, 1]))
    ]
    return sheet.Table("Sizes in pixels", ["", "smallest", "median", "largest"], rows, range(1, 4))


def _summary(report: Report) -> sheet.Table:
    rows = [
        ["!" if each.decide and each.groups else "", each.title, f"{each.photos:,}", f"{len(each.groups):,}"]
        for each in report.findings
    ]
    for title, found in (("classes with too few photos", report.problems), ("unreadable", report.unreadable)):
        rows.append(["!" if found else "", title, "", f"{len(found):,}"])
    return sheet.Table("Findings", ["", "finding", "photos", "groups"], rows, (2, 3))


def _place(item: Item) -> str:
    return f"{item.name} ({item.label}{', ' + item.split if item.split else ''})"


def _list(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    print(title)
    for line in lines[:_LISTED]:
        print(f"  {printable(line)}")
    if len(lines) > _LISTED:
        print(f"  … and {len(lines) - _LISTED:,} more")
