"""MNIST's IDX files to TFRecords: the complete set, and files with wrong content."""

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import schemas
from errors import UserError
from ingest import __main__ as command_line
from ingest import mnist, prepare, schema
from ingest.names import run_name
from ingest.records import held_out_shards
from pipeline import schema_file, settings


@pytest.fixture(scope="module")
def made(real_data, tmp_path_factory) -> Path:
    """All of MNIST, made as a person makes it."""
    folder = tmp_path_factory.mktemp("made") / "mnist"
    assert command_line.main(["mnist", str(real_data / "mnist"), "--to", str(folder)]) == 0
    return folder


def _digits(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    spec = {"image": tf.io.FixedLenFeature([], tf.string), "class": tf.io.FixedLenFeature([], tf.int64)}

    def read(record):
        example = tf.io.parse_single_example(record, spec)
        return tf.io.decode_png(example["image"])[..., 0], example["class"]

    digits = tf.data.TFRecordDataset([str(path) for path in paths]).map(read, tf.data.AUTOTUNE).batch(10_000)
    images, labels = zip(*digits.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _idx(real_data: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images = gzip.decompress((real_data / "mnist" / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((real_data / "mnist" / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(labels, np.uint8, offset=8)


def test_the_settings_hold_out_what_mnist_holds_out(made, real_data):
    config = settings.load(None, made / "settings.yaml")
    assert (config.name, config.data.image_size, config.data.channels) == (
        run_name((real_data / "mnist").resolve()),
        28,
        1,
    )
    assert schema_file.check_schema(config.data.schema_file, 10) == made / "schema.pbtxt"
    _, shards = prepare.prepare_data(None, config.data.directory, config.data.pattern, 28)
    assert [shard.records for shard in shards] == [5000] * 14
    held_out = shards[: held_out_shards(len(shards), config.data.eval_fraction)]
    assert [shard.path.name for shard in held_out] == ["mnist-t10k00-5000.tfrec", "mnist-t10k01-5000.tfrec"]


def test_every_digit_is_there_with_its_label(made, real_data):
    images, labels = _digits(sorted(made.glob("*-t10k*")))
    expected_images, expected_labels = _idx(real_data, "t10k")
    assert (images == expected_images).all()
    assert (labels == expected_labels).all()

    images, labels = _digits(sorted(made.glob("*-train*")))
    expected_images, expected_labels = _idx(real_data, "train")
    assert (labels != expected_labels).any()  # shuffled

    def digits(images, labels):
        return sorted(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))

    assert digits(images, labels) == digits(expected_images, expected_labels)


def test_the_features_are_those_of_every_dataset(made):
    record = next(iter(tf.data.TFRecordDataset(str(made / "mnist-t10k00-5000.tfrec")))).numpy()
    features = tf.train.Example.FromString(record).features.feature
    assert set(features) == {"image", "class", "label", "size", "one_hot_class"}
    assert features["label"].bytes_list.value[0] == b"7"
    assert list(features["size"].int64_list.value) == [28, 28]
    assert list(features["one_hot_class"].float_list.value) == [0.0] * 7 + [1.0] + [0.0] * 2


def test_the_curated_schema_is_the_derived_one(made):
    curated = Path(schemas.__file__).parent / "mnist.pbtxt"
    for path in (curated, made / "schema.pbtxt"):
        assert text_format.Parse(path.read_text(), schema_pb2.Schema()) == schema.for_classes(mnist.CLASSES)


def test_the_flowers_schema_is_its_own_derivation():
    flowers = text_format.Parse(schema.FLOWERS.read_text(), schema_pb2.Schema())
    assert schema.for_classes(["daisy", "dandelion", "roses", "sunflowers", "tulips"]) == flowers


IMAGES = struct.pack(">4I", 0x803, 2, 28, 28)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "received 0 bytes"),
        (b"<html>no such file</html>", "expected an IDX file of magic number 0x0803 and shape 2 × 28 × 28, received"),
        (struct.pack(">2I", 0x801, 2) + bytes(2000), "received magic number 0x0801 and shape 2"),
        (struct.pack(">4I", 0x803, 3, 28, 28) + bytes(3 * 784), "and shape 3 × 28 × 28; download it again"),
        (struct.pack(">4I", 0x803, 2, 32, 32) + bytes(2 * 1024), "and shape 2 × 32 × 32"),
        (IMAGES + bytes(1567), "expected 1,568 bytes after the header, received 1,567"),
        (IMAGES + bytes(1569), "received more"),
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_files_that_are_not_mnist(tmp_path, content, says, gzipped):
    path = tmp_path / ("images.gz" if gzipped else "images")
    path.write_bytes(gzip.compress(content) if gzipped else content)
    with pytest.raises(UserError, match=says):
        mnist.read_idx(path, (2, 28, 28))


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:12], lambda data: data[:20] + b"\xff" * 9 + data[29:]]
)
def test_damaged_gzip(tmp_path, damage):
    noise = np.random.default_rng(0).integers(0, 256, 1568, np.uint8).tobytes()
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(IMAGES + noise)))
    with pytest.raises(UserError, match="images.gz is not the MNIST file: expected"):
        mnist.read_idx(path, (2, 28, 28))
    path.write_bytes(b"not gzip")
    with pytest.raises(UserError, match="expected a complete gzip file, received Not a gzipped file"):
        mnist.read_idx(path, (2, 28, 28))


def test_files_without_gzip_and_files_that_are_missing(real_data, tmp_path, capsys):
    for path in (real_data / "mnist").glob("t10k*"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    code = command_line.main(["mnist", str(tmp_path), "--to", str(tmp_path / "out")])
    assert code == 2
    assert "contains neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labels_beyond_nine(real_data, tmp_path, capsys):
    shutil.copytree(real_data / "mnist", tmp_path / "in")
    path = tmp_path / "in" / "t10k-labels-idx1-ubyte.gz"
    path.chmod(0o644)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[100] = 10
    path.unlink()
    path.write_bytes(gzip.compress(bytes(content)))
    assert command_line.main(["mnist", str(tmp_path / "in"), "--to", str(tmp_path / "out")]) == 2
    assert "expected labels from 0 to 9, received 10" in capsys.readouterr().err
