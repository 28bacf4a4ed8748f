"""Finds and reads the IDX files of MNIST and of data sets in its format.

The format: http://yann.lecun.com/exdb/mnist/ (big-endian, magic number, shape).
"""

import gzip
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from errors import UserError
from ingest import output
from ingest.idx_names import FILE
from ingest.split_names import TEST, TRAIN, split_of

UNNAMED = "mnist"  # the name of files without a prefix, as those of MNIST, Fashion-MNIST and KMNIST
_DIMENSIONS = {"images": 3, "labels": 1}
_CONTENTS = [(split, content) for split in (TRAIN, TEST) for content in _DIMENSIONS]


class Dataset(NamedTuple):
    """A data set: its name in the names of its files, and each file by (split, "images" or "labels")."""

    name: str
    files: Mapping[tuple[str, str], Path]


def find(source: Path, name: str | None) -> Dataset:
    """Returns the four IDX files of a folder, under the names that MNIST, EMNIST and other tools give them.

    Args:
      source: the folder.
      name: the data set's name, if the folder contains several.

    Raises:
      UserError: when files are missing, or the folder contains several data sets and `name` is none of them.
    """
    found = _datasets(source)
    name = name or (next(iter(found)) if len(found) == 1 else None)
    if name is None and found:
        raise UserError(
            f"expected the files of one data set in {output.printable(source)}, received "
            f"{output.printable(', '.join(found))}; choose one (--dataset NAME)"
        )
    files = found.get(name or UNNAMED, {})
    if missing := [f"{content} of {split}" for split, content in _CONTENTS if (split, content) not in files]:
        others = f"; it contains {output.printable(', '.join(found))}" if found and not files else ""
        raise UserError(
            f"{output.printable(source)} lacks the {', '.join(missing)}{others}. Expected the four files of a data "
            "set, such as train-images-idx3-ubyte.gz: images (idx3) and labels (idx1) of train and of t10k or test"
        )
    return Dataset(name or UNNAMED, files)


def read(path: Path, content: str) -> np.ndarray:
    """Returns a file's content as uint8, gzipped if its name ends in .gz.

    Args:
      path: the file.
      content: "images" (count × height × width) or "labels" (count).

    Raises:
      UserError: when the file has another type or number of dimensions, or another length than its header says.
    """
    dimensions = _DIMENSIONS[content]
    magic = 0x800 | dimensions  # 0x08: unsigned bytes
    length = 4 * (1 + dimensions)
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            header, body = file.read(length), file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise not_usable(path, "a complete gzip file", str(error)) from None
    except OSError as error:
        raise UserError(f"cannot read {output.printable(path)}: {error.strerror}") from None
    if len(header) < length or header[:4] != struct.pack(">I", magic):
        received = f"{header[:4].hex()}" if len(header) == length else f"{len(header)} bytes"
        raise not_usable(path, f"an IDX file that begins with {magic:08x}", received)
    shape = struct.unpack(f">{dimensions}I", header[4:])
    size = int(np.prod(shape, dtype=object))
    if len(body) != size or not size:
        what = " × ".join(map(str, shape))
        raise not_usable(path, f"the {what} bytes that its header gives, at least one", f"{len(body):,} bytes")
    return np.frombuffer(body, np.uint8).reshape(shape)


def not_usable(path: Path, expected: str, received: str) -> UserError:
    """Returns the error for a file whose content cannot be used."""
    return UserError(
        f"{output.printable(path)} cannot be used: expected {expected}, received {received}; download it again"
    )


def _datasets(source: Path) -> dict[str, dict[tuple[str, str], Path]]:
    """Returns the files of each data set; of several files with the same content, the first by name."""
    found: dict[str, dict[tuple[str, str], Path]] = {}
    try:
        files = sorted(path for path in source.iterdir() if path.is_file())
    except OSError as error:
        raise UserError(f"cannot read {output.printable(source)}: {error.strerror}") from None
    for path in files:
        if match := FILE.fullmatch(path.name):
            split = split_of(match["part"])
            content = re.split("[-_.]", match["content"].lower())[0]
            found.setdefault((match["dataset"] or UNNAMED).lower(), {}).setdefault((str(split), content), path)
    return found
