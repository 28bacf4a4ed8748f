"""Joins the inputs of waiting requests into batches, because a model is faster on a batch than on single photos."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

import numpy as np

from serving import metrics
from serving.errors import RequestError, check_count
from serving.forms import Arrays

_PATIENCE_S = 0.25  # much more than a call of a fast model takes


class Limits(NamedTuple):
    """The limits of one batcher; see `serving.settings.Settings`."""

    max_batch: int
    max_queue: int
    timeout_s: float


class _Waiting(NamedTuple):
    inputs: Arrays
    size: int
    answer: "asyncio.Future[Arrays]"
    due: float  # of the event loop's clock: when a second call starts for it


class Batcher:
    """Runs a function of arrays on batches of waiting inputs.

    A batch starts as soon as no other runs, so a single client never waits for others. Meanwhile, inputs wait, and the
    next batch takes as many as fit. It starts beside the running one if it is at least half full, because one call
    leaves a part of the cores idle, or if the running one takes long, because of a large photo. Its methods run in the
    event loop.
    """

    def __init__(self, run: Callable[[Arrays], Arrays], limits: Limits, executors: Sequence[Executor]):
        """Makes a batcher.

        Args:
          run: gives outputs for inputs; the first axis of each array is the batch.
          limits: the limits.
          executors: each runs one call of `run` at a time; the first also runs `alone`.
        """
        self._run = run
        self._limits = limits
        self._executors = executors
        self._busy: set[Executor] = set()
        self._waiting: deque[_Waiting] = deque()
        self._photos = 0  # in `_waiting`

    async def __call__(self, inputs: Arrays) -> Arrays:
        """Returns the outputs for the inputs of one request.

        Raises:
          RequestError: 413, when the request is larger than the queue; 429, when the queue is full; 503, when the
            answer takes longer than `timeout_s`.
        """
        size = _size(inputs)
        check_count(size, self._limits.max_queue)
        if self._photos + size > self._limits.max_queue:
            raise RequestError(429, f"{self._photos} photos are waiting; send the request again later", retry_after=1)
        pieces = [self._enqueue(each) for each in _pieces(inputs, size, self._limits.max_batch)]
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                answers = await asyncio.gather(*pieces)
        except TimeoutError:
            text = f"no answer within {self._limits.timeout_s:g} s; send the request again later"
            raise RequestError(503, text, retry_after=1) from None
        finally:
            for piece in pieces:
                piece.cancel()  # those that still wait are skipped
        return _joined(answers)

    async def alone(self, inputs: Arrays) -> Arrays:
        """Returns the outputs of one call, after the calls that wait. The inputs count for no limit and no metric.

        Raises:
          Exception: what the function raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executors[0], self._run, inputs)

    def _enqueue(self, inputs: Arrays) -> "asyncio.Future[Arrays]":
        loop = asyncio.get_running_loop()
        waiting = _Waiting(inputs, _size(inputs), loop.create_future(), loop.time() + _PATIENCE_S)
        self._waiting.append(waiting)
        self._photos += waiting.size
        metrics.QUEUE.inc(waiting.size)
        self._start()
        if self._waiting:
            loop.call_at(waiting.due + 0.001, self._start)
        return waiting.answer

    def _start(self) -> None:
        """Starts the next batch, if it is due."""
        loop = asyncio.get_running_loop()
        for executor in self._executors:
            if executor not in self._busy and self._is_due(loop.time()) and (batch := self._next()):
                self._busy.add(executor)
                task = loop.run_in_executor(executor, self._call, [each.inputs for each in batch])
                task.add_done_callback(partial(self._answer, batch, executor))

    def _is_due(self, now: float) -> bool:
        """Returns whether no batch runs, or the next one is at least half full or has waited long."""
        is_full = 2 * self._photos >= self._limits.max_batch
        return not self._busy or is_full or bool(self._waiting) and self._waiting[0].due <= now

    def _call(self, requests: list[Arrays]) -> list[Arrays | Exception]:
        """Returns the outputs, or the error, of each request. If a batch of several fails, each is run alone."""
        try:
            return list(_split(self._run(_joined(requests)), [_size(each) for each in requests]))
        except Exception as error:  # TensorFlow raises many kinds
            return [error] if len(requests) == 1 else [self._call([each])[0] for each in requests]

    def _next(self) -> list[_Waiting]:
        """Takes the waiting inputs of the next batch; those of requests that have ended are left out."""
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and (not batch or size + self._waiting[0].size <= self._limits.max_batch):
            waiting = self._waiting.popleft()
            self._photos -= waiting.size
            metrics.QUEUE.dec(waiting.size)
            if not waiting.answer.cancelled():
                batch.append(waiting)
                size += waiting.size
        if batch:
            metrics.BATCH_SIZE.observe(size)
        return batch

    def _answer(
        self, batch: list[_Waiting], executor: Executor, done: "asyncio.Future[list[Arrays | Exception]]"
    ) -> None:
        self._busy.remove(executor)
        self._start()
        for waiting, result in zip(batch, done.result(), strict=True):
            if waiting.answer.cancelled():
                continue
            if isinstance(result, Exception):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)


def _pieces(inputs: Arrays, size: int, most: int) -> list[Arrays]:
    starts = range(0, max(size, 1), most)
    return [{key: each[start : start + most] for key, each in inputs.items()} for start in starts]


def _joined(parts: Sequence[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return {key: np.concatenate([each[key] for each in parts]) for key in parts[0]}


def _split(outputs: Arrays, sizes: Sequence[int]) -> Iterator[Arrays]:
    start = 0
    for size in sizes:
        yield {key: each[start : start + size] for key, each in outputs.items()}
        start += size


def _size(inputs: Arrays) -> int:
    return len(next(iter(inputs.values())))
