"""Unusable output and cache folders: one line and exit code 2, before TFX is imported."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lineage import metadata
from lineage.store import open_store
from tests.conftest import ROOT, without_network
from tests.helpers import records
from tests.helpers.stores import Store

SCRIPT = """
import sys, local_runner
code = local_runner.main(sys.argv[1:])
assert not {"tfx", "apache_beam"} & set(sys.modules), "TFX was imported"
sys.exit(code)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return records.folder(tmp_path_factory.mktemp("photos"), shards=3, per_shard=20)


def _is_refused(arguments: list[object], cache: Path, **environment: str) -> str:
    """Starts the runner in a new process; returns the line that it printed."""
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments), "--set", "trainer.batch_size=4"]
    environment = {**without_network(cache), "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert done.returncode == 2, done.stdout + done.stderr
    return line


def _damaged(output: Path) -> None:
    Store(output, "sample")
    file = output / metadata.SQLITE
    os.truncate(file, file.stat().st_size // 2)


def _overwritten(output: Path) -> None:
    Store(output, "sample")
    with (output / metadata.SQLITE).open("r+b") as file:
        file.seek(3 * 4096)
        file.write(bytes(range(256)) * 64)


def _no_database(output: Path) -> None:
    (output / metadata.SQLITE).write_text("hello")


def _foreign(output: Path) -> None:
    with closing(sqlite3.connect(output / metadata.SQLITE)) as file:
        file.execute("CREATE TABLE songs (title TEXT)")


def _newer(output: Path) -> None:
    Store(output, "sample")
    with closing(sqlite3.connect(output / metadata.SQLITE)) as file, file:
        file.execute("UPDATE MLMDEnv SET schema_version = 99")


def _artifacts_alone(output: Path) -> None:
    (output / "artifacts" / "sample" / "ImportExampleGen" / "examples" / "1").mkdir(parents=True)


def _file(name: str):
    def make(output: Path) -> None:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text("a file where a folder is expected")

    return make


def _dangling(name: str):
    return lambda output: (output / name).symlink_to("/not/mounted")


def _folder(name: str):
    return lambda output: (output / name).mkdir()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_damaged, "metadata.sqlite: database disk image is malformed"),
        (_overwritten, "metadata.sqlite is damaged: "),
        (_no_database, "metadata.sqlite: file is not a database"),
        (_foreign, "metadata.sqlite is a database, but not ML Metadata"),
        (_newer, "metadata.sqlite: MLMD database version 99 is greater than library version"),
        (_folder(metadata.SQLITE), "metadata.sqlite: unable to open database file"),
        (_folder(".lock"), ".lock: Is a directory"),
        (_dangling(metadata.SQLITE), "metadata.sqlite is a link to /not/mounted, which does not exist"),
        (_dangling("logs"), "/logs is a link to /not/mounted, which does not exist"),
        (_dangling("artifacts"), "/artifacts is a link to /not/mounted, which does not exist"),
        (_artifacts_alone, "metadata.sqlite is missing, but there are artifacts such as"),
        (_file("logs"), "/logs is a file"),
        (_file("artifacts"), "/artifacts is a file"),
        (_file("pushed"), "/pushed is a file"),
    ],
)
def test_unwritable_files_and_folders_are_named(spoil, named, photos, cache, tmp_path):
    spoil(tmp_path)
    line = _is_refused(["--data", photos, "--output", tmp_path], cache)
    assert named in line
    assert "--output DIR" in line or "pusher.directory" in line


def test_a_locked_store(photos, cache, tmp_path):
    Store(tmp_path, "sample")
    with closing(sqlite3.connect(tmp_path / metadata.SQLITE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "database is locked" in _is_refused(["--data", photos, "--output", tmp_path], cache)
    open_store(str(tmp_path))  # unharmed


def test_a_cache_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    line = _is_refused(["--output", tmp_path / "out"], tmp_path, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert f"cannot write to the cache folder {tmp_path}/file/tfx-photo-pipeline: Not a directory" in line
    assert "XDG_CACHE_HOME" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's rights")
def test_a_folder_of_another_user(photos, cache, tmp_path, monkeypatch):
    """Drops root's rights in this process, because the interpreter may be readable by root only."""
    from errors import UserError
    from lineage import lock
    from pipeline.config import Config
    from pipeline.local import output

    config = Config(output=tmp_path, pusher={"directory": tmp_path / "pushed"})
    Store(tmp_path, "sample")
    closed = [tmp_path / each for each in ("shared/pushed", "shared/artifacts")]
    for folder in closed:
        folder.mkdir(parents=True)
        folder.chmod(0o700)
    closed[0].parent.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(Path("/tmp")) and folder != Path("/tmp"):  # noqa: S108
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=r"cannot write .*\.lock: Permission denied"), lock.lock_output(tmp_path):
            pass
        with pytest.raises(UserError, match="cannot write to the folder .*: Permission denied"):
            output.check_output(config)
        for folder in closed:
            with pytest.raises(UserError, match=f"cannot write to the folder {folder}/sample: Permission denied; give"):
                output.writable(folder / "sample", "the folder", "--output DIR", make=False)
        with pytest.raises(UserError, match="cannot read ML Metadata from .*: Permission denied"):
            open_store(str(closed[0] / "sample"))
    finally:
        os.seteuid(0)
