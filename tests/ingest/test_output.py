"""What `python -m ingest photos` writes beside the records: the settings of a run, and the list of skipped files."""

import csv
import re

import pytest

from ingest import __main__ as command_line
from ingest.names import run_name
from pipeline import schema_file, settings
from tests.ingest.test_photo_sets import _photos
from tests.ingest.test_photos import _folders


def test_the_settings_go_together_with_a_preset(tmp_path, make):
    make("photos", _folders(tmp_path / "in", cat=3, dog=3), "--to", tmp_path / "pets")
    config = settings.load("flowers-xception", tmp_path / "pets" / "settings.yaml")
    assert (config.name, config.model.name, config.data.classes) == (
        run_name((tmp_path / "in").resolve()),
        "xception",
        ("cat", "dog"),
    )
    assert (config.evaluator.min_accuracy, config.evaluator.min_class_recall) == (
        None,
        None,
    )  # unlike the flowers' preset
    header = (tmp_path / "pets" / "settings.yaml").read_text().splitlines()[:4]
    assert f"python -m ingest photos {tmp_path}/in --to {tmp_path}/pets" in header[0]
    assert "--preset flowers-convnet --config" in header[3]


@pytest.mark.parametrize(("size", "model"), [(32, "probe"), (31, "convnet")])
def test_the_settings_name_a_preset_that_accepts_the_size(tmp_path, make, size, model):
    make("photos", _folders(tmp_path / "in", cat=3, dog=3), "--to", tmp_path / "pets", "--size", size)
    written = tmp_path / "pets" / "settings.yaml"
    assert settings.load(None, written).model.name == model
    others = re.findall("--preset ([a-z-]+)", written.read_text())  # the header suggests another model, if any
    assert model not in [settings.load(other, written).model.name for other in others]


def test_class_names_that_yaml_or_protos_could_misread(tmp_path, make):
    photos = _folders(tmp_path / "写真", **{"yes": 2, "1": 2, "Gänse: [x]": 2, '"a\\b': 2})
    assert make("photos", photos, "--to", tmp_path / "名前")[0] == 0
    config = settings.load(None, tmp_path / "名前" / "settings.yaml")
    assert config.data.classes == ('"a\\b', "1", "Gänse: [x]", "yes")
    assert re.fullmatch("photos-[0-9a-f]{8}", config.name)
    assert schema_file.check_schema(config.data.schema_file, config.data.classes)


def test_folders_of_the_same_last_name_share_nothing(tmp_path, make):
    """The cache, the baseline and pushed models are stored by the run's name, which depends on the folder's path."""
    names = []
    for place, classes in (("pets", ("cat", "dog")), ("flowers", ("rose", "tulip")), ("pets", ("cat", "dog", "owl"))):
        photos = _folders(tmp_path / place / "data", **dict.fromkeys(classes, 2))
        target = tmp_path / f"records-{len(names)}" / "data"
        assert make("photos", photos, "--to", target)[0] == 0
        names.append(settings.load(None, target / "settings.yaml").name)
    assert names[0] == names[2] != names[1]
    assert all(re.fullmatch("data-[0-9a-f]{8}", name) for name in names)
    assert len(run_name(tmp_path / ("long" * 60))) == 60


def test_many_skipped_files_are_in_a_file_and_the_first_are_printed(tmp_path, capsys):
    source = _photos(tmp_path / "in", {"cat": range(6), "dog": range(6)})
    for number in range(25):
        (source / "cat" / f"note {number:02}.txt").write_text("no photo")
    target = tmp_path / "out"
    assert command_line.main(["photos", str(source), "--to", str(target)]) == 0
    said = capsys.readouterr().out
    assert "25 skipped:" in said and "note 19.txt" in said and "note 20.txt" not in said
    assert f"  … all of them: {target / 'skipped.csv'}" in said
    with (target / "skipped.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(source / "cat" / f"note {number:02}.txt") for number in range(25)]
    assert all(row["reason"].startswith("not a photo in a supported format") for row in rows)


def test_without_skipped_files_there_is_no_list(tmp_path):
    source = _photos(tmp_path / "in", {"cat": range(6), "dog": range(6)})
    assert command_line.main(["photos", str(source), "--to", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / "skipped.csv").exists()
