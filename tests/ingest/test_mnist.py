"""IDX files to TFRecords: all of MNIST, the names and labels of other sets, and files with wrong content."""

import gzip
import string
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import schemas
from errors import UserError
from ingest import __main__ as command_line
from ingest import idx, mnist, prepare, record_file, schema
from ingest.names import run_name
from ingest.records import splits_of_files
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


def test_the_splits_of_mnist(made, real_data):
    config = settings.load(None, made / "settings.yaml")
    name = run_name((real_data / "mnist").resolve())
    assert (config.name, config.data.image_size, config.data.channels) == (name, 28, 1)
    assert schema_file.check_schema(config.data.schema_file, config.data.classes) == made / "schema.pbtxt"
    _, files = prepare.prepare_data(None, config.data.directory, config.data.pattern, 28)
    assert [record_file.count(Path(file), 10_000) for file in files] == [5000] * 14
    data = config.data
    splits = splits_of_files(files, data.split, data.eval_fraction, data.test_fraction)
    assert Counter(splits) == {"train": 11, "eval": 1, "test": 2}


def test_every_digit_is_there_with_its_label(made, real_data):
    images, labels = _digits(sorted(made.glob("*-test-*")))
    expected_images, expected_labels = _idx(real_data, "t10k")
    assert (images == expected_images).all()
    assert (labels == expected_labels).all()

    images, labels = _digits([*sorted(made.glob("*-train-*")), *made.glob("*-eval-*")])
    expected_images, expected_labels = _idx(real_data, "train")
    assert (labels != expected_labels).any()  # shuffled

    def digits(images, labels):
        return sorted(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))

    assert digits(images, labels) == digits(expected_images, expected_labels)


def test_the_features_are_those_of_every_dataset(made):
    record = next(iter(tf.data.TFRecordDataset(str(made / "mnist-test-00-5000.tfrec")))).numpy()
    features = tf.train.Example.FromString(record).features.feature
    assert set(features) == {"image", "class", "label", "size", "one_hot_class"}
    assert features["label"].bytes_list.value[0] == b"7"
    assert list(features["size"].int64_list.value) == [28, 28]
    assert list(features["one_hot_class"].float_list.value) == [0.0] * 7 + [1.0] + [0.0] * 2


def test_the_settings_say_how_the_data_were_made(made, real_data):
    config = settings.load(mnist.PRESET, made / "settings.yaml")
    assert config.data.provenance == f"python -m ingest mnist {real_data / 'mnist'} --to {made}"
    assert (config.evaluator.min_accuracy, config.evaluator.min_class_recall) == (None, None)


def test_the_curated_schema_is_the_derived_one(made):
    curated = Path(schemas.__file__).parent / "mnist.pbtxt"
    for path in (curated, made / "schema.pbtxt"):
        assert text_format.Parse(path.read_text(), schema_pb2.Schema()) == schema.for_classes("0123456789")


def test_the_flowers_schema_is_its_own_derivation():
    flowers = text_format.Parse(schema.FLOWERS.read_text(), schema_pb2.Schema())
    assert schema.for_classes(["daisy", "dandelion", "roses", "sunflowers", "tulips"]) == flowers


IMAGES = struct.pack(">4I", 0x803, 2, 28, 28)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected an IDX file that begins with 00000803, received 0 bytes"),
        (b"<html>no such file</html>", "begins with 00000803, received 3c68746d; download it again"),
        (struct.pack(">2I", 0x801, 2) + bytes(2000), "received 00000801"),
        (IMAGES + bytes(1567), "expected the 2 × 28 × 28 bytes that its header gives, at least one, received 1,567"),
        (IMAGES + bytes(1569), "received 1,569"),
        (struct.pack(">4I", 0x803, 0, 28, 28), "received 0 bytes"),
        (struct.pack(">4I", 0x803, *[2**32 - 1] * 3), "4294967295 bytes that its header gives"),
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_files_that_are_not_idx(tmp_path, content, says, gzipped):
    path = tmp_path / ("images.gz" if gzipped else "images")
    path.write_bytes(gzip.compress(content) if gzipped else content)
    with pytest.raises(UserError, match=says):
        idx.read(path, "images")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:12], lambda data: data[:20] + b"\xff" * 9 + data[29:]]
)
def test_damaged_gzip(tmp_path, damage):
    noise = np.random.default_rng(0).integers(0, 256, 1568, np.uint8).tobytes()
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(IMAGES + noise)))
    with pytest.raises(UserError, match="images.gz cannot be used: expected"):
        idx.read(path, "images")
    path.write_bytes(b"not gzip")
    with pytest.raises(UserError, match="expected a complete gzip file, received Not a gzipped file"):
        idx.read(path, "images")


def _write(folder: Path, train: list[int], test: list[int], names: str = "{part}-{content}-idx{n}-ubyte") -> Path:
    """Writes IDX files of 3 × 2 pixels; an image's first row is its label, then zeros."""
    folder.mkdir(exist_ok=True)
    for part, labels in (("train", train), ("t10k" if names.startswith("{part}") else "test", test)):
        pixels = np.zeros((len(labels), 3, 2), np.uint8)
        pixels[:, 0, :] = np.array(labels)[:, None]
        contents = {"images": struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes()}
        contents["labels"] = struct.pack(">2I", 0x801, len(labels)) + bytes(labels)
        for content, data in contents.items():
            path = folder / names.format(part=part, content=content, n={"images": 3, "labels": 1}[content])
            path.write_bytes(gzip.compress(data) if path.suffix.lower() == ".gz" else data)
    return folder


def _examples(folder: Path, split: str) -> list[dict]:
    found = tf.data.TFRecordDataset(sorted(map(str, folder.glob(f"*-{split}-*"))))
    return [tf.train.Example.FromString(record.numpy()).features.feature for record in found]


@pytest.mark.parametrize(
    "names",
    [
        "{part}-{content}-idx{n}-ubyte",
        "{part}-{content}-idx{n}-ubyte.gz",
        "{part}-{content}.idx{n}-ubyte",
        "{part}_{content}.idx{n}_ubyte.GZ",
    ],
)
def test_names_that_other_tools_give(tmp_path, names):
    source = _write(tmp_path / "in", [0, 1] * 12, [1, 0, 0], names)
    assert command_line.main(["mnist", str(source), "--to", str(tmp_path / "test-set")]) == 0
    written = sorted(path.name for path in (tmp_path / "test-set").glob("*.tfrec"))
    assert written == ["photos-eval-00-2.tfrec", "photos-test-00-3.tfrec", "photos-train-00-22.tfrec"]
    config = settings.load(None, tmp_path / "test-set" / "settings.yaml")
    assert (config.data.classes, config.data.image_size) == (("0", "1"), 16)  # 3 pixels, below the smallest image_size
    assert config.trainer.batch_size == 16  # of 22 training images
    assert [each["class"].int64_list.value[0] for each in _examples(tmp_path / "test-set", "test")] == [1, 0, 0]
    assert _examples(tmp_path / "test-set", "test")[0]["size"].int64_list.value == [3, 2]


def test_letters_begin_at_1_and_lie_on_their_side(tmp_path):
    source = _write(tmp_path / "in", [*range(1, 27)] * 2, [26, 1], "emnist-letters-{part}-{content}-idx{n}-ubyte.gz")
    assert command_line.main(["mnist", str(source), "--to", str(tmp_path / "out")]) == 0
    assert settings.load(None, tmp_path / "out" / "settings.yaml").data.classes == tuple(string.ascii_uppercase)
    last, first = _examples(tmp_path / "out", "test")
    assert (last["class"].int64_list.value[0], last["label"].bytes_list.value[0]) == (25, b"Z")
    assert first["class"].int64_list.value[0] == 0
    pixels = tf.io.decode_png(last["image"].bytes_list.value[0]).numpy()[..., 0]
    assert pixels.tolist() == [[26, 0, 0], [26, 0, 0]]  # the stored rows are columns


def test_a_mapping_file_names_the_classes(tmp_path):
    source = _write(tmp_path / "in", [3, 7] * 6, [3, 7], "shapes-{part}-{content}-idx{n}-ubyte")
    (source / "shapes-mapping.txt").write_text("3 9675 9711\n7 9651\n")
    assert command_line.main(["mnist", str(source), "--to", str(tmp_path / "out")]) == 0
    assert settings.load(None, tmp_path / "out" / "settings.yaml").data.classes == ("○", "△")
    (source / "shapes-mapping.txt").write_text("3 circle")
    with pytest.raises(UserError, match="shapes-mapping.txt cannot be used: expected lines with a label"):
        mnist.make(source, tmp_path / "other", 0, "")


def test_the_names_of_fashion_mnist(tmp_path, capsys):
    source = _write(tmp_path / "in", [*range(10)] * 2, [0])
    arguments = ["mnist", str(source), "--names", "fashion", "--to"]
    assert command_line.main([*arguments, str(tmp_path / "out")]) == 0
    classes = settings.load(None, tmp_path / "out" / "settings.yaml").data.classes
    assert (classes[0], classes[9]) == ("T-shirt/top", "Ankle boot")
    _write(source, [*range(11)] * 2, [0])
    assert command_line.main([*arguments, str(tmp_path / "other")]) == 2
    assert "expected labels from 0 to 9, which have names; received 10" in capsys.readouterr().err


def test_several_data_sets_in_one_folder(tmp_path, capsys):
    for name in ("emnist-digits", "emnist-mnist"):
        _write(tmp_path / "in", [0, 1] * 6, [0], name + "-{part}-{content}-idx{n}-ubyte.gz")
    arguments = ["mnist", str(tmp_path / "in"), "--to", str(tmp_path / "out")]
    assert command_line.main(arguments) == 2
    assert "received emnist-digits, emnist-mnist; choose one (--dataset NAME)" in capsys.readouterr().err
    assert command_line.main([*arguments, "--dataset", "letters"]) == 2
    assert "lacks the images of train, labels of train" in (said := capsys.readouterr().err)
    assert "it contains emnist-digits, emnist-mnist" in said
    assert command_line.main([*arguments, "--dataset", "emnist-mnist"]) == 0


def test_missing_files(real_data, tmp_path, capsys):
    for path in (real_data / "mnist").glob("t10k*"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "train-labels-idx1-ubyte").mkdir()  # as an archive that was unpacked into a folder of its own
    assert command_line.main(["mnist", str(tmp_path), "--to", str(tmp_path / "out")]) == 2
    assert "lacks the images of train, labels of train. Expected the four files" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="cannot read .*nowhere: No such file"):
        idx.find(tmp_path / "nowhere", None)


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        ([0] * 20, [0], "expected at least 2 labels with 2 images each, received 20 images with 1 labels"),
        ([0, 1, 0], [0], "received 3 images with 2 labels"),
        ([0, 1] * 6, [0, 10], "expected the labels of the training images, received also 10"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, train, test, says):
    with pytest.raises(UserError, match=says):
        mnist.make(_write(tmp_path / "in", train, test), tmp_path / "out", 0, "")


def test_another_number_of_labels_than_images(tmp_path):
    source = _write(tmp_path / "in", [0, 1] * 6, [0, 1])
    (source / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 1) + b"0")
    with pytest.raises(UserError, match="expected a label for each of the 2 images, received 1 labels"):
        mnist.make(source, tmp_path / "out", 0, "")
