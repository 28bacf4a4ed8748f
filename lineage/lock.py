"""The lock of an output folder: one process at a time writes to it, a run or `gc`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from errors import UserError


@contextmanager
def only_run(output: Path) -> Iterator[None]:
    """Holds the output folder for this process. The lock goes with the process, however it ends.

    Raises:
      UserError: when another run holds it, or it cannot be locked.
    """
    lock = FileLock(output / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"another run is using {output}; wait for it to end, or give another folder (--output DIR)"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write {output / '.lock'}: {error.strerror}; remove it, or give another folder (--output DIR)"
        ) from None
    with lock:
        yield
