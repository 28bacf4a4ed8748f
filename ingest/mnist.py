"""Converts MNIST's IDX files to TFRecords.

The format: http://yann.lecun.com/exdb/mnist/ (big-endian, magic number, shape).
"""

import gzip
import io
import random
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from errors import UserError
from ingest import output, records
from ingest.names import safe_name

CLASSES = tuple("0123456789")
SIZE = 28
TRAIN, TEST = 60_000, 10_000
PER_SHARD = 5_000
PRESET = "mnist-cnn"
EVAL_FRACTION = 0.143  # 2 of 14 shards, the 10,000 digits of t10k
_PNG_LEVEL = 1  # 84 µs and 280 bytes a digit; 0: 57 µs, 880 bytes; 6: 105 µs, 271 bytes


def make(source: Path, target: Path, seed: int, command: str) -> output.WrittenDataset:
    """Writes MNIST to `target` as 14 shards, a schema and settings.

    The two shards of the t10k files come first by name, in the files' order; the training digits are shuffled by
    `seed`.

    Raises:
      UserError: when an IDX file is missing or not from MNIST, or `target` cannot be written.
    """
    source, target = source.expanduser().resolve(), target.expanduser().resolve()
    output.check_free(target)
    test, train = _read_part(source, "t10k", TEST), _read_part(source, "train", TRAIN)
    order = list(range(TRAIN))
    random.Random(seed).shuffle(order)
    stem = safe_name(target.name)
    data = {"classes": list(CLASSES), "image_size": SIZE, "channels": 1, "eval_fraction": EVAL_FRACTION}
    with output.dataset_folder(target) as folder:
        _write(folder, f"{stem}-t10k", *test, range(TEST))  # before "train" by name
        _write(folder, f"{stem}-train", *train, order)
        output.write_settings(folder, source, target, command, data, PRESET)
    counts = Counter(map(int, [*test[1], *train[1]]))
    shards = (TRAIN + TEST) // PER_SHARD
    return output.WrittenDataset({name: counts[label] for label, name in enumerate(CLASSES)}, shards)


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the content of an IDX file, gzipped if its name ends in .gz, as uint8 of `shape`.

    Raises:
      UserError: when the file has another type or shape, or another length than its header says.
    """
    magic = 0x800 | len(shape)  # 0x08: unsigned bytes; then the number of dimensions
    expected = struct.pack(f">{1 + len(shape)}I", magic, *shape)
    size = int(np.prod(shape))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header, body = file.read(len(expected)), file.read(size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _not_idx(path, "a complete gzip file", str(error)) from None
    except OSError as error:
        raise UserError(f"cannot read {output.printable(path)}: {error.strerror}") from None
    if header != expected:
        raise _not_idx(path, f"an IDX file of {_described(expected)}", _described(header))
    if len(body) != size:
        received = f"{len(body):,}" if len(body) < size else "more"
        raise _not_idx(path, f"{size:,} bytes after the header", received)
    return np.frombuffer(body, np.uint8).reshape(shape)


def _read_part(source: Path, part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    images = read_idx(_find(source, f"{part}-images-idx3-ubyte"), (count, SIZE, SIZE))
    path = _find(source, f"{part}-labels-idx1-ubyte")
    labels = read_idx(path, (count,))
    if labels.max() >= len(CLASSES):
        raise _not_idx(path, "labels from 0 to 9", str(labels.max()))
    return images, labels


def _find(source: Path, name: str) -> Path:
    for path in (source / name, source / f"{name}.gz"):
        if path.is_file():
            return path
    raise UserError(
        f"{output.printable(source)} contains neither {name} nor {name}.gz; expected the four files of MNIST: images "
        "(idx3) and labels (idx1) of train and t10k"
    )


def _described(header: bytes) -> str:
    if len(header) < 4:
        return f"{len(header)} bytes"
    magic, *shape = struct.unpack(f">{len(header) // 4}I", header[: len(header) // 4 * 4])
    return f"magic number {magic:#06x} and shape {' × '.join(map(str, shape))}"


def _not_idx(path: Path, expected: str, received: str) -> UserError:
    return UserError(
        f"{output.printable(path)} is not the MNIST file: expected {expected}, received {received}; download it again"
    )


def _write(folder: Path, stem: str, images: np.ndarray, labels: np.ndarray, order: Sequence[int]) -> None:
    from ingest.examples import make_example

    shards = [order[start : start + PER_SHARD] for start in range(0, len(order), PER_SHARD)]
    names = output.shard_names(stem, [len(shard) for shard in shards])
    for name, shard in track(list(zip(names, shards, strict=True)), description=f"writing {stem}"):
        with (folder / name).open("wb") as file:
            for index in shard:
                example = make_example(_png(images[index]), int(labels[index]), CLASSES, (SIZE, SIZE))
                records.write_record(file, example.SerializeToString(deterministic=True))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()
