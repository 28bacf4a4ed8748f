"""`python -m serving predict` with a model on this machine and with a server, on real photos."""

import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pyarrow import parquet

from errors import UserError
from serving import folders, tables
from serving.__main__ import main
from serving.client import Server
from tests.conftest import ROOT
from tests.helpers import served

COLUMNS = ["file", "label", "probability", "probabilities", "sure", "familiar", "status", "model", "version"]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for number, photo in enumerate(served.PHOTOS[:3]):
        (folder / f"{number}.jpg").write_bytes(photo)
    (folder / "below" / "cut.JPG").write_bytes(served.PHOTOS[3][:300])
    (folder / "note.txt").write_text("no photo")
    (folder / ".hidden.jpg").write_bytes(served.PHOTOS[0])
    return folder


def _rows(path):
    return list(csv.DictReader(path.open()))


def test_a_folder_becomes_a_table_with_a_row_for_each_photo(pushed, photos, tmp_path, capsys):
    to = tmp_path / "answers.csv"
    assert main(["predict", str(photos), "--model", str(pushed), "--to", str(to)]) == 1
    rows = _rows(to)
    assert list(rows[0]) == COLUMNS
    assert [row["file"] for row in rows] == [
        str(photos / name) for name in ("0.jpg", "1.jpg", "2.jpg", "below/cut.JPG")
    ]
    assert {row["model"] for row in rows} == {pushed.name}
    assert {row["version"] for row in rows} == {str(max(folders.find(str(pushed))))}
    for row in rows[:3]:
        probabilities = json.loads(row["probabilities"])
        assert float(row["probability"]) == max(probabilities) and abs(sum(probabilities) - 1) < 1e-5
        assert row["label"] and row["status"] == ""
    assert rows[3]["label"] == "" and rows[3]["probabilities"] == "[]" and "damaged" in rows[3]["status"]
    told = capsys.readouterr().err
    assert (
        f"3 photos predicted, 1 not used (column status); skipped 1 other files in the folders; written to {to}" in told
    )


def test_each_format_has_the_same_values_from_a_server_and_from_this_machine(pushed, client, photos, tmp_path, capsys):
    assert main(["predict", str(photos / "*.jpg"), "--model", str(pushed)]) == 0
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    for suffix in ("csv", "jsonl", "parquet"):
        to = tmp_path / f"a.{suffix}"
        assert main(["predict", str(photos / "*.jpg"), "--url", client.model, "--to", str(to)]) == 0
    by_csv = [row | {"probabilities": json.loads(row["probabilities"])} for row in _rows(tmp_path / "a.csv")]
    by_json = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    by_parquet = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(printed) == 3
    for rows in (by_csv, by_json, by_parquet):
        for row, local in zip(rows, printed, strict=True):
            assert list(row) == COLUMNS
            for key in ("file", "label", "version"):
                assert str(row[key]) == local[key]
            assert row["probabilities"] == pytest.approx(json.loads(local["probabilities"]), abs=1e-5)


def test_a_file_that_is_named_is_sent_whatever_its_suffix(pushed, photos, tmp_path, capsys):
    to = tmp_path / "a.csv"
    assert (
        main(["predict", str(photos / "note.txt"), str(photos / "1.jpg"), "--model", str(pushed), "--to", str(to)]) == 1
    )
    note, photo = _rows(to)
    assert "the format is unknown" in note["status"] and photo["label"]
    assert "1 photo predicted, 1 not used (column status); written to" in capsys.readouterr().err


def test_a_version_that_is_replaced_is_followed(client):
    server = Server(client.model)
    assert server.version == 7
    server.version = 6  # it was served when the command started
    version, answers = server.predict(served.PHOTOS[:1])
    assert version == server.version == 7 and answers[0]["label"]


_MISTAKES = [
    ("no/such/place --model M", "expected a file, a folder or a pattern that matches files, received 'no/such/place'"),
    ("EMPTY --model M", "expected photos (.bmp, .gif, .jpeg, .jpg, .png), received 1 other files"),
    ("PHOTO --model M", "--model: expected a SavedModel, or a folder with numbered versions of one, in M"),
    ("PHOTO --model M --to a.txt", "--to: expected a file that ends in .csv, .jsonl, .parquet, received 'a.txt'"),
    ("PHOTO --model M --to no/a.csv", "--to: expected a file in a folder that exists, received 'no/a.csv'"),
    ("PHOTO --model M --to EMPTY.csv", "--to: expected a file in a folder that exists, received"),
    ("PHOTO --url http://[::1/v1/models/m", "--url: expected http://HOST:PORT/v1/models/NAME, received 'http://[::1/"),
    ("PHOTO --url localhost:8501", "--url: expected http://HOST:PORT/v1/models/NAME, received 'localhost:8501'"),
    (
        "PHOTO --url http://127.0.0.1:1/v1/models/m",
        "no answer from http://127.0.0.1:1/v1/models/m: Connection refused; check --url",
    ),
    ("PHOTO --model M --token-file t", "--token-file: expected with --url, received with --model"),
    ("PHOTO --url http://127.0.0.1:1/v1/models/m --token-file t", "--token-file: cannot read t"),
]


@pytest.mark.parametrize(("arguments", "expected"), _MISTAKES)
def test_a_mistake_is_one_line(arguments, expected, photos, tmp_path, monkeypatch, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "note.txt").write_text("no photo")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    places = {"EMPTY": str(empty), "EMPTY.csv": "folder.csv", "PHOTO": str(photos / "0.jpg")}
    assert main(["predict", *(places.get(each, each) for each in arguments.split())]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("serving: ") and expected in line


def test_a_mistake_costs_no_import_of_tensorflow(photos):
    command = [sys.executable, "-X", "importtime", "-m", "serving", "predict", str(photos), "--model", str(photos)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert ended.returncode == 2 and "serving.predict" in imported and "tensorflow" not in imported


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_interrupted_table_leaves_no_file(suffix, tmp_path):
    row = dict.fromkeys(COLUMNS)
    with pytest.raises(KeyboardInterrupt), tables.writer(tmp_path / f"a.{suffix}") as writer:
        writer.write([row | {"file": "a.jpg", "probabilities": [0.5], "status": "", "model": "m"}])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_server_with_a_token_needs_its_file(protected, token_file, photos, capsys):
    command = ["predict", str(photos / "0.jpg"), "--url", protected.model]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "answered 401: expected the header 'Authorization: Bearer TOKEN'" in said
    assert said.endswith("; give the server's token: --token-file FILE\n")
    assert main([*command, "--token-file", str(token_file)]) == 0


def test_a_request_that_is_too_large_is_divided(client, tmp_path):
    """The server accepts bodies of 1 MiB; photos have 0.3 MiB, and one has 2 MiB."""
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(served.PHOTOS[number] + bytes(300_000))
    (tmp_path / "6.jpg").write_bytes(served.PHOTOS[0] + bytes(2_000_000))
    to = tmp_path / "a.csv"
    assert main(["predict", str(tmp_path), "--url", client.model, "--to", str(to)]) == 1
    rows = _rows(to)
    expected = client.post("/v1/models/pets:predict", files=[("photo", photo) for photo in served.PHOTOS[:6]])
    assert [row["label"] for row in rows[:6]] == [each["label"] for each in expected.json()["predictions"]]
    assert "the server refuses it: expected a body of at most 1,048,576 bytes" in rows[6]["status"]


@contextlib.contextmanager
def _serving(handler):
    """Yields the URL of a model on a web server that is no server of models."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/models/m"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("<html>", "expected JSON from"),
        ({"predictions": []}, "expected 1 predictions from"),
        ({"predictions": [{}, {}]}, "expected 1 predictions from"),
        ([1], "expected 1 predictions from"),
        ({"predictions": [[0.5, 0.5]]}, "expected answers with label, probabilities and status"),
        ({"predictions": [{"status": "", "label": "a", "probabilities": None}]}, "expected answers with label"),
        ({"predictions": [{"status": "", "label": "a", "probabilities": ["1"]}]}, "expected answers with label"),
    ],
)
def test_an_answer_of_another_form_is_one_line(answer, expected, photos, capsys):
    status = {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._send(json.dumps(status))

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(answer if isinstance(answer, str) else json.dumps(answer))

        def _send(self, text):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args):
            pass

    with _serving(Handler) as url:
        assert main(["predict", str(photos / "0.jpg"), "--url", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("serving: ") and expected in line


def test_another_web_server_is_one_line(photos, capsys):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)  # with a page as the body

        def log_message(self, *args):
            pass

    with _serving(Handler) as url:
        assert main(["predict", str(photos / "0.jpg"), "--url", url]) == 2
    expected = f"serving: {url} answered 404: a web page, which is no server of models; check --url\n"
    assert capsys.readouterr().err == expected


def test_a_file_that_cannot_be_written_is_one_line(pushed, photos, tmp_path, capsys, monkeypatch):
    command = ["predict", str(photos), "--model", str(pushed), "--to"]
    assert main([*command, "/dev/full/a.csv"]) == main([*command, str(tmp_path / ("x" * 300 + ".csv"))]) == 2
    assert "--to: " in capsys.readouterr().err
    monkeypatch.setattr(tables, "_TEXTS", {".csv": _Full})
    assert main([*command, str(tmp_path / "a.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("serving: --to: cannot write ") and "No space left on device; nothing was written" in line
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


class _Full:
    def __init__(self, file):
        pass

    def write(self, rows):
        raise OSError(28, "No space left on device")


def test_ctrl_c_is_one_line(photos, monkeypatch, capsys):
    from serving import predict

    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(predict, "run", interrupted)
    assert main(["predict", str(photos), "--model", "m"]) == 130
    assert capsys.readouterr().err == "serving: interrupted; a file of --to was not written\n"


def test_names_and_links_of_all_kinds_are_in_the_table(pushed, photos, tmp_path, capsys):
    odd = photos / os.fsdecode(b"caf\xe9,\n.jpg")
    odd.write_bytes(served.PHOTOS[0])
    (photos / "missing.jpg").symlink_to("nowhere")
    (photos / "loop").symlink_to(photos)
    for suffix in ("csv", "jsonl", "parquet"):
        assert main(["predict", str(photos), "--model", str(pushed), "--to", str(tmp_path / f"a.{suffix}")]) == 1
    rows = {row["file"]: row for row in _rows(tmp_path / "a.csv")}
    assert rows[f"{photos}/caf\\xe9,\n.jpg"]["label"]
    assert rows[f"{photos}/missing.jpg"]["status"] == "the file cannot be read: No such file or directory"
    assert "4 photos predicted, 2 not used (column status); skipped 2 other files" in capsys.readouterr().err


def test_a_model_that_cannot_be_used_is_one_line(tiny, photos, tmp_path, capsys):
    shutil.copytree(tiny, tmp_path / "m" / "1")
    (tmp_path / "m" / "1" / "saved_model.pb").write_bytes(b"no model")
    assert main(["predict", str(photos), "--model", str(tmp_path / "m")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("serving: --model: cannot load ")


def test_a_pipe_that_is_closed_is_no_stack_trace(pushed, photos):
    command = f"{sys.executable} -m serving predict {photos} --model {pushed} | true"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert "Traceback" not in ended.stderr


def test_another_kind_of_model_is_refused(monkeypatch, photos):
    from serving import predict

    class Other:
        name = "other"

        def predict(self, photos):
            return 1, [[0.1, 0.9] for _ in photos]

    monkeypatch.setattr(predict, "_model", lambda args: Other())
    with pytest.raises(UserError, match="expected answers with label, probabilities and status, received"):
        predict.run(predict.parser().parse_args([str(photos / "0.jpg"), "--model", "m"]))
