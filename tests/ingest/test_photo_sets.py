"""`python -m ingest photos` on growing data, copies, edits, splits of a layout, few photos and unusual photos."""

import re
import zlib
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, PngImagePlugin

from ingest import __main__ as command_line
from pipeline import settings
from pipeline.config import Config
from tests.ingest.test_decoding import noise


def _photos(root: Path, classes: dict[str, range], ending: str = "png") -> Path:
    """Writes different photos in class folders."""
    for name, numbers in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            noise(64, 48, seed=zlib.crc32(f"{name}/{number}".encode())).save(root / name / f"{number}.{ending}")
    return root


class _Ingested:
    """The records of a dataset by the name of the photo, their splits, the settings and the printed text."""

    def __init__(self, folder: Path, printed: str):
        self.printed = printed
        self.config: Config = settings.load(None, folder / "settings.yaml")
        self.records: dict[str, dict] = {}
        self.splits: dict[str, str] = {}
        for path in sorted(folder.glob("*.tfrec")):
            for record in tf.data.TFRecordDataset(str(path)):
                features = dict(tf.train.Example.FromString(record.numpy()).features.feature)
                name = features["filename"].bytes_list.value[0].decode()
                self.records[name] = features
                self.splits[name] = path.name.split("-")[-3]

    def label(self, name: str) -> str:
        return self.records[name]["label"].bytes_list.value[0].decode()

    def digest(self, name: str) -> str:
        return self.records[name]["digest"].bytes_list.value[0].decode()

    def image(self, name: str) -> bytes:
        return self.records[name]["image"].bytes_list.value[0]

    def pixels(self, name: str) -> np.ndarray:
        return np.asarray(Image.open(BytesIO(self.image(name)))).astype(int)


@pytest.fixture
def ingest(tmp_path, capfd):
    """Calls `python -m ingest photos` and returns what it made."""
    count = iter(range(100))

    def call(source: Path, *flags: object) -> _Ingested:
        target = tmp_path / f"made{next(count)}"
        code = command_line.main(["photos", str(source), "--to", str(target), *map(str, flags)])
        printed = "".join(capfd.readouterr())
        assert code == 0, printed
        return _Ingested(target, printed)

    return call


@pytest.mark.parametrize("flags", [[], ["--size", 300, "--shards", 5], ["--fit", "stretch"], ["--keep-original"]])
def test_growing_data_keep_their_split(tmp_path, ingest, flags):
    first = ingest(_photos(tmp_path / "first", {"cat": range(60), "dog": range(60)}))
    both = _photos(tmp_path / "both", {"a-new-class": range(30), "cat": range(60, 80), "dog": range(60, 80)})
    _photos(both, {"cat": range(60), "dog": range(60)})
    for path in (both / "cat").iterdir():
        path.rename(path.with_name(f"renamed-{path.name}"))
    grown = ingest(both, *flags)
    assert set(first.splits.values()) == set(grown.splits.values()) == {"train", "eval", "test"}
    moved = 0
    for name, split in first.splits.items():
        now = name.replace("cat/", "cat/renamed-")
        assert (grown.splits[now] == "train", grown.digest(now)) == (split == "train", first.digest(name))
        moved += grown.splits[now] != split
    assert moved <= 4  # between eval and test


def test_copies_are_in_one_split_and_those_with_two_labels_are_not_evaluated(tmp_path, ingest):
    photos = _photos(tmp_path / "in", {"cat": range(20), "dog": range(20)})
    for number in range(20):
        Image.open(photos / "cat" / f"{number}.png").save(photos / "cat" / f"copy-{number}.bmp")
    for number in range(5):
        Image.open(photos / "cat" / f"{number}.png").save(photos / "dog" / f"cat-{number}.png")
    made = ingest(photos)
    for number in range(5, 20):
        assert made.splits[f"cat/{number}.png"] == made.splits[f"cat/copy-{number}.bmp"]
    for number in range(5):
        same = [f"cat/{number}.png", f"cat/copy-{number}.bmp", f"dog/cat-{number}.png"]
        assert {made.splits.get(name) for name in same} in ({"train"}, {None})
        listed = f"cat/{number}.png (cat), cat/copy-{number}.bmp (cat), dog/cat-{number}.png (dog)"
        assert "notice: one photo with several labels, " in made.printed
        assert listed in made.printed
    assert "25 exact copies of other photos; copies are in one split" in made.printed


def test_splits_of_a_layout_are_kept(tmp_path, ingest):
    for split, numbers in (("train", range(12)), ("val", range(12, 16)), ("test", range(16, 20))):
        _photos(tmp_path / "in" / split, {"cat": numbers, "dog": numbers})
    _photos(tmp_path / "in" / "train", {"cat": range(17, 18)})
    made = ingest(tmp_path / "in")
    folders = {"train": "train", "val": "eval", "test": "test"}
    assert made.splits.pop("test/cat/17.png") == "test"
    assert all(split == folders[name.partition("/")[0]] for name, split in made.splits.items())
    assert len(made.splits) == 39
    assert "left out as copies of test/cat/17.png in test: train/cat/17.png (cat)" in made.printed


def test_edits_are_applied_and_recorded(tmp_path, ingest):
    photos = _photos(tmp_path / "in", {"cat": range(40), "dog": range(40), "dgo": range(2)})
    before = ingest(photos)
    rows = [f"{before.digest('dgo/0.png')},,dog", ",dgo/1.png,dog", ",cat/3.png,dog", ",dog/5.png,drop"]
    (tmp_path / "edits.csv").write_text("\n".join(["digest,name,label", *rows]))
    after = ingest(photos, "--edits", tmp_path / "edits.csv")
    assert after.config.data.classes == ("cat", "dog")
    assert [after.label(name) for name in ("dgo/0.png", "cat/3.png", "cat/4.png")] == ["dog", "dog", "cat"]
    assert before.records.keys() - after.records.keys() == {"dog/5.png"}
    assert "notice: edits.csv: 3 photos relabelled, 1 dropped" in after.printed
    made, edits = after.config.data.provenance.split("; ")
    assert made.startswith("python -m ingest photos ") and made.endswith("edits.csv")
    assert edits.startswith("edits.csv sha256:") and edits.endswith(": 3 photos relabelled, 1 dropped")


@pytest.mark.parametrize(("dropped", "received"), [("cat dog", "received none"), ("dog", "received cat: 6")])
def test_edits_that_leave_less_than_two_classes_are_refused(tmp_path, ingest, capfd, dropped, received):
    photos = _photos(tmp_path / "in", {"cat": range(6), "dog": range(6)})
    made = ingest(photos)
    rows = [f"{made.digest(name)},drop" for name in made.records if name.partition("/")[0] in dropped.split()]
    (tmp_path / "edits.csv").write_text("\n".join(["digest,label", *rows]))
    arguments = [photos, "--edits", tmp_path / "edits.csv", "--to", tmp_path / "out"]
    assert command_line.main(["photos", *map(str, arguments)]) == 2
    assert f"expected photos of at least two classes, {received}" in capfd.readouterr().err


def test_an_unknown_class_in_the_edits_is_refused_before_the_photos_are_encoded(tmp_path, capfd):
    """So the message still knows a class whose photos cannot be read."""
    photos = _photos(tmp_path / "in", {"cat": range(3), "dog": range(3)})
    for photo in (photos / "dog").iterdir():
        photo.write_bytes(b"no photo")
    (tmp_path / "edits.csv").write_text("name,label\ncat/0.png,dgo\n")
    arguments = [photos, "--edits", tmp_path / "edits.csv", "--to", tmp_path / "out"]
    assert command_line.main(["photos", *map(str, arguments)]) == 2
    assert "edits.csv: unknown class 'dgo'; did you mean 'dog'" in capfd.readouterr().err


def test_edits_may_drop_a_class_with_one_photo(tmp_path, ingest):
    photos = _photos(tmp_path / "in", {"cat": range(9), "dog": range(9), "dgo": range(1)})
    _photos(tmp_path / "more", {"dgo": range(2), "other": range(2)})
    digest = ingest(tmp_path / "more").digest("dgo/0.png")
    (tmp_path / "edits.csv").write_text(f"digest,label\n{digest},\n")
    assert ingest(photos, "--edits", tmp_path / "edits.csv").config.data.classes == ("cat", "dog")


@pytest.mark.parametrize(("count", "batch"), [(2, 2), (3, 2), (12, 16), (60, 32)])
def test_the_batch_fits_the_training_split(tmp_path, ingest, count, batch):
    made = ingest(_photos(tmp_path / "in", {"cat": range(count), "dog": range(count)}))
    training = list(made.splits.values()).count("train")
    assert made.config.trainer.batch_size <= training
    assert made.config.trainer.batch_size == batch
    assert ("two splits, train and eval" in made.printed) == ("test" not in made.splits.values())


def test_photos_of_unusual_kinds_are_used(tmp_path, ingest):
    photos = _photos(tmp_path / "in", {"cat": range(12), "dog": range(12)})
    Image.new("RGB", (64, 64), "red").convert("P", palette=Image.Palette.ADAPTIVE).save(photos / "cat" / "red.bmp")
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(photos / "cat" / "transparent.png")
    turned, exif = Image.new("RGB", (64, 32)), Image.Exif()
    turned.paste((255, 0, 0), (0, 0, 32, 32))
    exif[0x0112] = 6
    turned.save(photos / "cat" / "rotated.jpg", exif=exif.tobytes())
    Image.new("L", (16320, 12240)).save(photos / "cat" / "large.jpg")
    info = PngImagePlugin.PngInfo()
    info.add_itxt("k", "x" * 2_000_000, zip=True)
    noise(64, 64, seed=1).save(photos / "cat" / "text.png", pnginfo=info)
    noise(64, 64, seed=2).save(photos / "cat" / "cut.jpg", quality=95)
    (photos / "cat" / "cut.jpg").write_bytes((photos / "cat" / "cut.jpg").read_bytes()[:-400])
    made = ingest(photos, "--size", 32)
    assert len(made.records) == 30
    assert abs(made.pixels("cat/red.bmp") - [254, 0, 0]).max() <= 1
    assert (made.pixels("cat/transparent.png") == 255).all()
    rotated = made.pixels("cat/rotated.jpg")
    assert rotated[2, 16, 0] > 200 > 60 > rotated[30, 16, 0]
    assert "notice: truncated JPEGs, used with the fraction of their rows: cat/cut.jpg (" in made.printed


def test_originals_need_no_second_ingest_for_another_size(tmp_path, ingest):
    photos = _photos(tmp_path / "in", {"cat": range(4), "dog": range(4)}, "jpg")
    _photos(photos, {"cat": range(4, 5)}, "webp")
    made = ingest(photos, "--keep-original", "--size", 32, "--fit", "stretch")
    assert made.image("cat/0.jpg") == (photos / "cat" / "0.jpg").read_bytes()
    assert made.image("cat/4.webp")[:2] == b"\xff\xd8"
    assert (made.config.data.image_size, made.config.data.resize) == (32, "plain")
    assert list(made.records["cat/4.webp"]["size"].int64_list.value) == [48, 64]


def test_classes_with_nearly_the_same_name_are_named(tmp_path, ingest):
    made = ingest(_photos(tmp_path / "in", {"Anger": range(4), "fear": range(4), "anger": range(4)}))
    assert len(made.config.data.classes) == 3
    assert (
        "notice: separate classes with nearly the same name: Anger, anger; rename them if they are one" in made.printed
    )


@pytest.mark.parametrize(
    ("splits", "flag", "value", "says"),
    [
        ("train eval", "--test-fraction", 0.15, "the folders give train, eval. Leave the flag out"),
        ("train eval test", "--eval-fraction", 0.1, "the folders give train, eval, test. Leave"),
        ("train test", "--test-fraction", 0, "the folders give train, test. Leave"),
    ],
)
def test_a_fraction_without_effect_is_refused(tmp_path, capfd, splits, flag, value, says):
    for number, split in enumerate(splits.split()):
        _photos(tmp_path / "in" / split, {"cat": range(3 * number, 3 * number + 3), "dog": range(3)})
    command = ["photos", str(tmp_path / "in"), "--to", str(tmp_path / "made"), flag, str(value)]
    assert command_line.main(command) == 2
    assert f"{flag} is for photos without splits; {says}" in capfd.readouterr().err


def test_a_fraction_with_the_splits_of_a_manifest_is_refused(tmp_path, capfd):
    _photos(tmp_path, {"cat": range(4), "dog": range(4)})
    rows = [f"{name}/{n}.png,{name},{'dev' if n else 'train'}" for name in ("cat", "dog") for n in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    command = ["photos", str(tmp_path / "labels.csv"), "--to", str(tmp_path / "made"), "--eval-fraction", "0.3"]
    assert command_line.main(command) == 2
    assert "the manifest gives train, eval. Leave the flag out" in capfd.readouterr().err


def test_what_the_notice_of_a_class_of_two_photos_suggests_gives_a_test_split(tmp_path, ingest):
    photos = _photos(tmp_path / "in", {"cat": range(60), "dog": range(60), "disgust": range(2)})
    made = ingest(photos)
    assert "notice: no test split, because each class needs 3 different photos" in made.printed
    assert "received fewer of disgust (2). Add photos of these classes, or drop or merge" in made.printed
    assert set(made.splits.values()) == {"train", "eval"}
    digests = [made.digest(f"disgust/{number}.png") for number in range(2)]
    (tmp_path / "edits.csv").write_text("\n".join(["digest,label", *(f"{digest},drop" for digest in digests)]))
    without = ingest(photos, "--edits", tmp_path / "edits.csv")
    assert set(without.splits.values()) == {"train", "eval", "test"}


def test_what_the_notice_of_few_photos_in_a_split_suggests_gives_more(tmp_path, ingest):
    photos = _photos(tmp_path / "in", {"cat": range(60), "dog": range(24)})
    assert "in test). Add photos, or set larger --test-fraction and --eval-fraction" in ingest(photos).printed
    more = ingest(photos, "--eval-fraction", 0.35, "--test-fraction", 0.35)
    assert "rough estimate" not in more.printed


@pytest.mark.parametrize(("flags", "fits"), [([], 64), (["--keep-original"], 64), (["--size", 129], 64)])
def test_small_photos_are_enlarged_with_a_notice(tmp_path, ingest, flags, fits):
    photos = _photos(tmp_path / "in", {"cat": range(8), "dog": range(8)})  # 64 x 48
    noise(400, 400).save(photos / "cat" / "large.png")
    made = ingest(photos, *flags)
    size = made.config.data.image_size
    notice = (
        f"notice: half of the photos have at most 64 pixels on their longer side, and are enlarged to {size} (--size)"
    )
    assert f"{notice}; --size {fits} fits them" in made.printed
    assert "are enlarged" not in ingest(photos, "--size", fits).printed
    assert "are enlarged" not in ingest(photos, "--size", 2 * fits).printed


def test_eval_is_taken_from_train_by_its_fraction(tmp_path, ingest):
    photos = tmp_path / "in"
    for split, numbers in {"train": range(40), "test": range(40, 50)}.items():
        _photos(photos / split, {"cat": numbers, "dog": numbers})
    for fraction, least, most in ((0.1, 2, 16), (0.5, 28, 52)):
        made = ingest(photos, "--eval-fraction", fraction)
        (taken,) = re.findall(r"notice: eval was not given: (\d+) photos of train are in eval", made.printed)
        assert least <= int(taken) <= most
        assert Counter(made.splits.values()) == {"train": 80 - int(taken), "eval": int(taken), "test": 20}
