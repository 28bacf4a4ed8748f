"""The command `python -m ingest check`."""

import os
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.progress import track

from errors import UserError
from ingest import decoding, sheet
from ingest.checking import findings, items, report
from ingest.checking.items import Item, Source
from ingest.checking.measures import Measures, measure
from ingest.checking.report import Report
from ingest.layouts.entries import Options
from ingest.names import printable

NOTHING, DECIDE = 0, 1  # exit codes
_QUEUED = 4  # photos per thread


def run(
    source: Path,
    command: str,
    max_megapixels: int,
    html: Path | None = None,
    features: str | None = None,
    **layout: Any,
) -> int:
    """Prints what a person should know about labelled photos before a training.

    Args:
      source: a folder of record files, or what `ingest photos` reads.
      command: the command, for the page.
      max_megapixels: larger photos count as unreadable.
      html: the page with the photos; None for none.
      features: the names of the records' features, see `items.find`.
      layout: the flags of `ingest.layouts.entries.Options`.

    Returns:
      DECIDE if something must be decided, otherwise NOTHING.

    Raises:
      UserError: when there are no photos to read, or the page cannot be written.
    """
    sheet.check_writable(html)
    found = items.find(source, Options(**layout), features)
    with decoding.limits(max_megapixels):
        result = _look(found)
        if not result.photos:
            problems = found.unreadable + found.others
            first = ": ".join(problems[0]) if problems else "it contains none"
            raise UserError(f"no photo in {printable(source)} can be decoded: {printable(first)}")
        report.show(result)
        if html is None:
            report.show_hint(result)
        else:
            report.write_page(html, f"Photos in {printable(source)}", command, result, found)
            print(f"page: {printable(html)}")
    return DECIDE if result.decisions else NOTHING


def _look(found: Source) -> Report:
    photos, measures = [], []
    for item, measured in _measured(found):
        photos.append(item)
        measures.append(measured)
    return Report(
        photos,
        measures,
        findings.find(photos, measures),
        findings.class_problems(photos, found.labels),
        findings.alike_classes(photos),
        findings.numbered_differently(photos),
        found.unreadable,
        found.others,
    )


def _measured(found: Source) -> Iterator[tuple[Item, Measures]]:
    """Yields the photos in order, measured in threads; those that cannot be decoded are added to `found`."""
    waiting: deque[tuple[Item, Future[Measures]]] = deque()
    threads = os.cpu_count() or 1

    def finished() -> Iterator[tuple[Item, Measures]]:
        item, future = waiting.popleft()
        try:
            yield item, future.result()
        except decoding.Unreadable as error:
            found.add_unreadable(item, str(error))

    pool = ThreadPoolExecutor(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about unusual EXIF data
        try:
            for item, data in track(found.read(), "looking at photos", found.total, transient=True):
                waiting.append((item, pool.submit(measure, data)))
                if len(waiting) >= _QUEUED * threads:
                    yield from finished()
            while waiting:
                yield from finished()
        finally:
            pool.shutdown(cancel_futures=True)
