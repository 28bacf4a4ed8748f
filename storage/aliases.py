"""The aliases of a model's versions: one small file beside the versions, such as `runs/pushed/NAME/aliases.json`.

    {"champion": 1790000000000000, "challenger": 1790000000000001}

The champion is served by default; without one, the newest version is. The file is replaced as a whole, so a reader
never sees a part of it. Two writers do not lose each other's change: on this machine a lock orders them. In a bucket, a
write succeeds only if the file has not changed since it was read.
"""

import json
import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from filelock import FileLock, Timeout

from storage import gcs, s3
from storage.versions import DIGITS

CHAMPION = "champion"
_FILE = "aliases.json"
_MODE = 0o644  # a server may run as another user
_LOCK_S = 10.0
_LARGEST = 2**20  # bytes of the file
_TRIES = 20  # of a write to a bucket while others write too
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")

Aliases = dict[str, int]


class DamagedAliases(Exception):
    """The content of the file is not that of an alias file; the text says why."""


def is_name(text: str) -> bool:
    """Returns whether a text may be an alias: up to 63 letters, digits and . _ -, of which the first is a letter.

    >>> is_name("champion"), is_name("2"), is_name("a/b")
    (True, False, False)
    """
    return _NAME.fullmatch(text) is not None


def file_of(folder: str) -> str:
    """Returns the path or URI of the alias file in a folder of versions."""
    return f"{folder.rstrip('/')}/{_FILE}"


def read(folder: str) -> Aliases:
    """Returns the version of each alias; {} if there is no alias file.

    Args:
      folder: the folder of the versions: a path, gs://, s3:// or minio://.

    Raises:
      DamagedAliases: when the file has another content.
      OSError: when it cannot be read.
    """
    file = file_of(folder)
    return _parsed(file, _bucket(file).read_tagged(file)[0] if "://" in file else _local(file))


def change(folder: str, update: Callable[[Aliases], Aliases]) -> Aliases:
    """Replaces the aliases of a folder, and returns them.

    Args:
      folder: see `read`.
      update: returns the new aliases for the present ones. It may be called again if another process writes to the
        same bucket. Its errors end the change.

    Raises:
      DamagedAliases, OSError: see `read`; or the file cannot be written.
    """
    file = file_of(folder)
    if "://" in file:
        return _change_in_bucket(file, update)
    if not Path(folder).is_dir():  # the lock would create it
        raise FileNotFoundError(f"{folder} is no folder")
    try:
        with FileLock(Path(folder) / f".{_FILE}.lock", timeout=_LOCK_S, mode=_MODE):
            new = update(_parsed(file, _local(file)))
            _replace(Path(file), _text(new))
            return new
    except Timeout:
        raise OSError(f"{file} is locked by another process") from None


def _change_in_bucket(file: str, update: Callable[[Aliases], Aliases]) -> Aliases:
    bucket = _bucket(file)
    for _ in range(_TRIES):
        content, tag = bucket.read_tagged(file)
        new = update(_parsed(file, content))
        if bucket.write_tagged(file, _text(new), tag):
            return new
    raise OSError(f"{file} is changed by other processes all the time")


def _bucket(file: str) -> ModuleType:
    return s3 if s3.is_s3(file) else gcs


def _local(file: str) -> bytes | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would wait forever
    except FileNotFoundError:
        if Path(file).is_symlink():
            raise  # for example to a disk that is not mounted
        return None
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DamagedAliases(f"{file} is no regular file")
        content = opened.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise DamagedAliases(f"{file} has more than {_LARGEST:,} bytes")
    return content


def _replace(file: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as part:
            part.write(content)
            part.flush()
            os.fchmod(descriptor, _MODE)
            os.fsync(descriptor)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _text(aliases: Aliases) -> bytes:
    return (json.dumps(dict(sorted(aliases.items())), indent=2) + "\n").encode()


def _parsed(file: str, content: bytes | None) -> Aliases:
    if content is None:
        return {}
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedAliases(f"{file} is no JSON: {error}") from None
    pairs = value.items() if isinstance(value, dict) else [("", None)]
    if wrong := [(name, number) for name, number in pairs if not (is_name(name) and _is_version(number))]:
        raise DamagedAliases(f'{file}: expected {{"ALIAS": VERSION, …}}, received {str(dict(wrong))[:100]}')
    return dict(value)


def _is_version(value: object) -> bool:
    return type(value) is int and 0 <= value < 10**DIGITS
