"""`serving_skew.kept` compares a folder of --keep with the training photos."""

import pytest

import local_runner
from errors import UserError
from pipeline import settings
from pipeline.cluster import cluster_settings
from tests.helpers import records


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("none", "serving_skew.kept: cannot read the kept answers in {folder}: No such file or directory"),
        ("", "serving_skew.kept: expected files of --keep in {folder}, received none; give the folder of --keep"),
        ("gs://bucket/kept", "serving_skew.kept: expected a path on this machine, received gs://bucket/kept"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(folder, says, sample, tmp_path, monkeypatch, capfd, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    folder = folder if "://" in folder else f"{tmp_path}/{folder}".rstrip("/")
    out = tmp_path / "out"
    assert local_runner.main(["--set", f"serving_skew.kept={folder}", "--output", str(out)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert says.format(folder=folder) in line and not out.exists()


def test_a_cluster_refuses_it(tmp_path):
    records.folder(tmp_path / "data", shards=1, per_shard=2)
    config = settings.load(changes={"serving_skew.kept": "/kept", "data.directory": "gs://bucket/data"})
    with pytest.raises(UserError, match="serving_skew.kept: expected null on a cluster, .*; received /kept"):
        cluster_settings.check_compiled(config, "kubeflow")
