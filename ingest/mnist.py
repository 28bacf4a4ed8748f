"""Converts the IDX files of MNIST, and of data sets in its format, to TFRecords."""

import io
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from errors import UserError
from ingest import idx, idx_names, output
from ingest.examples import make_example
from ingest.names import printable
from ingest.record_file import write_record
from ingest.split_names import EVAL, SPLITS, TEST, TRAIN

PER_SHARD = 5_000
PRESET = "mnist-cnn"
_EVAL_PART = 12  # 1/12 of the training images is held out to choose the epoch: 5,000 of MNIST's 60,000
_SIDES = (16, 1024)  # the limits of data.image_size
_PNG_LEVEL = 1  # 84 µs and 280 bytes a digit; 0: 57 µs, 880 bytes; 6: 105 µs, 271 bytes

Labelled = tuple[np.ndarray, np.ndarray]  # images (count × height × width) and labels (count), both uint8


def make(
    source: Path, target: Path, seed: int, command: str, names: str | None = None, dataset: str | None = None
) -> output.WrittenDataset:
    """Writes the images to `target` in shards of at most PER_SHARD, with a schema and settings.

    The test files are the split `test`, in their order. The training images are shuffled by `seed`; the last twelfth is
    the split `eval`.

    Args:
      source: a folder with the four IDX files.
      target: a new or empty folder.
      seed: the seed of the shuffle.
      command: recorded in the settings.
      names: a key of `idx_names.NAMES`; None for the names in the set's mapping file, EMNIST's names, or the labels.
      dataset: the name of the set in its files' names, if the folder contains several.

    Raises:
      UserError: when an IDX file is missing or damaged, the labels do not fit, or `target` cannot be written.
    """
    source, target = source.expanduser().resolve(), target.expanduser().resolve()
    output.check_free(target)
    found = idx.find(source, dataset)
    train, test = _read(found, TRAIN), _read(found, TEST)
    labels = _labels(found, names, train[1], test[1])
    parts = _split(train, test, seed)
    shards = {split: -(-len(parts[split][1]) // PER_SHARD) for split in SPLITS}
    data = {
        "classes": list(labels.values()),
        "image_size": int(np.clip(max(train[0].shape[1:]), *_SIDES)),
        "channels": 1,
        "provenance": printable(command),
    }
    with output.dataset_folder(target) as folder:
        for split, part in parts.items():
            write_shards(folder, output.split_stem(target.name, split), shards[split], part, labels)
        output.write_settings(folder, source, target, command, data, PRESET, output.fitting_batch(len(parts[TRAIN][1])))
    counts = Counter(np.concatenate([train[1], test[1]]).tolist())
    splits = {split: len(part[1]) for split, part in parts.items()}
    by_class = {name: counts[label] for label, name in labels.items()}
    return output.WrittenDataset(by_class, sum(shards.values()), splits=splits)


def _split(train: Labelled, test: Labelled, seed: int) -> dict[str, Labelled]:
    """Returns the images and labels of each split."""
    order = list(range(len(train[1])))
    random.Random(seed).shuffle(order)
    held_out = max(1, len(order) // _EVAL_PART)
    chosen = {TRAIN: order[:-held_out], EVAL: order[-held_out:]}
    return {split: (train[0][rows], train[1][rows]) for split, rows in chosen.items()} | {TEST: test}


def _read(found: idx.Dataset, split: str) -> Labelled:
    """Returns the images and labels of the files of `train` or `test`."""
    path, labels_path = found.files[split, "images"], found.files[split, "labels"]
    images, labels = idx.read(path, "images"), idx.read(labels_path, "labels")
    if len(images) != len(labels):
        raise idx.not_usable(labels_path, f"a label for each of the {len(images):,} images", f"{len(labels):,} labels")
    return images.swapaxes(1, 2) if idx_names.is_transposed(found.name) else images, labels


def _labels(found: idx.Dataset, names: str | None, train: np.ndarray, test: np.ndarray) -> dict[int, str]:
    """Returns the name of each label of the training images, by label in ascending order.

    Raises:
      UserError: when there is only one label, a test image has a label that no training image has, or a label has no
        name.
    """
    values = np.unique(train).tolist()
    if len(values) < 2 or len(train) < 2 * len(values):
        received = f"{len(train):,} images with {len(values)} labels"
        raise idx.not_usable(found.files[TRAIN, "labels"], "at least 2 labels with 2 images each", received)
    if extra := sorted(set(np.unique(test).tolist()) - set(values)):
        raise idx.not_usable(found.files[TEST, "labels"], "the labels of the training images", f"also {extra[0]}")
    known = dict(enumerate(idx_names.NAMES[names])) if names else _mapping(found) or idx_names.names_of(found.name)
    if known and (unnamed := sorted(set(values) - set(known))):
        raise UserError(
            f"expected labels from {min(known)} to {max(known)}, which have names; received {unnamed[0]}. "
            "Choose other names, or none"
        )
    return {label: known.get(label, str(label)) for label in values}


def _mapping(found: idx.Dataset) -> dict[int, str]:
    """Returns the names in the data set's mapping file by label; {} without such a file.

    Each line contains a label and the code points of the characters with this label.
    """
    path = found.files[TRAIN, "labels"].parent / f"{found.name}-mapping.txt"
    if not path.is_file():
        return {}
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {int(label): chr(int(code)) for label, code, *_ in lines}
    except (ValueError, OverflowError):
        raise idx.not_usable(path, "lines with a label and a code point, such as '1 65'", "other text") from None


def write_shards(folder: Path, stem: str, shards: int, part: Labelled, classes: Mapping[int, str]) -> None:
    """Writes a split to shards of equal size; `classes` has the name of each label in the order of the classes."""
    (images, labels), names, numbers = part, list(classes.values()), {label: i for i, label in enumerate(classes)}
    size = images.shape[1], images.shape[2]
    rows = np.array_split(np.arange(len(images)), shards)
    named = list(zip(output.shard_names(stem, [len(each) for each in rows]), rows, strict=True))
    for name, chosen in track(named, description=f"writing {stem.strip('-')}"):
        with (folder / name).open("wb") as file:
            for row in chosen:
                example = make_example(_png(images[row]), numbers[int(labels[row])], names, size)
                write_record(file, example.SerializeToString(deterministic=True))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()
