"""Imports of large libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Pauses Python's garbage collector, and leaves what is imported meanwhile out of its later runs.

    TensorFlow and TFX make 900,000 objects that stay. The collector looks at them again and again, which takes a third
    of the import's processor time and later makes pauses.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
