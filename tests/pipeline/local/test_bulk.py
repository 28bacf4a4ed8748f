"""`--bulk` predicts a folder with the latest pushed model, and reports mistakes before TFX is imported."""

import json
import shutil
import subprocess
import sys

import pytest
from pyarrow import parquet

import local_runner
from tests.conftest import ROOT
from tests.helpers import records

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
        (["--bulk", "{photos}/0.jpg"], "bulk.data: expected a folder of TFRecords or photos, received {photos}/0.jpg"),
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
