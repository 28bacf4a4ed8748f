import os

import pytest
import tensorflow as tf

from errors import UserError
from ingest import prepare
from ingest.records import check_folder, count_records, list_files
from pipeline import settings
from tests.helpers import records


def test_counts_what_tensorflow_writes(tmp_path):
    folder = records.folder(tmp_path, shards=2, per_shard=7)
    assert [(shard.path.name, shard.records) for shard in check_folder(folder, "*.tfrec")] == [
        ("part0-7.tfrec", 7),
        ("part1-7.tfrec", 7),
    ]


def test_the_real_shards_are_whole(real_data):
    shards = check_folder(real_data / "flowers-192", "*.tfrec")
    assert (len(shards), sum(shard.records for shard in shards)) == (16, 3670)


def _cut(data: bytes) -> bytes:
    return data[:-30]


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2 + 60  # past the header of record 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_cut, "truncated in record 3 "),
        (lambda data: data[:-1], "truncated in record 3 "),
        (lambda data: data + b"1234", "truncated in the header of record 4 "),
        (_flip, "corrupted in record "),
        (lambda data: b"", "contains no records"),
        (lambda data: b"<html>no such file</html>", "not an uncompressed TFRecord file"),
        (lambda data: data * 2, "expected 4 records .*, received 8"),
    ],
)
def test_damage_is_named(tmp_path, damage, says):
    shard = records.write(tmp_path / "part-4.tfrec", [records.example()] * 4)
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises(ValueError, match=says):
        count_records(shard)


def test_every_single_flipped_bit_is_found(tmp_path):
    shard = records.write(tmp_path / "part.tfrec", [records.example()])
    whole = shard.read_bytes()
    for place in range(0, len(whole), 17):
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="corrupted|truncated"):
            count_records(shard)


def test_all_damaged_shards_are_listed(tmp_path):
    folder = records.folder(tmp_path)
    (folder / "part0-10.tfrec").write_bytes(b"")
    (folder / "part2-10.tfrec").write_bytes((folder / "part2-10.tfrec").read_bytes()[:-5])
    with pytest.raises(UserError, match="2 of 3 shards") as error:
        check_folder(folder, "*.tfrec")
    assert "part0-10.tfrec: contains no records" in str(error.value)
    assert "part2-10.tfrec: truncated in record 9" in str(error.value)


def test_a_missing_folder_and_a_pattern_that_matches_nothing(tmp_path):
    with pytest.raises(UserError, match="does not exist; give a folder with"):
        check_folder(tmp_path / "nowhere", "*.tfrec")
    (tmp_path / "photos.tfrecord").touch()
    with pytest.raises(UserError, match=r"matches '\*.tfrec'; it contains: photos.tfrecord. Set .*='\*.tfrec\*'$"):
        check_folder(tmp_path, "*.tfrec")
    (tmp_path / "photos.tfrecord").unlink()
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="it contains: cat, dog. If these are class .* ingest photos /.* --to DIR"):
        check_folder(tmp_path, "*.tfrec")


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


def test_the_files_of_a_bucket():
    for name in ("b.tfrec", "a.tfrec", "a.txt", ".c.tfrec"):
        with tf.io.gfile.GFile(f"ram://listed/{name}", "w") as file:
            file.write("x")
    assert list_files("ram://listed", "*.tfrec") == ["ram://listed/a.tfrec", "ram://listed/b.tfrec"]


def test_record_files_that_are_not_read_are_named(tmp_path):
    folder = records.folder(tmp_path, shards=2)
    assert prepare.unmatched_notice(folder, "*.tfrec", check_folder(folder, "*.tfrec")) == ""
    _files(folder, "z.tfrecord", "notes.txt")
    assert prepare.unmatched_notice(folder, "*.tfrec", check_folder(folder, "*.tfrec")) == (
        "skipped 1 file that '*.tfrec' (data.pattern) does not match: z.tfrecord"
    )
    _files(folder, "a/x.tfrec")
    assert prepare.unmatched_notice(folder, "*.tfrec", check_folder(folder, "*.tfrec")) == (
        "skipped 2 files that '*.tfrec' (data.pattern) does not match: z.tfrecord, a/x.tfrec"
    )


def test_pipes_are_skipped_and_a_broken_link_fails(tmp_path):
    folder = records.folder(tmp_path, shards=2)
    os.mkfifo(folder / "pipe.tfrec")  # opening a pipe would wait for a writer
    shards = check_folder(folder, "*.tfrec")
    assert [shard.path.name for shard in shards] == ["part0-10.tfrec", "part1-10.tfrec"]
    assert prepare.unmatched_notice(folder, "*.tfrec", shards) == ""
    (folder / "gone.tfrec").symlink_to("nowhere")
    with pytest.raises(OSError, match="No such file"):
        check_folder(folder, "*.tfrec")


def test_the_number_of_shards_in_a_name_is_not_a_record_count(tmp_path):
    shard = records.write(tmp_path / "train_00000-of-00003.tfrecord", [records.example()] * 4)
    assert count_records(shard) == 4


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


def test_the_real_weights_keep_their_checksum(real_data):
    file = real_data / "weights" / "xception_notop_imagenet_block14_random.h5"
    sha256 = "b7f26f3d81644f708ffcca00daed48790cc8b6ca9e33b7b80adc1ace77282611"
    assert prepare.prepare_weights(str(file), sha256, None) == file.resolve()
