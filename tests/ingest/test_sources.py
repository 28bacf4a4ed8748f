"""A row of the table of data sources is all that settings, runs, clusters and `python -m ingest` need."""

from pathlib import Path

import pytest

from errors import UserError
from ingest import __main__ as command_line
from ingest import output
from ingest.flags import Number
from ingest.sources import SOURCES, Command, Source, is_drawn
from pipeline import settings
from pipeline.cluster import cluster_settings
from pipeline.local import local_settings
from tests.conftest import ROOT
from tests.helpers import records
from tests.pipeline.cluster.test_cluster_settings import SOUND

MADE = {"data.source": "dots", "trainer.batch_size": 4}


def ensure(cache: Path, image_size: int) -> Path:
    folder = cache / f"dots-v1-{image_size}"
    return folder if folder.exists() else records.folder(folder)


def make(source: Path, target: Path, *, seed: int, command: str, dots: int) -> output.WrittenDataset:
    assert (source, command.split()[:4]) == (Path("in"), ["python", "-m", "ingest", "dots"])
    return output.WrittenDataset({"a": dots, "b": seed}, 2, [(source / "x", "no dots")])


@pytest.fixture(autouse=True)
def dots(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    command = Command(
        "tests.ingest.test_sources.make",
        "pages of dots",
        "PAGES_DIR",
        "holds pages",
        {"dots": Number(1, 9, 3, "a page")},
    )
    monkeypatch.setitem(SOURCES, "dots", Source(ensure="tests.ingest.test_sources.ensure", drawn=True, command=command))
    monkeypatch.setitem(SOURCES, "far", Source(buckets={96: "gs://a-bucket/far-96"}))


def test_a_run_makes_it_in_the_cache(tmp_path):
    config = local_settings.resolve(settings.load(changes=MADE | {"output": str(tmp_path / "out")}))
    assert config.data.directory == tmp_path / "tfx-photo-pipeline" / "dots-v1-48"
    assert is_drawn(config.data.directory)
    assert not is_drawn(tmp_path / "far-v1")


def test_a_cluster_reads_it_from_its_bucket(tmp_path):
    changes = {key: value for key, value in SOUND.items() if key != "data.directory"}
    far = settings.load(changes=changes | {"data.source": "far", "data.image_size": 96})
    assert cluster_settings.resolve(far, "vertex", ROOT, False, submitted=True).data.directory == "gs://a-bucket/far-96"
    made = settings.load(changes=changes | MADE)
    assert cluster_settings.resolve(made, "vertex", ROOT, False, submitted=False).data.directory.name == "dots-v1-48"
    with pytest.raises(UserError, match="--data.*received nothing"):
        cluster_settings.resolve(made, "vertex", ROOT, False, submitted=True)


def test_settings_know_its_name_and_sizes():
    with pytest.raises(UserError, match="did you mean 'dots'. expected one of: .*, dots, far; received 'dot'"):
        settings.load(changes={"data.source": "dot"})
    with pytest.raises(UserError, match="data.image_size: expected one of 96, the sizes of far; received 64"):
        settings.load(changes={"data.source": "far", "data.image_size": 64})


def test_its_command_has_its_flags(capsys):
    assert command_line.main(["dots", "in", "--to", "out", "--dots", "5", "--seed", "2"]) == 0
    printed = capsys.readouterr().out
    assert "7 photos in 2 shards: out\n1 skipped:\n  in/x: no dots\nnext: python local_runner.py --config" in printed
    for arguments, says in (["--help"], "photos | mnist | dots"), (["dots", "--help"], "a page (3)"):
        with pytest.raises(SystemExit):
            command_line.main(arguments)
        assert says in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command_line.main(["dots", "in", "--to", "out", "--dots", "0"])
    assert "expected a whole number from 1 to 9, received '0'" in capsys.readouterr().err
