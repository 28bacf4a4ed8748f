"""Work on many files at once: a few ahead in threads, results in order, files that cannot be read noted."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ingest.decoding import Unreadable

_AHEAD = 4  # files in work or waiting, per thread

Result = TypeVar("Result")


class Photo(NamedTuple):
    """A file and the index of its class."""

    path: Path
    label: int


class LeftOut(NamedTuple):
    """A file or folder that is not in the dataset, and why."""

    path: Path
    reason: str


class Workers:
    """Threads, the progress bar that they move, and the list of what they could not read."""

    def __init__(self, pool: ThreadPoolExecutor, shown: Progress):
        self.left_out: list[LeftOut] = []
        self._pool, self._shown = pool, shown

    def task(self, description: str, total: int) -> TaskID:
        """Adds a line to the progress bar."""
        return self._shown.add_task(description, total=total)

    def each(
        self, task: TaskID, function: Callable[[Path], Result], photos: Iterable[Photo]
    ) -> Iterator[tuple[Photo, Result]]:
        """Yields each photo with what `function` makes of its file, in order; what it cannot read is left out."""
        for photo, future in self._ahead(function, photos):
            try:
                yield photo, future.result()
            except Unreadable as error:
                self.left_out.append(LeftOut(photo.path, str(error)))
            self._shown.advance(task)

    def _ahead(
        self, function: Callable[[Path], Result], photos: Iterable[Photo]
    ) -> Iterator[tuple[Photo, "Future[Result]"]]:
        """Starts a few photos ahead of the one that is yielded (Executor.map would start all and hold them)."""
        waiting: deque[tuple[Photo, Future[Result]]] = deque()
        for photo in photos:
            waiting.append((photo, self._pool.submit(function, photo.path)))
            if len(waiting) >= _AHEAD * (os.cpu_count() or 1):
                yield waiting.popleft()
        yield from waiting


@contextmanager
def workers() -> Iterator[Workers]:
    """Gives a thread for each core and a progress bar; when an error or Ctrl-C comes, what waits is dropped."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pool = ThreadPoolExecutor(os.cpu_count())
    with warnings.catch_warnings(), Progress(*columns) as shown:
        warnings.simplefilter("ignore")  # Pillow's, on odd EXIF: a photo is used, or listed with its reason
        try:
            yield Workers(pool, shown)
        finally:
            pool.shutdown(cancel_futures=True)
