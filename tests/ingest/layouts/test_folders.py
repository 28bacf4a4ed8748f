"""Layouts of folders: which label and split each file gets, and what is left out or refused."""

import os
from collections import Counter
from pathlib import Path

import pytest

from errors import UserError
from tests.helpers.layouts import find, labels, touch

FLAT = [("cat/1.png", "cat", None), ("dog/2.png", "dog", None)]
SPLIT = [("cat/1.png", "cat", "train"), ("dog/2.png", "dog", "train"), ("cat/3.png", "cat", "eval")]


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        (["cat/1.png", "dog/2.png"], {}, FLAT),
        (["cat/1.png", "dog/no ending"], {}, [FLAT[0], ("dog/no ending", "dog", None)]),
        (["train/1.png", "bus/2.png"], {}, [("bus/2.png", "bus", None), ("train/1.png", "train", None)]),
        (
            ["train/cat/1.png", "train/dog/2.png"],
            {},
            [("train/cat/1.png", "cat", None), ("train/dog/2.png", "dog", None)],
        ),
        (
            ["cat/train/1.png", "cat/val/2.png", "dog/train/3.png"],
            {},
            [
                ("cat/train/1.png", "cat", "train"),
                ("cat/val/2.png", "cat", "eval"),
                ("dog/train/3.png", "dog", "train"),
            ],
        ),
        (
            ["seg_train/cat/1.png", "seg_val2017/cat/2.png", "seg_test/cat/3.png"],
            {},
            [
                ("seg_test/cat/3.png", "cat", "test"),
                ("seg_train/cat/1.png", "cat", "train"),
                ("seg_val2017/cat/2.png", "cat", "eval"),
            ],
        ),
        (
            ["Training Set/cat/1.png", "test-set/cat/2.png"],
            {},
            [("Training Set/cat/1.png", "cat", "train"), ("test-set/cat/2.png", "cat", "test")],
        ),
        (
            ["train-set/toy/1.png", "rails/2.png"],
            {"nested": "join"},
            [("rails/2.png", "rails", None), ("train-set/toy/1.png", "train-set/toy", None)],
        ),
        (
            ["animals/cat/1.png", "animals/2.png", "plants/a/b/3.png"],
            {"nested": "join"},
            [
                ("animals/2.png", "animals", None),
                ("animals/cat/1.png", "animals/cat", None),
                ("plants/a/b/3.png", "plants/a/b", None),
            ],
        ),
        (
            ["animals/cat/1.png", "animals/2.png", "plants/a/b/3.png"],
            {"nested": "top"},
            [
                ("animals/2.png", "animals", None),
                ("animals/cat/1.png", "animals", None),
                ("plants/a/b/3.png", "plants", None),
            ],
        ),
        (
            ["train/animals/cat/1.png", "test/animals/cat/2.png"],
            {"nested": "join"},
            [("test/animals/cat/2.png", "animals/cat", "test"), ("train/animals/cat/1.png", "animals/cat", "train")],
        ),
        (
            ["train/animals/cat/1.png", "test/animals/cat/2.png"],
            {"nested": "top"},
            [("test/animals/cat/2.png", "animals", "test"), ("train/animals/cat/1.png", "animals", "train")],
        ),
    ],
)
def test_labels_and_splits(tmp_path, files, options, expected):
    entries, skipped = find(touch(tmp_path, *files), **options)
    assert labels(entries) == expected
    assert not skipped
    assert all(entry.path == tmp_path / entry.name for entry in entries)


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize(
    ("other", "split"),
    [("val", "eval"), ("valid", "eval"), ("Validation", "eval"), ("eval", "eval"), ("dev", "eval"), ("test", "test")],
)
def test_names_of_splits(tmp_path, train, other, split):
    entries, _ = find(touch(tmp_path, f"{train}/cat/1.png", f"{train}/dog/1.png", f"{other}/cat/2.png"))
    assert Counter(entry.split for entry in entries) == {"train": 2, split: 1}
    assert {entry.label for entry in entries} == {"cat", "dog"}


def test_what_is_not_a_photo_of_a_class_is_counted_and_named(tmp_path):
    touch(tmp_path, "train/cat/1.png", "val/cat/2.png", "train/dog/3.png", "train/cat/boxes/1.xml", "README.md")
    touch(tmp_path, "test/1.jpg", "test/2.jpg", "docs/guide.txt")
    touch(tmp_path, ".hidden/cat/1.png", "train/cat/.DS_Store", "__MACOSX/train/cat/._1.png", "train/@eaDir/x/1.png")
    (tmp_path / "train" / "empty").mkdir()
    os.mkfifo(tmp_path / "train" / "cat" / "pipe")
    entries, skipped = find(tmp_path)
    assert [entry.name for entry in entries] == ["train/cat/1.png", "train/dog/3.png", "val/cat/2.png"]
    assert skipped == {
        "train/cat/boxes/1.xml": "not directly in a class folder",
        "README.md": "not directly in a class folder",
        "test": "2 files that are not directly in a class folder",
        "docs/guide.txt": "not directly in a class folder",
        "train/empty": "an empty folder",
        "train/cat/pipe": "not a file",
    }


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["a/cat/1.png", "a/dog/1.png"], r"2 are in .* a/cat/1.png. If a contains .*--nested join, .*--nested top"),
        (["a/cat/1.png", "b/1.png"], r"1 are in folders inside them, such as a/cat/1.png. For a class"),
        (["train/cat/1.png", "bus/suv/1.png"], "received both: train and bus. Move one"),
        (["train/cat/1.png", "val/cat/x/1.png"], "such as val/cat/x/1.png"),
        (["val/cat/1.png", "test/cat/1.png"], "for training, received only the splits eval, test; add"),
        (["train/1.png", "test/2.png"], "received 2 photos without class folders. Make one folder"),
        (["1.png"], "received 1 photos without class folders. Make one folder"),
        (["1.png", "a b.csv"], r"If a b.csv lists the labels: python -m ingest photos '.*/a b.csv' --to DIR"),
        (["train/1.png", "labels.jsonl"], r"python -m ingest photos \S*/labels.jsonl --to DIR"),
        ([], "received 0 photos without class folders"),
        (["a-00.tfrec", "b-01.tfrec"], "received 2 TFRecord files, which need .*: python local_runner.py --data /"),
        (["train/a.tfrecord.gz", "test/b.tfrecord.gz"], "received 2 TFRecord files, which need no conversion"),
        (
            ["train-images-idx3-ubyte.gz", "x"],
            "received 1 IDX files. To convert .*: python -m ingest mnist /.* --to DIR",
        ),
        (["1.png", "a.tfrec"], "received 1 photos without class folders. Make one folder"),
        (["d\nog/1.png"], r"received a control character in 'd\\nog'; rename the folder"),
        ([os.fsdecode(b"d\xff/1.png")], r"received bytes that are not UTF-8 in 'd\\udcff'; rename"),
        (["\u200c/1.png"], "received no visible character"),
        (["é/1.png", "e\u0301/1.png"], "two class names look the same, 'é', but"),
    ],
)
def test_layouts_that_are_refused(tmp_path, files, says):
    with pytest.raises(UserError, match=says):
        find(touch(tmp_path, *files))


def test_flags_of_manifests_are_refused(tmp_path):
    with pytest.raises(UserError, match="--label-column is for a manifest, but .* is a folder"):
        find(touch(tmp_path, "cat/1.png"), label_column="class")


def test_a_source_that_does_not_exist(tmp_path):
    with pytest.raises(
        UserError, match=r"folder of photos or a manifest \(\.csv, .*\.parquet\); .*/none does not exist"
    ):
        find(tmp_path / "none")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_an_unreadable_folder_is_named(tmp_path):
    touch(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "dog").chmod(0)
    with pytest.raises(UserError, match="cannot read .*/dog: Permission denied"):
        find(tmp_path)
    (tmp_path / "dog").chmod(0o700)


def test_a_photo_whose_name_is_not_utf_8_is_skipped(tmp_path):
    entries, skipped = find(touch(tmp_path, "cat/1.png", os.fsdecode(b"cat/\xff.png"), "cat/a\nb.png"))
    assert [entry.name for entry in entries] == ["cat/1.png", "cat/a\nb.png"]
    assert list(skipped.values()) == ["the name is not UTF-8; rename it"]


class TestLinks:
    """Links, of folders and of files."""

    OUTSIDE = "a link to a target outside the photo folder; --follow-links follows it"

    def linked(self, root: Path) -> Path:
        touch(root / "store", "cat/1.png", "dog/2.png")
        (root / "links").mkdir()
        for name in ("cat", "dog"):
            (root / "links" / name).symlink_to(root / "store" / name)
        return root / "links"

    def test_are_refused_with_the_flag(self, tmp_path):
        with pytest.raises(UserError, match=r"received 2 links to targets outside it. Add --follow-links"):
            find(self.linked(tmp_path))

    def test_are_followed_with_the_flag(self, tmp_path):
        entries, skipped = find(self.linked(tmp_path), follow_links=True)
        assert labels(entries) == FLAT
        assert not skipped
        assert entries[0].path == tmp_path / "links" / "cat" / "1.png"

    def test_splits_and_single_files_too(self, tmp_path):
        touch(tmp_path / "store", "train/cat/1.png", "train/dog/2.png", "3.png")
        source = touch(tmp_path / "in", "val/cat/.keep")
        (source / "train").symlink_to("../store/train")
        (source / "val" / "cat" / "3.png").symlink_to("../../../store/3.png")
        assert {entry.split for entry in find(source, follow_links=True)[0]} == {"train", "eval"}
        with pytest.raises(UserError, match="received 2 links"):
            find(source)

    def test_inside_the_source_are_followed(self, tmp_path):
        source = touch(tmp_path / "in", "cat/1.png", "dog/2.png")
        (source / "dog" / "3.png").symlink_to("../cat/1.png")
        (source / "kitty").symlink_to("cat")
        assert [entry.name for entry in find(source)[0]] == ["cat/1.png", "dog/2.png", "dog/3.png", "kitty/1.png"]

    @pytest.mark.parametrize("follow_links", [False, True])
    @pytest.mark.parametrize("nested", [None, "join"])
    def test_in_a_circle_end(self, tmp_path, follow_links, nested):
        source = touch(tmp_path / "in", "cat/1.png", "dog/2.png")
        (source / "cat" / "self.png").symlink_to("self.png")
        (source / "cat" / "up").symlink_to("..")
        (source / "cat" / "here").symlink_to(".")
        (source / "dog" / "a").symlink_to("b")
        (source / "dog" / "b").symlink_to("a")
        (source / "dog" / "gone").symlink_to("nowhere")
        (source / "loop").symlink_to("loop")
        (source / "all").symlink_to(source)
        entries, skipped = find(source, follow_links=follow_links, nested=nested)
        assert labels(entries) == FLAT
        known = "a link to a folder that contains it, or to one that is already listed"
        assert {name: skipped[name] for name in ("all", "cat/up", "cat/here")} == dict.fromkeys(
            ("all", "cat/up", "cat/here"), known
        )
        for name in ("cat/self.png", "dog/a", "dog/b", "dog/gone", "loop"):
            assert skipped[name].startswith("a link that cannot be followed: ")

    def test_between_many_folders_end_soon(self, tmp_path):
        source = touch(tmp_path, *(f"{index}/{index}.png" for index in range(12)))
        for index in range(12):
            for other in range(12):
                (source / str(index) / f"to{other}").symlink_to(source / str(other))
        entries, _ = find(source, nested="top")
        assert len(entries) == 12 * 12
