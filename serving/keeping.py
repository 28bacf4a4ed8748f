"""Keeps a sample of the answers (`--keep`), for the data checks and for labels. No answer waits for it."""

import io
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from components import photos
from ingest import kept
from serving import metrics
from serving.forms import PHOTO, Arrays
from serving.kept_files import KeptFiles, TooLarge
from serving.settings import Settings

_MOST_WAITING, _MOST_BYTES = 256, 64 * 2**20  # photos that wait for the thread; more are not kept
_MOST_PIXELS = 50_000_000  # of a photo, because it is decoded once more to be measured
_IDLE_S = 10.0

Keep = Callable[[int, Arrays, Arrays], None]  # of a version's number, the inputs and the outputs of a request

_log = logging.getLogger("serving")


class _Answer(NamedTuple):
    photo: bytes
    label: bytes
    probability: float
    version: int
    time: int


def no_keep(version: int, inputs: Arrays, outputs: Arrays) -> None:
    """Keeps nothing."""


def of_settings(settings: Settings) -> "Keeper | None":
    """Returns the keeper of a worker; None without `keep`.

    Raises:
      OSError: when the folder cannot be read.
    """
    if not settings.keep:
        return None
    files = KeptFiles(settings.keep, settings.keep_mb * 2**20, settings.workers)
    return Keeper(files, settings.keep_share, settings.keep_photos)


class Keeper:
    """Chooses answers at random, and writes them in a thread while its `with` block runs."""

    def __init__(self, files: KeptFiles, share: float, with_photos: bool, draw: Callable[[], float] = random.random):
        """Makes a keeper.

        Args:
          files: where the answers are written.
          share: of the photos, above 0 and at most 1.
          with_photos: whether the photos are kept, too.
          draw: gives random numbers from 0 to 1.
        """
        self._files = files
        self._share = share
        self._with_photos = with_photos
        self._draw = draw
        self._waiting: queue.Queue[_Answer | None] = queue.Queue()
        self._bytes = 0  # of the photos in `_waiting`
        self._lock = threading.Lock()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="keep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Writes the answers that wait."""
        self._waiting.put(None)
        self._thread.join()

    def keep(self, version: int, inputs: Arrays, outputs: Arrays) -> None:
        """Chooses some of the photos of a request, and returns at once.

        Photos that the model could not use, and answers of other signatures than `serving_default`, are not kept.
        """
        if PHOTO not in inputs or not {"label", "probabilities", "status"} <= set(outputs):
            return
        for index, status in enumerate(outputs["status"]):
            if not status and self._draw() < self._share:
                label, probabilities = outputs["label"][index], outputs["probabilities"][index]
                self._put(_Answer(inputs[PHOTO][index], label, float(np.max(probabilities)), version, int(time.time())))

    def _put(self, answer: _Answer) -> None:
        with self._lock:
            full = self._waiting.qsize() >= _MOST_WAITING or self._bytes + len(answer.photo) > _MOST_BYTES
            self._bytes += 0 if full else len(answer.photo)
        if full:
            metrics.NOT_KEPT.labels("busy").inc()
        else:
            self._waiting.put(answer)

    def _run(self) -> None:
        while True:
            try:
                answer = self._waiting.get(timeout=_IDLE_S)
            except queue.Empty:
                self._attempt(self._files.close_if_old)
                continue
            if answer is None:
                break
            self._attempt(lambda answer=answer: self._write(answer))  # type: ignore[misc]
            with self._lock:
                self._bytes -= len(answer.photo)
        self._attempt(self._files.close)

    def _write(self, answer: _Answer) -> None:
        with Image.open(io.BytesIO(answer.photo)) as header:
            width, height = header.size
        if width * height > _MOST_PIXELS:
            raise TooLarge
        ((size, brightness, contrast, colours),) = photos.measure([answer.photo])
        image = answer.photo if self._with_photos else b""
        measured = kept.Kept(*answer[1:], size, brightness, contrast, colours, image)
        self._files.close_if_old()
        self._files.write(kept.serialized(measured))
        metrics.KEPT.inc()
        self._problem = ""

    def _attempt(self, action: Callable[[], None]) -> None:
        """Runs an action of the thread. An error is counted, and logged unless the action before had the same."""
        try:
            action()
        except TooLarge:
            metrics.NOT_KEPT.labels("large").inc()
        except OSError as error:
            metrics.NOT_KEPT.labels("disk").inc()
            self._log_once(f"answers are not kept: {error.strerror or error}")
        except Exception as error:  # of Pillow or TensorFlow; the thread must go on
            metrics.NOT_KEPT.labels("failed").inc()
            self._log_once(f"an answer is not kept: {type(error).__name__}")

    def _log_once(self, problem: str) -> None:
        if problem != self._problem:
            _log.error(problem)
        self._problem = problem
