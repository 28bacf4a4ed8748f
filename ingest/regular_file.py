"""Opens files that users name: a pipe, a device or a folder is refused, because it might never end."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_LARGEST_PHOTO = 2**30  # bytes


def opened(path: Path) -> BinaryIO:
    """Opens a file to read it.

    Raises:
      OSError: when it cannot be opened, or is not a file, after following links.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)  # O_NONBLOCK: does not wait for a pipe
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "expected a file, received a folder, a pipe or a device", str(path))
    return os.fdopen(descriptor, "rb")


def photo(path: Path) -> bytes:
    """Returns the content of a photo.

    Raises:
      OSError: as `opened`; when it is larger than 1 GiB.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST_PHOTO:
            raise OSError(errno.EFBIG, f"expected at most {_LARGEST_PHOTO:,} bytes, received {size:,}", str(path))
        return file.read()
