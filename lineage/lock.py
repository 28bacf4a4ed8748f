"""Locks an output folder, so that only one process (a run or `gc`) writes to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from errors import UserError


@contextmanager
def lock_output(output: Path) -> Iterator[None]:
    """Locks the output folder; the operating system releases the lock if the process is killed.

    Raises:
      UserError: when another process holds the lock, or the lock file cannot be written.
    """
    lock = FileLock(output / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"another run is using {output}; wait until it ends, or give another folder (--output DIR)"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write {output / '.lock'}: {error.strerror}; remove it, or give another folder (--output DIR)"
        ) from None
    with lock:
        yield
