"""scikit-learn's digits as TFRecords, without a network."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from ingest import digits
from ingest.example_proto import Example
from ingest.records import splits_of_files
from pipeline import settings


def _read(folder, split):
    (path,) = folder.glob(f"*-{split}-*.tfrec")
    found = [Example.FromString(record.numpy()).features.feature for record in tf.data.TFRecordDataset(str(path))]
    images = [np.asarray(Image.open(io.BytesIO(each["image"].bytes_list.value[0]))) for each in found]
    return images, [each["class"].int64_list.value[0] for each in found]


def test_each_digit_is_in_one_split_with_its_label(tmp_path):
    folder = digits.ensure(tmp_path, 16)
    written = {split: _read(folder, split) for split in ("train", "eval", "test")}
    assert {split: len(labels) for split, (_, labels) in written.items()} == {"train": 1257, "eval": 180, "test": 360}
    for _, labels in written.values():
        shares = np.bincount(labels) / len(labels)
        assert len(shares) == 10 and (abs(shares - 0.1) < 0.01).all()
    source = load_digits()
    expected = sorted(
        (label, *np.rint(image * 255 / 16).ravel()) for image, label in zip(source.images, source.target, strict=True)
    )
    received = [(label, *image.ravel()) for split in written.values() for image, label in zip(*split, strict=True)]
    assert sorted(received) == expected


def test_the_folder_is_written_once_and_always_the_same(tmp_path):
    first, other = digits.ensure(tmp_path / "a", 16), digits.ensure(tmp_path / "b", 32)
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (first, other)]
    assert contents[0] == contents[1]
    assert digits.ensure(tmp_path / "a", 16) == first
    data = settings.load("digits").data
    splits = splits_of_files(sorted(contents[0]), data.split, data.eval_fraction, data.test_fraction)
    assert splits == ["eval", "test", "train"]
