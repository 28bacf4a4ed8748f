"""`python -m ingest check` on folders of photos and of TFRecords."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingest import __main__ as command_line
from ingest import record_file
from ingest.checking.measures import measure
from ingest.example_proto import Example
from ingest.examples import make_example
from tests.conftest import ROOT


def _scene(seed: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    """Returns a picture of random blocks, sharp and of medium brightness."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def _folder(root: Path, count: int = 4, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Writes different photos of each class."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            _scene(1000 * label + index).save(root / name / f"{index}.png")
    return root


def _check(capsys, *arguments: object) -> tuple[int, str]:
    code = command_line.main(["check", *map(str, arguments)])
    return code, capsys.readouterr().out


def _counts(printed: str) -> dict[str, int]:
    """Returns the number of groups of each finding that has some."""
    table = printed.partition("Findings")[2].splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table if line.startswith("│")]
    return {row[1]: int(row[3]) for row in cells if len(row) == 4 and row[3].isdigit() and row[3] != "0"}


def test_nothing_to_decide(tmp_path, capsys):
    code, printed = _check(capsys, _folder(tmp_path / "photos"))
    assert code == 0
    assert _counts(printed) == {}
    assert "Nothing must be decided before a training." in printed
    assert "│ all   │      8 │       │" in printed


def test_copies_and_nearly_equal_photos(tmp_path, capsys):
    root = _folder(tmp_path / "photos")
    _scene(0).save(root / "cat" / "copy.bmp")  # the same pixels in another format
    _scene(1001).resize((160, 160), Image.Resampling.NEAREST).save(root / "cat" / "resized.png")
    code, printed = _check(capsys, root)
    assert code == 0
    assert _counts(printed) == {
        "copies": 1,
        "nearly equal photos": 1,
        "nearly equal photos under several labels": 1,
    }


def test_a_photo_under_two_labels_must_be_decided(tmp_path, capsys):
    root = _folder(tmp_path / "photos")
    _scene(2).save(root / "dog" / "cat-in-disguise.png")
    code, printed = _check(capsys, root)
    assert code == 1
    assert _counts(printed) == {"copies": 1, "copies under several labels": 1}
    assert "copies under several labels:\n  cat/2.png (cat), dog/cat-in-disguise.png (dog)" in printed
    assert "Before you train, decide about the finding marked with !" in printed


def test_a_copy_in_two_splits_must_be_decided(tmp_path, capsys):
    _folder(tmp_path / "photos" / "train")
    _folder(tmp_path / "photos" / "val", 1)  # as the first of train
    code, printed = _check(capsys, tmp_path / "photos")
    assert code == 1
    assert _counts(printed) == {"copies": 2, "copies in several splits": 2}
    assert "train/cat/0.png (cat, train), val/cat/0.png (cat, eval)" in printed


def test_dark_bright_blurred_and_narrow_photos(tmp_path, capsys):
    root = _folder(tmp_path / "photos")
    _scene(10).point(lambda value: value // 4).save(root / "cat" / "dark.png")
    _scene(11).point(lambda value: 248 + value // 64).save(root / "cat" / "bright.png")
    _scene(12, (8, 8)).resize((96, 96), Image.Resampling.BICUBIC).save(root / "cat" / "blurred.png")
    _scene(13, (300, 100)).save(root / "cat" / "narrow.png")
    page = tmp_path / "page.html"
    code, printed = _check(capsys, root, "--html", page)
    assert code == 0
    assert _counts(printed) == {"dark photos": 1, "bright photos": 1, "blurred photos": 1, "narrow photos": 1}
    text = page.read_text()
    for name in ("dark", "bright", "blurred", "narrow"):
        assert f"cat/{name}.png" in text
    assert "cat/0.png" not in text
    assert measure((root / "cat" / "dark.png").read_bytes()).digest.hex() in text


def test_unreadable_files_and_small_classes_must_be_decided(tmp_path, capsys):
    root = _folder(tmp_path / "photos")
    (root / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    (root / "owl").mkdir()
    _scene(5000).save(root / "owl" / "0.png")
    code, printed = _check(capsys, root)
    assert code == 1
    assert _counts(printed) == {"unreadable": 1, "classes with too few photos": 1}
    assert "owl: 1 of at least 3 photos" in printed
    assert "cat/broken.jpg: " in printed


def test_files_that_are_not_photos_by_name_need_no_decision(tmp_path, capsys):
    root = _folder(tmp_path / "photos")
    for name in ("README.txt", "Thumbs.db", "cat/notes.txt", "dog/x.zip", "dog/Thumbs.db"):
        (root / name).write_bytes(b"no photo")
    code, printed = _check(capsys, root)
    assert code == 0
    assert _counts(printed) == {"other files": 5}
    assert "other files:\n  README.txt\n  Thumbs.db\n  cat/notes.txt\n" in printed
    assert "│ ! │" not in printed

    (root / "docs").mkdir()
    (root / "docs" / "notes.txt").write_text("no photo")  # `ingest photos` refuses a class without photos
    code, printed = _check(capsys, root)
    assert code == 1
    assert _counts(printed) == {"classes with too few photos": 1, "other files": 6}
    assert "docs: 0 of at least 3 photos" in printed
    (root / "docs" / "notes.txt").unlink()
    (root / "docs").rmdir()

    _scene(1).save(root / "stray.png")
    code, printed = _check(capsys, root)
    assert code == 1
    assert _counts(printed) == {"unreadable": 1, "other files": 5}
    assert "unreadable:\n  stray.png: not directly in a class folder" in printed


def test_photos_to_look_at_are_named_although_nothing_must_be_decided(tmp_path, capsys):
    root = _folder(tmp_path / "photos")
    _scene(1001).resize((160, 160), Image.Resampling.NEAREST).save(root / "cat" / "resized.png")
    code, printed = _check(capsys, root)
    assert code == 0
    assert "nearly equal photos under several labels:\n  cat/resized.png (cat), dog/1.png (dog)\n" in printed
    assert printed.count("cat/resized.png") == 1
    assert "To see the photos of the findings, add --html FILE" in printed
    _, printed = _check(capsys, root, "--html", tmp_path / "page.html")
    assert "add --html" not in printed


def test_classes_with_nearly_the_same_name_must_be_decided(tmp_path, capsys):
    code, printed = _check(capsys, _folder(tmp_path / "photos", classes=("sea lion", "Sea-Lion ", "dog", "dogs")))
    assert code == 1
    assert _counts(printed)["classes with nearly the same name"] == 2
    assert 'rename them if they are one:\n  "Sea-Lion ", sea lion\n  dog, dogs\n' in printed
    assert '│ "Sea-Lion " │' in printed and "│ sea lion " in printed


def test_digits_are_too_small_for_a_perceptual_hash(tmp_path, capsys):
    root = tmp_path / "photos"
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for index in range(4):
            _scene(0, (16, 16)).point(lambda value, add=index: value // 2 + add).save(
                root / label / f"{index}{label}.png"
            )
    code, printed = _check(capsys, root)
    assert code == 1
    assert "nearly equal photos" not in _counts(printed)


def _records(path: Path, scenes: range, names: bool = True) -> None:
    with path.open("wb") as file:
        for seed in scenes:
            _scene(seed).save(picture := path.parent / "picture.png")
            example = make_example(picture.read_bytes(), seed % 2, ("cat", "dog"), (96, 96))
            if not names:
                del example.features.feature["label"]
            record_file.write_record(file, example.SerializeToString())
    (path.parent / "picture.png").unlink()


def test_records_keep_the_splits_of_their_files(tmp_path, capsys):
    folder = tmp_path / "data"
    folder.mkdir()
    _records(folder / "pets-train-00-8.tfrec", range(8))
    _records(folder / "pets-eval-00-4.tfrec", range(4, 10))  # four of train
    page = tmp_path / "page.html"
    code, printed = _check(capsys, folder, "--html", page)
    assert code == 1
    assert _counts(printed) == {"copies": 4, "copies in several splits": 4}
    assert "pets-eval-00-4.tfrec record 0 (cat, eval), pets-train-00-8.tfrec record 4 (cat, train)" in printed
    assert page.read_text().count("data:image/jpeg;base64,") == 2 * 8  # a picture in both sections


def test_partial_downloads_are_not_read(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    _records(tmp_path / "data" / "a.tfrec", range(8))
    _records(tmp_path / "data" / "b.tfrec.part", range(8))
    code, printed = _check(capsys, tmp_path / "data")
    assert code == 0
    assert _counts(printed) == {"other files": 1}
    assert "other files:\n  b.tfrec.part\n" in printed


def test_records_without_class_names_and_damaged_records(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "part-00000-of-00001"
    _records(path, range(8), names=False)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    code, printed = _check(capsys, tmp_path / "data")
    assert code == 1
    assert _counts(printed) == {"unreadable": 1}
    assert "part-00000-of-00001 record 7: wrong checksum" in printed
    assert "class 1" in printed


def test_records_with_other_names_of_features(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "a.tfrec"
    _records(path, range(8))
    records = list(record_file.read(path.open("rb"), path.stat().st_size))
    with path.open("wb") as file:
        for record in records:
            example = Example.FromString(record.data)
            for old, new in (("image", "image/encoded"), ("class", "species")):
                example.features.feature[new].CopyFrom(example.features.feature.pop(old))
            record_file.write_record(file, example.SerializeToString())
    assert command_line.main(["check", str(tmp_path / "data")]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "no image; expected the feature image (--features names others); received image/encoded, label, " in said
    code, printed = _check(capsys, tmp_path / "data", "--features", "tf-slim")
    assert code == 1  # class names are missing: one class
    assert "unreadable" not in _counts(printed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["photos", "--html", "x" * 300], "File name too long; give another file (--html FILE)"),
        (
            ["photos", "--html", "missing/page.html"],
            "the page missing/page.html: its folder does not exist",
        ),
        (["photos", "--html", "photos"], "photos: it is a folder; give another file (--html FILE)"),
        (["empty"], "expected one folder for each class"),
        (["broken"], "broken can be decoded: a/x.png: "),
    ],
)
def test_refused(tmp_path, capsys, monkeypatch, arguments, says):
    _folder(tmp_path / "photos")
    (tmp_path / "empty").mkdir()
    for name in "ab":
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "x.png").write_bytes(b"no photo")
    monkeypatch.chdir(tmp_path)
    assert command_line.main(["check", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_it_imports_neither_tensorflow_nor_tfx(tmp_path):
    code = "import sys; from ingest import __main__; code = __main__.main(sys.argv[1:]); "
    code += "assert not {'tensorflow', 'tfx', 'apache_beam'} & set(sys.modules); sys.exit(code)"
    command = [
        sys.executable,
        "-c",
        code,
        "check",
        str(_folder(tmp_path / "photos")),
        "--html",
        str(tmp_path / "p.html"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_real_photos(real_data, capsys):
    """Exact copies of the public flowers; every pair that is found was looked at."""
    code, printed = _check(capsys, real_data / "flowers-192")
    assert code == 1
    assert _counts(printed) == {
        "copies under several labels": 1,
        "copies": 3,
        "nearly equal photos": 21,
        "blurred photos": 7,
    }
    assert "flowers06-230.tfrec record 111 (tulips), flowers12-230.tfrec record 153 (roses)" in printed
