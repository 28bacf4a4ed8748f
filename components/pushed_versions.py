"""Finds the complete versions of a folder of pushed models, and compares models by fingerprint."""

from collections.abc import Iterator

from tfx.utils import io_utils

from storage.files import fileio
from storage.versions import LAST, number_of


def complete(pushed: str) -> Iterator[str]:
    """Yields the folders of complete models, the latest first."""
    names = fileio.listdir(pushed) if fileio.isdir(pushed) else []
    # the name of a folder in a bucket ends with a slash
    numbers = [name.rstrip("/") for name in names if number_of(name.rstrip("/")) is not None]
    for number in sorted(numbers, key=int, reverse=True):
        folder = f"{pushed.rstrip('/')}/{number}"
        if fileio.exists(f"{folder}/{LAST}"):
            yield folder


def fingerprint(model: str) -> bytes:
    """Returns the fingerprint that TensorFlow writes into a SavedModel; b'' for a model of other tools."""
    if not fileio.exists(f"{model}/fingerprint.pb"):
        return b""
    return io_utils.read_bytes_file(f"{model}/fingerprint.pb")
