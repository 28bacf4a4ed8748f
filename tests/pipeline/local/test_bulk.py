"""`--bulk` predicts a folder with the latest pushed model, and reports mistakes before TFX is imported."""

import json
import shutil
import subprocess
import sys

import pytest
from pyarrow import parquet

import local_runner
from errors import UserError
from pipeline.config import Config
from pipeline.local import bulk
from tests.conftest import ROOT
from tests.helpers import records
from tests.helpers.judged_runs import Runs

NO_MODEL = "--bulk: expected a pushed model of 'sample' in {out}, received no model; run the pipeline until it pushes"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for index in range(3):
        records.photo_file(folder / f"{index}.jpg", (40 * index, 250 - 40 * index, 30))
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--bulk", "{photos}"], NO_MODEL),
        (["--bulk", "{out}"], "bulk.data: expected a folder of TFRecords or photos, received {out}; check the path"),
        (["--bulk", "{photos}/0.jpg"], "expected a folder of TFRecords or photos, received the file {photos}/0.jpg;"),
        (["--bulk", "{empty}"], "in which no record file matches '*' (data.pattern) and no photo is found"),
        (["--bulk", "{odd}"], "received [ in {odd}; rename it, or give another folder (--bulk DATA)"),
        (["--bulk", "gs://bucket/photos"], "bulk.data: expected a path on this machine, received gs://bucket/photos"),
        (["--bulk", "{data}", "--set", "data.features.image=photo"], "expected the features photo (bytes)"),
        (["--bulk", "{photos}", "--set", "beam.args=[--jobs=3]"], "beam.args: unknown argument --jobs"),
        (["--set", "bulk.data={empty}"], "bulk.data: expected a folder of TFRecords or photos, received {empty}"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(flags, says, photos, sample, tmp_path, monkeypatch, capfd, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    names = {"photos": photos, "out": tmp_path / "out", "empty": tmp_path / "empty", "odd": tmp_path / "[odd]"}
    names["empty"].mkdir(), names["odd"].mkdir()
    names["data"] = records.folder(tmp_path / "data", shards=1, per_shard=2)
    flags = [flag.format(**names) for flag in flags]
    assert local_runner.main([*flags, "--output", str(names["out"])]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert says.format(**names) in line
    assert not names["out"].exists()


def test_a_mistake_does_not_import_tfx(photos, tmp_path):
    command = "import sys, local_runner; code = local_runner.main(sys.argv[1:]); print(code, 'tfx' in sys.modules)"
    arguments = ["--bulk", str(photos), "--output", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", command, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "2 False\n"


@pytest.fixture
def pushed(tmp_path):
    """The folder of two pushed versions of `flowers`, 1 and 2."""
    runs = Runs(tmp_path / "out")
    for _ in range(2):
        runs.judge(True, served="")
    return runs.output / "pushed" / "flowers"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot read the champion: {pushed}/aliases.json is no JSON: "),
        ('{"champion": "2"}', "cannot read the champion: {pushed}/aliases.json: expected {{"),
        (
            '{"champion": 7}',
            "expected the champion, version 7, among the pushed models of this store, received none in {pushed}; "
            "promote another: python -m lineage promote VERSION_FOLDER\n",
        ),
    ],
)
def test_a_champion_that_cannot_be_used_is_one_line_before_tfx_is_imported(content, says, pushed, photos):
    (pushed / "aliases.json").write_text(content)
    command = "import sys, local_runner; code = local_runner.main(sys.argv[1:]); print(code, 'tfx' in sys.modules)"
    arguments = ["--bulk", str(photos), "--output", str(pushed.parents[1]), "--set", "name=flowers"]
    done = subprocess.run([sys.executable, "-c", command, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "2 False\n"
    assert done.stderr.startswith(f"local_runner.py: {says.format(pushed=pushed)}") and done.stderr.count("\n") == 1
    assert not says.startswith("cannot") or done.stderr.endswith("; correct the file\n")


def test_a_champion_that_can_be_used_passes_the_check(pushed):
    config = Config(name="flowers", output=pushed.parents[1])
    bulk.check_model(config)
    (pushed / "aliases.json").write_text('{"champion": 1}')
    bulk.check_model(config)
    (pushed / "2" / "saved_model.pb").unlink()
    bulk.check_model(config)
    (pushed / "1" / "saved_model.pb").unlink()
    (pushed / "2" / "saved_model.pb").write_text("")
    with pytest.raises(UserError, match="expected the champion, version 1, among"):
        bulk.check_model(config)


def test_the_latest_pushed_model_predicts_a_folder(run, first_run, photos, tmp_path):
    output, _ = first_run
    copy = tmp_path / "out"
    shutil.copytree(output, copy)  # the artifacts stay in the first folder
    flags = ["--output", copy, "--bulk"]
    done = run(*flags, photos)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, last = done.stdout.splitlines()
    folder = last.removeprefix("predictions  ")
    assert "4 photos, 1 of them not used\n" in done.stdout
    assert "not used: the format is unknown; send JPEG, PNG, GIF or BMP 1\n" in done.stdout
    rows = parquet.read_table(folder).to_pylist()
    assert {row["file"] for row in rows} == {"0.jpg", "1.jpg", "2.jpg", "broken.jpg"}
    (version,) = (path.name for path in (output / "pushed" / "sample").iterdir())
    assert {row["version"] for row in rows} == {int(version)}
    asked = ["lineage", folder, "--json", "--store", str(copy)]
    lineage = subprocess.run([sys.executable, "-m", "lineage", *asked], cwd=ROOT, capture_output=True, text=True)
    (made,) = json.loads(lineage.stdout)["made_by"]
    assert (made["node"], made["data"]) == ("BulkInferrer", str(photos))
    assert made["artifacts"][0]["pushed_destination"] == str(output / "pushed" / "sample" / version)

    again = run(*flags, photos)
    assert "cached BulkInferrer" in again.stdout
    assert again.stdout.splitlines()[-1] == last
    (photos / "broken.jpg").unlink()
    changed = run(*flags, photos)
    assert "done   BulkInferrer" in changed.stdout
    assert "3 photos, 0 of them not used\n" in changed.stdout
