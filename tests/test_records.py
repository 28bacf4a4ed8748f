import pytest

from datasets import prepare
from datasets.errors import UserError
from datasets.records import check_folder, count_records, held_out_shards
from pipeline import settings
from tests import records


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
        (lambda data: b"", "holds no records"),
        (lambda data: b"<html>no such file</html>", "not an uncompressed TFRecord file"),
        (lambda data: data * 2, "its name says 4 records .*, it holds 8"),
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
    assert "part0-10.tfrec: holds no records" in str(error.value)
    assert "part2-10.tfrec: truncated in record 9" in str(error.value)


def test_a_missing_folder_and_a_pattern_that_matches_nothing(tmp_path):
    with pytest.raises(UserError, match="does not exist; give one that holds"):
        check_folder(tmp_path / "nowhere", "*.tfrec")
    (tmp_path / "photos.tfrecord").touch()
    with pytest.raises(UserError, match=r"matches '\*.tfrec'; it holds: photos.tfrecord"):
        check_folder(tmp_path, "*.tfrec")


def test_a_pattern_that_is_none():
    with pytest.raises(UserError, match=r"data.pattern: .*[Uu]nacceptable pattern|Invalid pattern"):
        settings.load("sample", None, {"data.pattern": ""})


def test_a_split_by_shards_leaves_some_to_train_on():
    prepare.check_split(2, "shards", 0.19)
    prepare.check_split(1, "hash", 0.19)
    with pytest.raises(UserError, match="3 of 3 shards .* none is left to train on; hold out fewer"):
        prepare.check_split(3, "shards", 0.9)
    with pytest.raises(UserError, match="1 of 1 shards .* none is left to train on; split by record"):
        prepare.check_split(1, "shards", 0.19)


@pytest.mark.parametrize(("shards", "held_out"), [(2, 1), (4, 1), (8, 2), (16, 3)])
def test_the_shards_held_out(shards, held_out):
    assert held_out_shards(shards, 0.19) == held_out


def test_weights_are_checked(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        prepare.prepare_weights(str(tmp_path / "no.h5"), None)
    file = tmp_path / "weights.h5"
    file.write_text("no weights")
    with pytest.raises(
        UserError, match=r"is neither HDF5 nor .npz; expected Keras weights as .h5, .weights.h5 or .npz"
    ):
        prepare.prepare_weights(str(file), None)
    for magic in (prepare.NPZ_MAGIC, prepare.HDF5_MAGIC):
        file.write_bytes(magic)
        assert prepare.prepare_weights(str(file), None) == file
    with pytest.raises(UserError, match=r"expected sha256:0000\w+ \(model.weights_sha256\), received sha256:"):
        prepare.prepare_weights(str(file), "0" * 64)


def test_the_real_weights_keep_their_checksum(real_data):
    file = real_data / "weights" / "xception_notop_imagenet_block14_random.h5"
    sha256 = "b7f26f3d81644f708ffcca00daed48790cc8b6ca9e33b7b80adc1ace77282611"
    assert prepare.prepare_weights(str(file), sha256) == file.resolve()
