"""`python -m serving predict` with files, names and outputs that cannot be read, shown or written."""

import csv
import os
import subprocess
import sys

import pytest

from serving import tables
from serving.__main__ import main
from tests.conftest import ROOT
from tests.helpers import served


def _rows(path):
    return list(csv.DictReader(path.open()))


def test_a_pipe_a_device_and_a_huge_file_have_a_reason(pushed, tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with (tmp_path / "b.jpg").open("wb") as file:
        file.truncate(2**30 + 1)  # without content on the disk
    (tmp_path / "c.jpg").symlink_to("/dev/zero")
    (tmp_path / "d.jpg").symlink_to("d.jpg")
    (tmp_path / "e.jpg").write_bytes(served.PHOTOS[0])
    to = tmp_path / "a.csv"
    assert main(["predict", str(tmp_path), "--model", str(pushed), "--to", str(to)]) == 1
    no_file = "the file cannot be read: expected a file, received a folder, a pipe or a device"
    assert [row["status"] for row in _rows(to)] == [
        no_file,
        "the file cannot be read: expected at most 1,073,741,824 bytes, received 1,073,741,825",
        no_file,
        "the file cannot be read: Too many levels of symbolic links",
        "",
    ]


@pytest.mark.parametrize("name", ["a\rb.jpg", "a\nb.jpg", 'a"\r\n.jpg', "a,b.jpg"])
def test_a_line_break_in_a_name_stays_in_its_cell(name, tmp_path):
    row = dict.fromkeys(tables.COLUMNS) | {"file": name, "probabilities": [0.5], "status": "", "model": "m"}
    with tables.writer(tmp_path / "a.csv") as writer:
        writer.write([row, row])
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [each["file"] for each in csv.DictReader(file)] == [name, name]
    header, _ = (tmp_path / "a.csv").read_bytes().split(b"\n", 1)
    assert header.decode() == ",".join(tables.COLUMNS)


def test_a_full_disk_and_a_name_that_the_terminal_cannot_show(pushed, tmp_path):
    (tmp_path / "\U0001f431.jpg").write_bytes(served.PHOTOS[0])
    command = [sys.executable, "-m", "serving", "predict", str(tmp_path), "--model", str(pushed)]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=120)
    (line,) = (line for line in ended.stderr.splitlines() if "standard output" in line)
    assert line == "serving: cannot write to standard output: No space left on device; give a file (--to)"
    assert ended.returncode == 2 and "Traceback" not in ended.stderr and "Exception" not in ended.stderr
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, env=ascii_only)
    assert ended.returncode == 0 and "/\\U0001f431.jpg," in ended.stdout


@pytest.mark.parametrize("url", ["http://me:SECRET@h/v1/models/m", "http://me:SEC/RET@h/v1/models/m", "me:SECRET@h"])
def test_a_password_in_the_url_is_refused_and_not_shown(url, tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(served.PHOTOS[0])
    assert main(["predict", str(tmp_path), "--url", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "without a user name and password" in line and "SEC" not in line


@pytest.mark.parametrize(("end", "version"), [("", 1), ("/labels/challenger", 2), ("/versions/2/", 2)])
def test_a_url_may_name_a_version(folder, tmp_path, capsys, end, version):
    (tmp_path / "odd.jpg").write_bytes(served.PHOTOS[0] + bytes(1 - len(served.PHOTOS[0]) % 2))
    with served.in_thread(served.SMALL._replace(model=str(folder))) as client:
        client.wait_for(2)
        assert main(["predict", str(tmp_path / "odd.jpg"), "--url", client.model + end]) == 0
        (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
        assert (row["version"], row["label"] == "odd") == (str(version), version == 2)
        assert main(["predict", str(tmp_path / "odd.jpg"), "--url", f"{client.model}/labels/nobody"]) == 2
        assert "unknown label in the request: 'nobody'; expected one of: challenger" in capsys.readouterr().err
