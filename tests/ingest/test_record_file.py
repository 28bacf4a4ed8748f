"""Record files are read as TensorFlow writes them, and each kind of damage is named."""

import gzip
import io
import struct
import zlib

import pytest
import tensorflow as tf

from ingest import record_file
from tests.helpers import records
from tests.helpers.damage import Interrupted


def _shard(tmp_path, count=4):
    return records.write(tmp_path / "part.tfrec", [records.example(index % 5) for index in range(count)])


def _read(data: bytes) -> list[record_file.Record]:
    return list(record_file.read(io.BytesIO(data), len(data)))


def test_reads_what_tensorflow_writes(tmp_path):
    shard = _shard(tmp_path)
    expected = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    found = _read(shard.read_bytes())
    assert [record.data for record in found] == expected
    assert [(record.number, record.problem, record.lost) for record in found] == [(n, "", 0) for n in range(4)]


def test_tensorflow_reads_what_is_written(tmp_path):
    with (tmp_path / "a.tfrec").open("wb") as file:
        for data in (b"", b"x", b"y" * 70_000):
            record_file.write_record(file, data)
    assert list(tf.data.TFRecordDataset(str(tmp_path / "a.tfrec")).as_numpy_iterator()) == [b"", b"x", b"y" * 70_000]


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB"])
def test_reads_what_tensorflow_compresses(tmp_path, kind):
    data = [bytes([index]) * 100_000 for index in range(9)]
    with tf.io.TFRecordWriter(str(tmp_path / "a"), kind) as writer:
        for each in data:
            writer.write(each)
    assert [record.data for record in _read((tmp_path / "a").read_bytes())] == data
    assert [record_file.count(tmp_path / "a", most) for most in (4, 100)] == [4, 9]


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_compressed_files_can_be_joined(tmp_path, compress):
    data = compress(_shard(tmp_path).read_bytes())
    assert [record.problem for record in _read(data + data)] == [""] * 8
    assert "damaged compression" in _read(data + b"other")[-1].problem


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zlib.compress])
@pytest.mark.parametrize("readable", [0.0, 0.5, 1.0])
def test_a_failure_of_the_disk_or_the_network_is_not_damage(tmp_path, compress, readable):
    data = compress(_shard(tmp_path, 40).read_bytes())
    found = []
    with pytest.raises(OSError, match="Input/output error"):
        found.extend(record_file.read(Interrupted(data[: round(readable * len(data))]), len(data)))
    assert not any(record.problem for record in found)


def _cut(data: bytes) -> bytes:
    return data[:-30]


@pytest.mark.parametrize(
    ("damage", "says", "readable"),
    [
        (_cut, "truncated at record 3, byte ", 3),
        (lambda data: data[:-1], "truncated at record 3, byte ", 3),
        (lambda data: data + b"1234", "truncated at record 4, byte ", 4),
        (lambda data: b"<html>no such file</html>", "wrong checksum of the length; not a TFRecord file at record 0", 0),
        (lambda data: b"PK", "truncated at record 0, byte 0", 0),
        (lambda data: gzip.compress(data)[:-200], "damaged compression (Compressed file ended", None),
        (lambda data: zlib.compress(data)[:-200], "damaged compression (the zlib stream ends early)", None),
        (lambda data: gzip.compress(data)[:40] + b"\0" * 400, "damaged compression", None),
        (lambda data: gzip.compress(b"no record"), "truncated at record 0", 0),
    ],
)
def test_damage_is_named(tmp_path, damage, says, readable):
    *good, last = _read(damage(_shard(tmp_path).read_bytes()))
    assert says in last.problem
    assert not any(record.problem for record in good)
    assert readable in (None, len(good))


def test_an_empty_file_has_no_records(tmp_path):
    (tmp_path / "a").touch()
    assert _read(b"") == [] and record_file.first(tmp_path / "a") is None and record_file.count(tmp_path / "a", 9) == 0


def test_every_single_flipped_bit_is_found(tmp_path):
    whole = _shard(tmp_path, 2).read_bytes()
    for place in range(0, len(whole), 7):
        found = _read(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert sum(bool(record.problem) for record in found) == 1


def test_damaged_data_costs_one_record_and_a_damaged_length_the_rest(tmp_path):
    whole = _shard(tmp_path, 10).read_bytes()
    size = len(whole) // 10
    in_data = whole[: 2 * size + 50] + bytes([whole[2 * size + 50] ^ 1]) + whole[2 * size + 51 :]
    assert [record.number for record in _read(in_data) if record.problem] == [2]
    assert len(_read(in_data)) == 10
    in_length = whole[: 2 * size] + bytes([whole[2 * size] ^ 1]) + whole[2 * size + 1 :]
    *good, bad = _read(in_length)
    assert (len(good), bad.number, bad.lost) == (2, 2, 7)


@pytest.mark.parametrize("length", [2**31, 2**62, 2**64 - 1])
def test_an_absurd_length_with_a_right_checksum_is_refused(length):
    header = struct.pack("<Q", length)
    (bad,) = _read(header + struct.pack("<I", record_file._masked_crc(header)) + b"data")
    assert f"a length of {length:,} bytes (at most 2,147,483,647)" in bad.problem


def test_records_are_counted_without_their_data(tmp_path):
    shard = _shard(tmp_path, 6)
    assert [record_file.count(shard, most) for most in (0, 3, 6, 100)] == [0, 3, 6, 6]
    data = shard.read_bytes()
    shard.write_bytes(data[:-3])
    assert record_file.count(shard, 100) == 5


def test_the_real_shards_are_whole(real_data):
    shard = min((real_data / "flowers-192").glob("*.tfrec"))
    assert (
        record_file.count(shard, 1000)
        == sum(not record.problem for record in record_file.read(shard.open("rb")))
        == 230
    )
