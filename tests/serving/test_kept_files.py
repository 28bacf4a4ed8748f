"""The files of `--keep`: their limit, killed workers, and several workers in one folder."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from ingest import kept, record_file
from serving.kept_files import KeptFiles, TooLarge
from tests.conftest import ROOT
from tests.helpers import served

MB = 2**20
WRITER = """
import sys, time
from pathlib import Path
from serving.kept_files import KeptFiles
files = KeptFiles(Path(sys.argv[1]), 2**20, 1)
for number in range(int(sys.argv[2])):
    files.write(b"%04d" % number + b"x" * 1000)
print("written", flush=True)
time.sleep(60)
"""


def _records(path):
    with path.open("rb") as file:
        return list(record_file.read(file))


def _size(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("workers", [1, 3])
def test_the_limit_is_kept_after_each_record_and_the_newest_stay(tmp_path, workers):
    each = [KeptFiles(tmp_path, MB, workers) for _ in range(workers)]
    for number in range(3000):
        each[number % workers].write(b"%04d" % number + b"x" * 1000)
        assert number % 50 or _size(tmp_path) <= MB
    for files in each:
        files.close()
    assert 0.5 * MB < _size(tmp_path) <= MB
    numbers = sorted(int(record.data[:4]) for path in kept.files(tmp_path) for record in _records(path))
    assert numbers[-1] == 2999 and numbers[0] > 1900
    assert sum(files.removed for files in each) > 0


def test_the_limit_is_kept_by_two_writers_at_once(tmp_path):
    sizes = []

    def write(files):
        for number in range(1500):
            files.write(b"x" * 1000)
            if number % 20 == 0:
                with contextlib.suppress(FileNotFoundError):  # the other writer renamed a file meanwhile
                    sizes.append(_size(tmp_path))

    threads = [threading.Thread(target=write, args=[KeptFiles(tmp_path, MB, 2)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.5 * MB < max(sizes) <= MB and len(sizes) > 50


def test_a_record_larger_than_a_file_is_refused_and_others_go_on(tmp_path):
    files = KeptFiles(tmp_path, MB, 1)
    with pytest.raises(TooLarge):
        files.write(b"x" * (MB // 4))
    files.write(b"small")
    files.close()
    assert [record.data for record in _records(*kept.files(tmp_path))] == [b"small"]


def test_a_killed_writer_loses_nothing_that_was_written(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path), "20"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        (path,) = kept.files(tmp_path)
        KeptFiles(tmp_path, MB, 1)  # does not touch the file of a living worker
        assert kept.files(tmp_path) == [path] and path.name.endswith(kept.OPEN)
        process.send_signal(signal.SIGKILL)
    with path.open("ab") as file:
        file.write(b"half a record")
    (tmp_path / f"{kept.START}empty{kept.OPEN}").touch()
    KeptFiles(tmp_path, MB, 1)
    (completed,) = kept.files(tmp_path)
    found = _records(completed)
    assert completed.name.endswith(kept.CLOSED) and not any(record.problem for record in found)
    assert [int(record.data[:4]) for record in found] == list(range(20))


def test_other_files_of_the_folder_are_never_removed(tmp_path):
    (tmp_path / "mine.tfrec").write_bytes(b"x" * 2 * MB)
    (tmp_path / "kept.txt").write_bytes(b"x")
    files = KeptFiles(tmp_path, MB, 1)
    for _ in range(3000):
        files.write(b"x" * 1000)
    files.close()
    assert (tmp_path / "mine.tfrec").exists() and (tmp_path / "kept.txt").exists()


def test_two_workers_and_one_that_is_killed(push, tmp_path):
    folder = tmp_path / "kept"
    with served.process(push(), "--workers", 2, "--keep", folder, "--keep-share", 1, "--keep-photos") as server:
        server.wait_for(1)
        sent = _send_until(server, lambda: len(list(folder.glob("kept-*"))) == 2)  # each worker has its own
        children = psutil.Process(server.process.pid).children()
        next(each for each in children if "spawn_main" in " ".join(each.cmdline())).kill()
        before = sent  # the worker that replaces the killed one completes its file
        sent += _send_until(server, lambda: list(folder.glob(f"kept-*{kept.CLOSED}")))
        server.process.send_signal(signal.SIGTERM)
        assert server.stopped()[0] == 0
    found = [each for _, each in kept.read(folder)]
    assert before - 1 <= len(found) <= sent  # of the killed worker, those that waited are lost
    assert all(path.name.endswith(kept.CLOSED) for path in folder.iterdir())
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def _send_until(server, condition):
    """Sends photos, each over a new connection, which any worker may accept; returns their number."""
    for sent in range(300):  # the log of more requests would fill the pipe
        if condition():
            return sent
        with served.Client(server.url) as fresh:
            options = {"data": served.PHOTOS[0], "headers": {"Content-Type": "image/jpeg"}}
            assert fresh.post(f"/v1/models/{served.NAME}:predict", **options).status_code == 200
        time.sleep(0.2)
    raise AssertionError("the condition did not become true")


def test_a_link_a_folder_and_a_pipe_in_the_place_of_a_file_are_left_alone(tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("not a record")
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / f"kept-0{kept.OPEN}").symlink_to(victim)
    (folder / f"kept-1{kept.OPEN}").mkdir()
    os.mkfifo(folder / f"kept-2{kept.OPEN}")
    (folder / f"kept-3{kept.OPEN}").write_bytes(b"a" * 5)
    (folder / f"kept-4{kept.OPEN}").symlink_to(folder / f"kept-4{kept.OPEN}")
    (folder / f"kept-5{kept.CLOSED}").mkdir()
    before = {path.name for path in folder.iterdir()}
    files = KeptFiles(folder, MB, 1)
    for _ in range(3000):
        files.write(b"x" * 1000)
    files.close()
    assert victim.read_text() == "not a record"
    assert before - {path.name for path in folder.iterdir()} == {f"kept-3{kept.OPEN}"}  # abandoned, without a record


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens every file")
def test_a_file_of_another_user_stops_no_server(tmp_path):
    path = tmp_path / f"kept-0{kept.OPEN}"
    path.write_bytes(b"x")
    path.chmod(0)
    KeptFiles(tmp_path, MB, 1)
    assert path.exists()


def test_answers_after_a_deletion_are_kept_in_a_new_file(tmp_path):
    files = KeptFiles(tmp_path, MB, 1)
    files.write(b"deleted")
    for path in tmp_path.iterdir():
        path.unlink()
    files.write(b"kept")
    files.close()
    assert [record.data for record in _records(*kept.files(tmp_path))] == [b"kept"]
    files.write(b"deleted before the end")
    for path in tmp_path.iterdir():
        path.unlink()
    files.close()
    assert not list(tmp_path.iterdir())
