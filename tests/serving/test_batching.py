"""Batches: what is joined, what fails, what is refused, and what remains after cancelled requests."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.batching import Batcher, Limits
from serving.errors import RequestError

LIMITS = Limits(max_batch=4, max_queue=8, timeout_s=5.0)


class Model:
    """Doubles its inputs, and waits before each call until `open` is set. 13 raises an error."""

    def __init__(self):
        self.calls: list[list[int]] = []
        self.open = threading.Event()

    def __call__(self, inputs):
        self.open.wait(5)
        self.calls.append(inputs["x"].tolist())
        if 13 in inputs["x"]:
            raise ValueError("13")
        return {"y": 2 * inputs["x"]}


@pytest.fixture
def model():
    return Model()


def _run(model, scenario, limits=LIMITS, calls=1):
    """Runs a scenario with a batcher that makes some calls at once."""
    with contextlib.ExitStack() as stack:
        executors = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(calls)]

        async def run():
            return await scenario(Batcher(model, limits, executors))

        try:
            return asyncio.run(run())
        finally:
            model.open.set()


def _inputs(*values):
    return {"x": np.array(values, dtype=np.int64)}


async def _sent(batcher, *requests):
    """Sends requests in order, while the model is closed."""
    tasks = []
    for values in requests:
        tasks.append(asyncio.create_task(batcher(_inputs(*values))))
        await asyncio.sleep(0)
    return tasks


def test_the_first_request_starts_at_once_and_the_next_are_joined(model):
    async def scenario(batcher):
        tasks = await _sent(batcher, [1], [2], [3, 4], [5], [6])
        model.open.set()
        return [answer["y"].tolist() for answer in await asyncio.gather(*tasks)]

    assert _run(model, scenario) == [[2], [4], [6, 8], [10], [12]]
    assert model.calls == [[1], [2, 3, 4, 5], [6]]


def test_a_second_call_starts_when_half_a_batch_waits(model):
    async def scenario(batcher):
        tasks = await _sent(batcher, [1], [2], [3], [4], [5], [6])
        model.open.set()
        answers = [answer["y"].tolist() for answer in await asyncio.gather(*tasks)]
        return answers, (await batcher(_inputs(7)))["y"].tolist()

    assert _run(model, scenario, calls=2) == ([[2], [4], [6], [8], [10], [12]], [14])
    assert sorted(model.calls) == [[1], [2, 3], [4, 5, 6], [7]]


def test_less_than_half_a_batch_waits_for_the_running_call(model):
    async def scenario(batcher):
        tasks = await _sent(batcher, [1], [2])
        waiting = batcher._photos
        model.open.set()
        await asyncio.gather(*tasks)
        return waiting

    assert _run(model, scenario, calls=2) == 1
    assert model.calls == [[1], [2]]


def test_a_second_call_starts_when_the_running_one_takes_long():
    both = threading.Barrier(2)

    def run(inputs):
        both.wait(30)
        return inputs

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:

        async def scenario():
            batcher = Batcher(run, LIMITS._replace(timeout_s=60.0), [first, second])
            return await asyncio.gather(batcher(_inputs(1)), batcher(_inputs(2)))

        assert [answer["x"].tolist() for answer in asyncio.run(scenario())] == [[1], [2]]


def test_of_a_batch_only_the_request_that_raises_fails(model):
    async def scenario(batcher):
        tasks = await _sent(batcher, [1], [2], [13], [4])
        model.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, failed, fourth = _run(model, scenario)
    assert [first["y"].tolist(), second["y"].tolist(), fourth["y"].tolist()] == [[2], [4], [8]]
    assert isinstance(failed, ValueError) and str(failed) == "13"
    assert model.calls == [[1], [2, 13, 4], [2], [13], [4]]


def test_a_request_larger_than_a_batch_is_answered_in_order(model):
    async def scenario(batcher):
        model.open.set()
        return (await batcher(_inputs(*range(7))))["y"].tolist()

    assert _run(model, scenario) == [0, 2, 4, 6, 8, 10, 12]
    assert model.calls == [[0, 1, 2, 3], [4, 5, 6]]


def test_a_large_request_with_an_error_fails_as_a_whole_and_reports_each_error_once(model, caplog):
    async def scenario(batcher):
        model.open.set()
        with pytest.raises(ValueError, match="13"):
            await batcher(_inputs(13, 2, 3, 4, 13, 6))
        return (await batcher(_inputs(1)))["y"].tolist()

    assert _run(model, scenario) == [2]
    assert not caplog.records  # such as "exception was never retrieved"


def test_an_empty_request(model):
    async def scenario(batcher):
        model.open.set()
        return (await batcher(_inputs()))["y"].tolist()

    assert _run(model, scenario) == []


def test_a_full_queue_and_a_request_larger_than_the_queue_are_refused(model):
    async def scenario(batcher):
        tasks = await _sent(batcher, [0], [1, 2, 3, 4], [5, 6, 7])
        with pytest.raises(RequestError, match="7 photos are waiting; send the request again later") as full:
            await batcher(_inputs(8, 9))
        with pytest.raises(RequestError, match="expected at most 8 photos in a request, received 9") as large:
            await batcher(_inputs(*range(9)))
        model.open.set()
        await asyncio.gather(*tasks)
        return full.value, large.value

    full, large = _run(model, scenario)
    assert (full.status, full.retry_after, large.status, large.retry_after) == (429, 1, 413, None)
    assert model.calls == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_a_late_answer_is_503_and_what_waited_is_not_computed(model):
    async def scenario(batcher):
        tasks = await _sent(batcher, [1], [2], [3])
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        model.open.set()
        return [(error.status, error.retry_after) for error in errors], (await batcher(_inputs(4)))["y"].tolist()

    errors, later = _run(model, scenario, LIMITS._replace(timeout_s=0.1))
    assert errors == [(503, 1)] * 3 and later == [8]
    assert model.calls == [[1], [4]]


def test_a_cancelled_request_is_not_computed_and_frees_the_queue(model):
    async def scenario(batcher):
        first, second, third = await _sent(batcher, [1], [2] * 7, [3])
        second.cancel()
        model.open.set()
        answers = [(await task)["y"].tolist() for task in (first, third)]
        return answers, (await batcher(_inputs(*range(8))))["y"].tolist()

    answers, later = _run(model, scenario)
    assert answers == [[2], [6]] and later == [2 * value for value in range(8)]
    assert model.calls[:2] == [[1], [3]]


def test_requests_of_different_shapes_are_run_alone():
    shapes = []

    def run(inputs):
        shapes.append(inputs["x"].shape)
        return {"y": inputs["x"].sum(axis=1)}

    async def scenario():
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(run, LIMITS, [executor])
            executor.submit(threading.Event().wait, 0.2)
            sizes = [2, 3, 4]
            answers = await asyncio.gather(*(batcher({"x": np.ones((1, size))}) for size in sizes))
        return [answer["y"].tolist() for answer in answers]

    assert asyncio.run(scenario()) == [[2], [3], [4]]
    assert shapes == [(1, 2), (1, 3), (1, 4)]


def test_outputs_without_a_batch_fail_the_request_and_not_the_batcher():
    async def scenario():
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(lambda inputs: {"y": np.float32(1)}, LIMITS, [executor])
            for _ in range(2):
                with pytest.raises(IndexError):
                    await batcher(_inputs(1))

    asyncio.run(scenario())
