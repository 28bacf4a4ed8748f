"""Which record files belong to which split, and what is said about the splits before a run."""

import pytest

from errors import UserError
from ingest import data_checks
from ingest.records import splits_of_files
from tests.helpers import records


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Four files of 20 records each."""
    records.folder(tmp_path, shards=4, per_shard=20)
    return sorted(map(str, tmp_path.iterdir()))


def test_a_batch_that_the_training_split_does_not_fill(files):
    by_shard = ["test", "eval", "train", "train"]
    data_checks.check_batches(files, by_shard, {"trainer.batch_size": 40})
    data_checks.check_batches(files, [], {"trainer.batch_size": 80})
    for splits, setting, says in (
        (by_shard, "trainer.batch_size", r"at most 40, the examples of the training split; .*=40\) or give more data"),
        ([], "trainer.batch_size", r"at most 80, the examples of all splits; received 81. Lower it .*=40\)"),
        (by_shard, "tuner.search", r"at most 40, .* received 81. Lower it or give more data"),
    ):
        with pytest.raises(UserError, match=rf"{setting}: expected a batch of {says}"):
            data_checks.check_batches(files, splits, {setting: 81})


@pytest.mark.parametrize(
    ("counts", "held_out"),
    [([10] * 2, "50% of the data"), ([10] * 3, ""), ([10] * 4, "50% of the data"), ([10] * 8, ""), ([10] * 16, ""),
     ([1, 99, 99], "1% of the data")],
)  # fmt: skip
def test_shards_that_hold_out_another_share_say_so(counts, held_out, tmp_path):
    example = records.example()
    files = [str(records.write(tmp_path / f"{index}.tfrec", [example] * count)) for index, count in enumerate(counts)]
    notice = data_checks.split_notice(files, splits_of_files(files, "shards", 0.125, 0.19), 0.315)
    assert (held_out in notice and "--set data.split=hash" in notice) if held_out else notice == ""


@pytest.mark.parametrize(
    ("files", "fractions", "test", "eval_"),
    [(16, (0.125, 0.19), 3, 2), (8, (0.125, 0.19), 2, 1), (100, (0.125, 0.19), 19, 12), (4, (0.125, 0.19), 1, 1),
     (3, (0.125, 0.19), 0, 1), (2, (0.125, 0.19), 0, 1), (16, (0.125, 0), 0, 2), (16, (0.01, 0.01), 1, 1)],
)  # fmt: skip
def test_the_first_shards_are_held_out(files, fractions, test, eval_):
    """The codelab's 16 shards: its three held-out shards are judged, the next two choose the epoch."""
    paths = [f"flowers{index:02}-230.tfrec" for index in range(files)]
    expected = ["test"] * test + ["eval"] * eval_ + ["train"] * (files - test - eval_)
    assert splits_of_files(paths, "shards", *fractions) == splits_of_files(paths, "auto", *fractions) == expected
    assert splits_of_files(paths, "hash", *fractions) == []


def test_splits_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(UserError, match="3 of 3 shards .* none is left to train on; hold out fewer"):
        splits_of_files(["a", "b", "c"], "shards", 0.9, 0.05)
    with pytest.raises(UserError, match="1 of 1 shards .* none is left to train on; split by record"):
        splits_of_files(["a"], "shards", 0.125, 0.19)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("test-0.tfrec", "train-0.tfrec", "train-1.tfrec", "validation-0.tfrec"), ["test", "train", "train", "eval"]),
        (("cats-train.tfrecord-00000-of-00001", "cats-val.tfrecord-00000-of-00001"), ["train", "eval"]),
        (("t10k-00.tfrec", "train-00.tfrec"), ["eval", "train"]),  # without an eval split, test chooses the epoch
        (("test-0.tfrec", *(f"train-{index}.tfrec" for index in range(4))), ["test", "eval", *["train"] * 3]),
    ],
)
def test_a_split_in_the_names_of_all_files_is_kept(names, expected):
    paths = [f"/train/{name}" for name in names]  # the folder's name does not count
    assert splits_of_files(paths, "auto", 0.125, 0.19) == splits_of_files(paths, "names", 0.125, 0.19) == expected
    others = [*paths, "/train/z.tfrec"]
    assert splits_of_files(others, "auto", 0.125, 0.19) == splits_of_files(others, "shards", 0.125, 0.19)
    with pytest.raises(UserError, match="expected a split in each file name, .* received /train/z.tfrec"):
        splits_of_files(others, "names", 0.125, 0.19)


@pytest.mark.parametrize(("name", "missing"), [("train", "eval"), ("validation", "train"), ("test", "train")])
def test_names_without_a_split_to_train_on_or_to_evaluate_are_refused(name, missing):
    paths = [f"{name}-{index}.tfrec" for index in range(4)]
    with pytest.raises(UserError, match=f"no file name states {missing}; rename"):
        splits_of_files(paths, "names", 0.125, 0.19)
    # such as TF-Slim's flowers_train_00000-of-00005.tfrecord alone
    assert splits_of_files(paths, "auto", 0.125, 0.19) == ["test", "eval", "train", "train"]


def test_empty_shards_are_not_held_out():
    files = [f"o-{index:05d}-of-00010" for index in range(10)]
    splits = splits_of_files(files, "auto", 0.125, 0.19, empty=files[:3] + files[5:6])
    assert splits == ["train"] * 3 + ["test", "eval"] + ["train"] * 5
