"""Imports of large libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Pauses Python's garbage collector, and leaves what is imported meanwhile out of its later runs.

    TensorFlow and TFX make a million objects that stay. To look at them again and again takes a third of their import,
    and later it makes pauses.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
