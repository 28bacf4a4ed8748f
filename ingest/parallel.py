"""Processes many photo files in threads: results in order, unreadable files skipped."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ingest.decoding import Unreadable

_QUEUE_LENGTH = 4  # submitted files per thread


class HasPath(Protocol):
    """Anything with the path of a file."""

    @property
    def path(self) -> Path:
        """The file."""


File = TypeVar("File", bound=HasPath)
Result = TypeVar("Result")


class Skipped(NamedTuple):
    """A file or folder that is not in the dataset, and the reason."""

    path: Path
    reason: str


class Workers:
    """A thread pool with a progress display and the list of skipped files."""

    def __init__(self, pool: ThreadPoolExecutor, display: Progress):
        self.skipped: list[Skipped] = []
        self._pool, self._display = pool, display

    def task(self, description: str, total: int) -> TaskID:
        """Adds a progress bar and returns its id."""
        return self._display.add_task(description, total=total)

    def map(
        self, task: TaskID, function: Callable[[Path], Result], photos: Iterable[File]
    ) -> Iterator[tuple[File, Result]]:
        """Yields each photo with the result of `function` for its path, in order; unreadable photos are skipped."""
        for photo, future in self._submit(function, photos):
            try:
                yield photo, future.result()
            except Unreadable as error:
                self.skipped.append(Skipped(photo.path, str(error)))
            self._display.advance(task)

    def _submit(
        self, function: Callable[[Path], Result], photos: Iterable[File]
    ) -> Iterator[tuple[File, "Future[Result]"]]:
        """Yields photos with futures; only a few are pending, while Executor.map would keep all results in memory."""
        pending: deque[tuple[File, Future[Result]]] = deque()
        for photo in photos:
            pending.append((photo, self._pool.submit(function, photo.path)))
            if len(pending) >= _QUEUE_LENGTH * (os.cpu_count() or 1):
                yield pending.popleft()
        yield from pending


@contextmanager
def workers() -> Iterator[Workers]:
    """Yields workers with one thread per core; cancels pending photos after an error or Ctrl-C."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pool = ThreadPoolExecutor(os.cpu_count())
    with warnings.catch_warnings(), Progress(*columns) as display:
        warnings.simplefilter("ignore")  # Pillow warns about unusual EXIF data; the photo is used or skipped anyway
        try:
            yield Workers(pool, display)
        finally:
            pool.shutdown(cancel_futures=True)
