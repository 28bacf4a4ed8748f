"""The record files of a folder, and the weights."""

import os

import pytest
import tensorflow as tf

from errors import UserError
from ingest import prepare
from ingest.records import list_files
from pipeline import settings
from tests.helpers import records


def _prepared(folder, pattern="*"):
    return prepare.prepare_data(None, folder, pattern, 0)


def test_a_missing_folder_and_a_pattern_that_matches_nothing(tmp_path):
    with pytest.raises(UserError, match=r"does not exist; give a folder of TFRecords \(--data DIR\)"):
        _prepared(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"matches '\*'; it contains: nothing. Give a folder of TFRecords$"):
        _prepared(tmp_path)
    _files(tmp_path, "photos.tfrecord")
    with pytest.raises(UserError, match=r"matches '\*.tfrec'; it contains: photos.tfrecord. Set .*='\*'$"):
        _prepared(tmp_path, "*.tfrec")
    (tmp_path / "photos.tfrecord").rename(tmp_path / "notes.txt")
    _files(tmp_path, "a/photos.tfrecord")
    with pytest.raises(UserError, match=r"contains: a, notes.txt. Its folders .* give one of them, or .*='\*/\*'$"):
        _prepared(tmp_path)


@pytest.mark.parametrize("names", [("cat/1.jpg", "dog/1.JPEG"), ("a.png",), ("train/cat/1.webp", "cat/1.HEIC")])
def test_a_folder_of_photos_names_the_ingest_command(tmp_path, names):
    _files(tmp_path / "my photos", *names)
    command = f"python -m ingest photos '{tmp_path}/my photos' --to DIR"
    with pytest.raises(UserError, match=f"These are photos; first run {command}"):
        _prepared(tmp_path / "my photos")


@pytest.mark.parametrize(
    "name",
    [
        "flowers00-230.tfrec",
        "a.tfrecord",
        "a.tfrecords",
        "a.tfrecord.gz",
        "tf_flowers-train.tfrecord-00000-of-00002",
        "flowers_train_00000-of-00003.tfrecord",
        "train-00007",
        "validation-00000-of-00128",
        "part-00000-of-00001",
        "test",
    ],
)
def test_the_usual_names_of_record_files_are_read(tmp_path, name):
    _files(tmp_path, name, "labels.txt", "train.csv", "readme", "data_info.json", "a.zip")
    assert _prepared(tmp_path)[1] == [str(tmp_path / name)]


def test_a_pattern_that_is_not_valid():
    with pytest.raises(UserError, match="data.pattern: expected a pattern relative"):
        settings.load("sample", None, {"data.pattern": ""})


def _files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.tfrec", ["a.tfrec", "b-2.tfrec"]),
        ("[!a]*.tfrec", ["b-2.tfrec"]),
        ("?.tfrec", ["a.tfrec"]),
        ("*/*.tfrec", ["x-1/d.tfrec", "x/c.tfrec"]),
        ("x/*", ["x/c.tfrec"]),
        ("*.TFREC", None),
        ("*", ["a.tfrec", "b-2.tfrec"]),
    ],
)
def test_the_files_of_a_pattern(tmp_path, pattern, found):
    names = ["a.tfrec", "b-2.tfrec", "x/c.tfrec", "x-1/d.tfrec", ".hidden.tfrec", ".x/e.tfrec", "x/y/f.tfrec", "a.txt"]
    _files(tmp_path, *names)
    (tmp_path / "folder.tfrec").mkdir()
    if found is None:
        with pytest.raises(UserError, match="no file in .* matches"):
            list_files(tmp_path, pattern)
        return
    files = list_files(tmp_path, pattern)
    assert files == [str(tmp_path / name) for name in found]
    assert set(files) <= set(tf.io.gfile.glob(str(tmp_path / pattern)))  # read by TFX's driver on Vertex AI


def test_partial_downloads_and_indices_are_not_shards(tmp_path):
    usual = ["a.TFRECORD", "b.tfrec.zst", "c.tfrec", "train-00007"]
    beside = ["d.tfrec.part", "e.tfrec.bak", "f.tfrec.crdownload", "g.tfrec.tmp", "h.tfrecord.index", "i-1-of-2.json"]
    _files(tmp_path, *usual, *beside)
    assert list_files(tmp_path, "*") == [str(tmp_path / name) for name in usual]
    assert list_files(tmp_path, "*.part") == [str(tmp_path / "d.tfrec.part")]


def test_what_to_do_about_other_names(tmp_path):
    _files(tmp_path / "photos", "train/cat/0.jpg", "val/cat/0.jpg")
    with pytest.raises(UserError, match=r"These are photos; first run python -m ingest photos"):
        list_files(tmp_path / "photos", "*")
    folder = records.folder(tmp_path / "records", shards=1)
    (folder / "part0-10.tfrec").rename(folder / "data.tfr")
    with pytest.raises(UserError, match=r"Set the pattern: --set data.pattern='\*.tfr'$"):
        list_files(folder, "*")
    (folder / "data.tfr").rename(folder / "data.tfr.part")
    with pytest.raises(UserError, match="Give a folder of TFRecords"):
        list_files(folder, "*")


def test_the_files_of_a_bucket():
    for name in ("b.tfrec", "a.tfrec", "a.txt", ".c.tfrec"):
        with tf.io.gfile.GFile(f"ram://listed/{name}", "w") as file:
            file.write("x")
    assert list_files("ram://listed", "*.tfrec") == ["ram://listed/a.tfrec", "ram://listed/b.tfrec"]


def test_pipes_are_skipped(tmp_path):
    folder = records.folder(tmp_path, shards=2)
    os.mkfifo(folder / "pipe.tfrec")  # opening a pipe would wait for a writer
    assert _prepared(folder)[1] == [str(folder / name) for name in ("part0-10.tfrec", "part1-10.tfrec")]


def test_weights_are_checked(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        prepare.prepare_weights(str(tmp_path / "no.h5"), None, None)
    file = tmp_path / "weights.h5"
    file.write_text("no weights")
    with pytest.raises(UserError, match=r"is neither HDF5 nor a zip; expected .h5, .weights.h5, .keras or .npz"):
        prepare.prepare_weights(str(file), None, None)
    for magic in (prepare.ZIP_MAGIC, prepare.HDF5_MAGIC):
        file.write_bytes(magic)
        assert prepare.prepare_weights(str(file), None, None) == file
    with pytest.raises(UserError, match=r"expected sha256:0000\w+ \(model.weights_sha256\), received sha256:"):
        prepare.prepare_weights(str(file), "0" * 64, None)


def test_a_folder_is_not_a_weights_file(tmp_path):
    saved = tmp_path / "model 1" / "Format-Serving"
    saved.mkdir(parents=True)
    (saved / "saved_model.pb").touch()
    with pytest.raises(
        UserError, match=r"are a SavedModel; expected a file: .*save them with Keras's model.save_weights\("
    ):
        prepare.prepare_weights(str(saved), None, None)
    (tmp_path / "model 1" / "model.weights.h5").touch()
    for given in (saved, saved.parent):
        with pytest.raises(UserError, match=r"in the file --weights '.*/model 1/model.weights.h5'$"):
            prepare.prepare_weights(str(given), None, None)
        with pytest.raises(UserError, match=r"in the file '.*/model 1/model.weights.h5' \(a\.weights\)$"):
            prepare.prepare_weights(str(given), None, None, "a.weights")


def test_the_real_weights_keep_their_checksum(real_data):
    file = real_data / "weights" / "xception_notop_imagenet_block14_random.h5"
    sha256 = "b7f26f3d81644f708ffcca00daed48790cc8b6ca9e33b7b80adc1ace77282611"
    assert prepare.prepare_weights(str(file), sha256, None) == file.resolve()
