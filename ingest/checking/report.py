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
from ingest.names import printable, printable_class
from ingest.split_names import SPLITS

_LISTED, _LISTED_OTHERS = 5, 3  # lines of a list on the terminal; of a finding without !
_SHOWN = 40  # groups of a section of the page
_IN_GROUP = 8  # photos of a group


class Report(NamedTuple):
    """What was found.

    Attributes:
      photos: the photos that can be decoded.
      measures: of each photo.
      findings: of `findings.find`.
      problems: of `findings.class_problems`.
      alike: of `findings.alike_classes`.
      numbered: of `findings.numbered_differently`.
      unreadable: (name, reason) of photos and records that cannot be used.
      others: (name, reason) of files that are not photos by their name.
    """

    photos: Sequence[Item]
    measures: Sequence[Measures]
    findings: Sequence[Finding]
    problems: Sequence[str]
    alike: Sequence[str]
    numbered: Sequence[str]
    unreadable: Sequence[tuple[str, str]]
    others: Sequence[tuple[str, str]]

    @property
    def decisions(self) -> int:
        """The number of kinds of findings that must be decided before a training."""
        found = sum(1 for each in self.findings if each.decide and each.groups)
        return found + sum(map(bool, (self.problems, self.alike, self.numbered, self.unreadable)))

    @property
    def verdict(self) -> str:
        """A line with `decisions`."""
        if not self.decisions:
            return "Nothing must be decided before a training."
        findings = "finding" if self.decisions == 1 else f"{self.decisions} findings"
        return f"Before you train, decide about the {findings} marked with !"


def show(report: Report) -> None:
    """Prints the tables, the first photos of each finding, and the verdict."""
    for table in _tables(report):
        sheet.show(table)
    listed: set[tuple[int, ...]] = set()
    for each in report.findings:
        groups = [group for group in each.groups if tuple(group) not in listed]
        listed |= set(map(tuple, groups))
        _list(f"{each.title}:", [_group(report, each) for each in groups], _LISTED if each.decide else _LISTED_OTHERS)
    _list("classes with too few photos:", report.problems)
    _list("classes with nearly the same name, rename them if they are one:", report.alike)
    _list("classes numbered differently, convert the photos again with the same classes:", report.numbered)
    _list("unreadable:", [f"{name}: {reason}" for name, reason in report.unreadable])
    _list("other files:", [name for name, _ in report.others])
    print(report.verdict)


def show_hint(report: Report) -> None:
    """Prints how to see the photos of the findings, if there are any."""
    if any(each.groups for each in report.findings):
        print("To see the photos of the findings, add --html FILE")


def _group(report: Report, group: Sequence[int]) -> str:
    more = f" … and {len(group) - _IN_GROUP:,} more" if len(group) > _IN_GROUP else ""
    return ", ".join(_place(report.photos[i]) for i in group[:_IN_GROUP]) + more


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
        sheet.Table("Classes with nearly the same name", ["classes"], [[each] for each in report.alike]),
        sheet.Table("Classes numbered differently", ["classes"], [[each] for each in report.numbered]),
        sheet.Table("Unreadable", ["file or record", "reason"], report.unreadable),
        sheet.Table("Other files", ["file", "reason"], report.others),
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
    label = printable_class(item.label)
    place = f"{label} · {item.split}" if item.split else label
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
        [printable_class(label), f"{total:,}", f"{total / len(photos):.1%}", *(f"{counts[label, s]:,}" for s in splits)]
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
    lists = [
        ("classes with too few photos", report.problems),
        ("classes with nearly the same name", report.alike),
        ("classes numbered differently", report.numbered),
        ("unreadable", report.unreadable),
    ]
    rows += [["!" if found else "", title, "", f"{len(found):,}"] for title, found in lists]
    rows.append(["", "other files", "", f"{len(report.others):,}"])
    return sheet.Table("Findings", ["", "finding", "photos", "groups"], rows, (2, 3))


def _place(item: Item) -> str:
    return f"{item.name} ({printable_class(item.label)}{', ' + item.split if item.split else ''})"


def _list(title: str, lines: Sequence[str], most: int = _LISTED) -> None:
    if not lines:
        return
    print(title)
    for line in lines[:most]:
        print(f"  {printable(line)}")
    if len(lines) > most:
        print(f"  … and {len(lines) - most:,} more")
