"""Decides which version answers a request (`--canary`), and which one computes it again, unseen (`--shadow`)."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from serving import metrics
from serving.forms import Arrays
from serving.settings import Share
from serving.versions import Version, Versions

_PIECE = 4  # photos in a call of a shadow; a request that arrives meanwhile waits for the call
_MOST_WAITING, _MOST_BYTES = 256, 64 * 2**20  # photos that wait for a shadow; more are left out

_log = logging.getLogger("serving")


class Chosen(NamedTuple):
    """The version that answers a request, and the one that computes it afterwards, if any."""

    version: Version
    shadow: Version | None = None


class _Repeated(NamedTuple):
    version: Version
    signature: str
    inputs: Arrays
    labels: list[bytes]  # of the answer
    size: int  # bytes of the inputs


class Traffic:
    """Draws at random for each request. Its methods run in the event loop."""

    def __init__(
        self,
        versions: Versions,
        canary: Share | None,
        shadow: Share | None,
        draw: Callable[[], float] = random.random,
    ):
        """Makes the decider.

        Args:
          versions: the versions.
          canary: the share of the requests that the alias's version answers; None for none.
          shadow: the share of the requests answered by default that the alias's version computes, too; None for none.
          draw: gives random numbers from 0 to 1.
        """
        self._versions = versions
        self._canary = canary
        self._shadow = shadow
        self._draw = draw
        self._waiting: asyncio.Queue[_Repeated] = asyncio.Queue()
        self._photos = self._bytes = 0  # in `_waiting` and in the call
        self._failed: set[int] = set()  # versions whose first error is logged

    def choose(self, number: int | None = None, label: str | None = None) -> Chosen:
        """Returns the versions for a request that names a number, a label or neither.

        An alias without a version changes nothing: the version that is served by default answers.

        Raises:
          RequestError: what `Versions.get` raises.
        """
        version = self._versions.get(number, label)
        if number is not None or label is not None:
            return Chosen(version)
        if canary := self._drawn(self._canary):
            return Chosen(canary)
        shadow = self._drawn(self._shadow)
        return Chosen(version, shadow if shadow and shadow.number != version.number else None)

    def _drawn(self, share: Share | None) -> Version | None:
        return self._versions.aliased(share.alias) if share and self._draw() < share.share else None

    def repeat(self, chosen: Chosen, signature: str, inputs: Arrays, outputs: Arrays) -> None:
        """Passes an answered request to its shadow, if it has one, and returns at once.

        Answers without a predicted class, such as the pixels of a photo, are not compared.
        """
        labels = metrics.labels(outputs) if chosen.shadow else None
        if not chosen.shadow or not labels:
            return
        size = sum(_bytes(each) for each in inputs.values())
        if self._photos + len(labels) > _MOST_WAITING or self._bytes + size > _MOST_BYTES:
            metrics.SHADOW.labels(chosen.shadow.number, "left_out").inc(len(labels))
            return
        self._photos, self._bytes = self._photos + len(labels), self._bytes + size
        self._waiting.put_nowait(_Repeated(chosen.shadow, signature, inputs, labels, size))

    async def run_shadows(self) -> None:
        """Computes the requests that wait for a shadow, until the task is cancelled."""
        while True:
            repeated = await self._waiting.get()
            for start in range(0, len(repeated.labels), _PIECE):
                await self._compare(repeated, slice(start, start + _PIECE))
            self._photos, self._bytes = self._photos - len(repeated.labels), self._bytes - repeated.size

    async def _compare(self, repeated: _Repeated, piece: slice) -> None:
        """Counts some photos of a request by what the shadow predicts."""
        expected, number = repeated.labels[piece], repeated.version.number
        try:
            signature = repeated.version.signatures[repeated.signature]
            outputs = await signature.batch.alone({key: each[piece] for key, each in repeated.inputs.items()})
            pairs = zip(expected, metrics.labels(outputs) or (), strict=True)
            results = ["same" if label == answered else "other" for answered, label in pairs]
        except Exception:  # TensorFlow raises many kinds
            results = ["failed"] * len(expected)
            if number not in self._failed:
                _log.exception("the shadow, version %d, failed; its next errors are only counted", number)
            self._failed.add(number)
        for result in results:
            metrics.SHADOW.labels(number, result).inc()


def _bytes(array: np.ndarray) -> int:
    return sum(map(len, array.ravel())) if array.dtype == object else array.nbytes
