"""Folders that are written completely or not at all: new ones, existing ones and mounted volumes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from errors import UserError
from ingest import output
from ingest.target import atomic_folder, check_free
from tests.conftest import ROOT

NAMES = ["out", "a b", "[1] *?", "-x", "'\"", "写真", "می\u200cروم", "x" * 255]


def write(target: Path) -> None:
    with output.dataset_folder(target) as folder:
        for name in ("settings.yaml", "z.tfrec"):
            (folder / name).write_text(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["new", "existing", "deep"])
def test_a_target_is_written_completely(tmp_path, name, kind):
    target = tmp_path / "new" / "deep" / name if kind == "deep" else tmp_path / name
    if kind == "existing":
        target.mkdir(0o750)
        inode = target.stat().st_ino
    write(target)
    assert sorted(path.name for path in target.iterdir()) == ["settings.yaml", "z.tfrec"]
    assert len(list(target.parent.iterdir())) == 1
    if kind == "existing":  # not replaced: a mount point cannot be
        assert (target.stat().st_ino, target.stat().st_mode & 0o777) == (inode, 0o750)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
@pytest.mark.parametrize("kind", ["new", "existing", "deep"])
def test_nothing_is_left_after_an_error(tmp_path, error, kind):
    target = tmp_path / "new" / "deep" / "out" if kind == "deep" else tmp_path / "out"
    if kind == "existing":
        target.mkdir()
    with pytest.raises((error, UserError)), output.dataset_folder(target) as folder:
        (folder / "0.part").write_text("some")
        raise error
    assert list(tmp_path.rglob("*")) == ([target] if kind == "existing" else [])


def test_nothing_is_left_when_moving_into_an_existing_folder_fails(tmp_path):
    with pytest.raises(OSError), atomic_folder(tmp_path, last="a") as folder:  # noqa: PT011
        (folder / "a").touch()
        (folder / "b").touch()
        (folder / "c").touch()
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "mine").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_settings_are_moved_last(tmp_path, monkeypatch):
    moved = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, to: (moved.append(to.name), replace(path, to)))
    (tmp_path / "out").mkdir()
    write(tmp_path / "out")
    assert moved == ["z.tfrec", "settings.yaml"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.touch(), "is a file. Remove it"),
        (lambda path: (path.mkdir(), (path / "mine").touch()), "is not empty: it contains mine. Remove it"),
        (lambda path: path.parent.joinpath("parent").touch(), ""),
    ],
)
def test_targets_that_are_taken(tmp_path, make, says):
    target = tmp_path / "out"
    make(target)
    before = sorted(tmp_path.rglob("*"))
    if says:
        with pytest.raises(UserError, match=says):
            check_free(target)
    else:
        with pytest.raises(UserError, match="cannot write .*/parent/out: .*/parent is a file. Change the permissions"):
            check_free(tmp_path / "parent" / "out")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", os.fsdecode(b"\xff"), " "])
def test_names_that_cannot_be_printed_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"expected a folder of printable characters \(--to\), received .* in "):
        check_free(tmp_path / name)


def test_a_new_volume_is_empty(tmp_path):
    (tmp_path / "lost+found").mkdir()
    write(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_name_that_is_too_long_is_found_before_the_work(tmp_path):
    with pytest.raises(UserError, match="cannot read .*: File name too long"):
        check_free(tmp_path / ("x" * 256))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_found_before_the_work(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot write .*: Permission denied. Change the permissions"):
        check_free(tmp_path / "out")
    tmp_path.chmod(0o700)


def _in_new_namespace(script: str) -> subprocess.CompletedProcess:
    command = ["unshare", "--map-root-user", "--mount", "sh", "-ec", script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(
    not shutil.which("unshare") or _in_new_namespace("mount -t tmpfs none /mnt").returncode != 0,
    reason="mounting needs user namespaces",
)
def test_a_mounted_volume(tmp_path):
    (tmp_path / "volume").mkdir()
    write_it = f"{sys.executable} -c 'from tests.ingest.test_target import *; write(Path(\"{tmp_path}/volume\"))'"
    done = _in_new_namespace(f"mount -t tmpfs none {tmp_path}/volume; {write_it}; ls -A {tmp_path} {tmp_path}/volume")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"{tmp_path}:", "volume", f"{tmp_path}/volume:", "settings.yaml", "z.tfrec"]
    read_only = f"mount -t tmpfs -o ro none {tmp_path}/volume; {write_it}"
    assert "Read-only file system. Change the permissions, or" in _in_new_namespace(read_only).stderr
