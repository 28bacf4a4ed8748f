"""Writes scikit-learn's handwritten digits, 1,797 real ones of 8 × 8 pixels, as TFRecords. They need no network.

Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

from pathlib import Path

import numpy as np

from ingest import idx_names, output
from ingest.mnist import write_shards
from ingest.split_names import EVAL, TEST, TRAIN

VERSION = 1  # part of the folder name: a new version is written again
_HELD_OUT = {TEST: 360, EVAL: 180}
_MAX = 16  # the darkest pixel


def ensure(cache: Path, image_size: int) -> Path:
    """Returns the folder of the digits' TFRecords under `cache`, writing them if they are missing.

    The three splits have equal shares of each class. `image_size` does not change the records.
    """
    folder = cache / f"digits-v{VERSION}"
    if not folder.is_dir():
        with output.atomic_folder(folder) as unfinished:
            _write(unfinished)
    return folder


def _write(folder: Path) -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images, labels = (digits.images * (255 / _MAX)).round().astype(np.uint8), digits.target
    rows = {TRAIN: np.arange(len(labels))}
    for split, count in _HELD_OUT.items():
        rows[TRAIN], rows[split] = train_test_split(
            rows[TRAIN], test_size=count, stratify=labels[rows[TRAIN]], random_state=0
        )
    for split, chosen in rows.items():
        stem = output.split_stem("digits", split)
        write_shards(folder, stem, 1, (images[chosen], labels[chosen]), dict(enumerate(idx_names.NAMES["digits"])))
