"""`ingest kept`: kept photos become files to label, which `ingest photos` converts."""

import csv
import re
import shlex
import stat
from pathlib import Path

import pytest
import yaml

from ingest import kept, kept_photos, record_file
from ingest import records as record_reader
from ingest.__main__ import main
from ingest.example_proto import Example
from pipeline import cli
from tests.helpers import records

PHOTOS = [records.jpeg((20 * index, 250 - 20 * index, 30)) for index in range(8)]


def _keep(folder, rows, name="kept-1.tfrec"):
    folder.mkdir(exist_ok=True)
    with (folder / name).open("wb") as file:
        for image, probability in rows:
            each = kept.Kept(b"cat", probability, 3, 1_700_000_000, [40, 40], 0.5, 0.1, [0.1, 0.2, 0.3], image)
            record_file.write_record(file, kept.serialized(each))


def test_labelled_photos_become_records_and_others_are_listed(tmp_path, capsys):
    _keep(tmp_path / "kept", [(photo, 0.9 - index / 10) for index, photo in enumerate([*PHOTOS, PHOTOS[0]])])
    _keep(tmp_path / "kept", [(PHOTOS[1], 0.5)], "kept-2.tfrec.part")
    to = tmp_path / "to-label"
    assert main(["kept", str(tmp_path / "kept"), "--to", str(to)]) == 0
    with (to / kept_photos.LABELS).open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["probability"]) for row in rows] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert [(to / row["path"]).read_bytes() for row in rows] == PHOTOS[::-1]
    assert {(row["label"], row["predicted"], row["version"]) for row in rows} == {("", "cat", "3")}
    assert stat.S_IMODE(to.stat().st_mode) == 0o700 and "data:image/jpeg" in (to / kept_photos.SHEET).read_text()
    page = (to / kept_photos.SHEET).read_text()
    for line, row in enumerate(rows, 2):  # the header is line 1
        assert f"<span>row {line}</span><span>cat</span><span>{float(row['probability']):.2f}</span>" in page
        following = f"row {line + 1}<" if line < 9 else "</main>"
        assert page.index(f"row {line}<") < page.index(row["path"]) < page.index(following)
    for index, row in enumerate(rows[:7]):
        row["label"] = ("cat", "dog")[index % 2]
    with (to / kept_photos.LABELS).open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert f"then: python -m ingest photos {to / kept_photos.LABELS} --to DIR" in capsys.readouterr().out
    assert main(["photos", str(to / kept_photos.LABELS), "--to", str(tmp_path / "span-2")]) == 0
    printed = capsys.readouterr().out
    assert "7 photos in" in printed and f"{rows[7]['path']}: expected one label, received none" in printed


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_the_next_step_trains_on_both_folders(delimiter, tmp_path, capsys):
    """A spreadsheet may have changed the separator. The folder's name needs quotes."""
    data = tmp_path / "my data"
    _keep(tmp_path / "kept", [(photo, 0.9) for photo in PHOTOS])
    assert main(["kept", str(tmp_path / "kept"), "--to", str(tmp_path / "to-label")]) == 0
    labels = tmp_path / "to-label" / kept_photos.LABELS
    with labels.open() as file:
        rows = [row | {"label": ("cat", "dog")[index % 2]} for index, row in enumerate(csv.DictReader(file))]
    for span, columns in (("span-1", ["path", "label"]), ("span-2", list(rows[0]))):
        with labels.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
        capsys.readouterr()
        assert main(["photos", str(labels), "--to", str(data / span)]) == 0
        printed = capsys.readouterr().out
        assert ("EARLIER" in printed) == (span == "span-2")
    (command,) = re.findall("^python local_runner.py (.*)", printed, re.MULTILINE)
    arguments = shlex.split(command.replace("EARLIER", "span-1").replace("PATTERN", "span-*/*"))
    config = cli.config_from(cli.parser("").parse_args(arguments))
    files = record_reader.matching(str(config.data.directory), config.data.pattern)
    assert {Path(file).parent for file in files} == {data / "span-1", data / "span-2"}
    assert config.name == yaml.safe_load((data / "span-1" / "settings.yaml").read_text())["name"]


def test_labels_are_not_removed(tmp_path, capsys):
    _keep(tmp_path / "kept", [(PHOTOS[0], 0.9)])
    command = ["kept", str(tmp_path / "kept"), "--to", str(tmp_path / "to-label")]
    assert main(command) == 0
    (tmp_path / "to-label" / kept_photos.LABELS).write_text("path,label\n1.jpg,cat\n")
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"received {tmp_path}/to-label, whose labels.csv may contain labels; choose a new folder\n" in said
    assert "cat" in (tmp_path / "to-label" / kept_photos.LABELS).read_text()


def test_damaged_records_are_counted(tmp_path, capsys):
    _keep(tmp_path / "kept", [(photo, 0.9) for photo in PHOTOS])
    content = bytearray((tmp_path / "kept" / "kept-1.tfrec").read_bytes())
    content[20] ^= 1
    (tmp_path / "kept" / "kept-1.tfrec").write_bytes(content)
    assert main(["kept", str(tmp_path / "kept"), "--to", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("7 photos, ")
    assert "left out: 1 files and records that cannot be read, the first is kept-1.tfrec record 0\n" in printed


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([(b"", 0.5)], "have no photos; start the server with --keep-photos"),
        ([], "no record of --keep can be read in"),
        (None, "expected files of --keep in"),
    ],
)
def test_without_photos_it_is_one_line(tmp_path, capsys, rows, text):
    (tmp_path / "kept").mkdir()
    if rows is not None:
        _keep(tmp_path / "kept", rows)
    assert main(["kept", str(tmp_path / "kept"), "--to", str(tmp_path / "new")]) == 2
    assert text in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_a_missing_folder_and_a_full_disk_are_one_line(tmp_path, capsys, monkeypatch):
    assert main(["kept", str(tmp_path / "nowhere"), "--to", str(tmp_path / "new")]) == 2
    text = f"cannot read the kept answers in {tmp_path}/nowhere: No such file or directory; give the folder of --keep"
    assert text in capsys.readouterr().err
    _keep(tmp_path / "kept", [(PHOTOS[0], 0.5)])

    def write_bytes(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", write_bytes)
    assert main(["kept", str(tmp_path / "kept"), "--to", str(tmp_path / "new")]) == 2
    text = f"cannot write the kept photos to {tmp_path}/new: No space left on device; give another folder (--to)"
    assert text in capsys.readouterr().err and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("feature", "kind", "values"),
    [
        ("served/label", "int64_list", [1]),
        ("served/probability", "bytes_list", [b"0.5"]),
        ("served/probability", "float_list", [float("nan")]),
        ("served/probability", "float_list", [float("inf")]),
        ("served/version", "bytes_list", [b"=1"]),
        ("image", "int64_list", [1]),
        ("size", "int64_list", [1]),
        ("served/colours", "float_list", [0.1, 0.2, float("nan")]),
    ],
)
def test_a_record_of_another_form_is_left_out(feature, kind, values, tmp_path, capsys):
    good = kept.Kept(b"cat", 0.5, 3, 1_700_000_000, [40, 40], 0.5, 0.1, [0.1, 0.2, 0.3], PHOTOS[0])
    example = Example.FromString(kept.serialized(good))
    example.features.feature[feature].Clear()
    getattr(example.features.feature[feature], kind).value.extend(values)
    (tmp_path / "kept").mkdir()
    with (tmp_path / "kept" / "kept-1.tfrec").open("wb") as file:
        record_file.write_record(file, kept.serialized(good))
        record_file.write_record(file, example.SerializeToString())
    assert [each for _, each in kept.read(tmp_path / "kept")][1:] == [None]
    assert main(["kept", str(tmp_path / "kept"), "--to", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1 photos, ") and "the first is kept-1.tfrec record 1\n" in printed


def test_a_file_that_cannot_be_read_is_named(tmp_path, capsys):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "kept-0.tfrec").symlink_to("/dev/zero")
    (tmp_path / "kept" / "kept-1.tfrec").symlink_to("kept-1.tfrec")
    assert main(["kept", str(tmp_path / "kept"), "--to", str(tmp_path / "new")]) == 2
    reason = "kept-0.tfrec: expected a file, received a folder, a pipe or a device"
    assert f"can be read in {tmp_path}/kept ({reason}); give the folder of --keep" in capsys.readouterr().err
    _keep(tmp_path / "kept", [(PHOTOS[0], 0.5)], "kept-2.tfrec")
    assert main(["kept", str(tmp_path / "kept"), "--to", str(tmp_path / "new")]) == 0
    assert f"the first is {reason}\n" in capsys.readouterr().out


def test_a_file_that_the_server_closes_meanwhile_is_read(tmp_path):
    _keep(tmp_path, [(PHOTOS[0], 0.5)], "kept-1.tfrec")
    _keep(tmp_path, [(PHOTOS[1], 0.5)], "kept-2.tfrec.part")
    found = kept.read(tmp_path)
    images = [next(found)[1].image]
    (tmp_path / "kept-2.tfrec.part").rename(tmp_path / "kept-2.tfrec")
    assert [*images, *(each.image for _, each in found)] == PHOTOS[:2]
