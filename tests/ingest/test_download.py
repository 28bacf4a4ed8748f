"""Downloads from a local HTTP server that breaks connections, sends wrong content or stops."""

import base64
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import UserError
from ingest import download, prepare
from ingest.download import Remote
from ingest.sources import SOURCES
from tests.conftest import ROOT

CONTENT = bytes(range(256)) * 4000
FLOWERS = SOURCES["flowers"].buckets[192]


class Storage(http.server.ThreadingHTTPServer):
    """A bucket of one shard.

    `asked` is the list of (path, Range); `cut` ends the next answers early; until `go_on` is set, they are slow.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.content, self.cut, self.status, self.ranges = CONTENT, 0, 200, True
        self.go_on = threading.Event()
        self.go_on.set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Storage

    def do_GET(self):  # noqa: N802
        self.server.asked.append((self.path, self.headers.get("Range")))
        if self.server.status != 200:
            self.send_error(self.server.status)
        elif self.path.startswith("/storage/v1/"):
            self._answer(200, self._listing())
        else:
            wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
            if wanted and self.server.ranges:
                self._answer(206, self.server.content[int(wanted[1]) :])
            else:
                self._answer(200, self.server.content)

    def _listing(self) -> bytes:
        md5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
        name = FLOWERS.rpartition("/")[2] + "/flowers00-230.tfrec"
        return json.dumps({"items": [{"name": name, "size": str(len(CONTENT)), "md5Hash": md5}]}).encode()

    def _answer(self, status: int, body: bytes):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cut and not self.path.startswith("/storage/v1/"):
            self.server.cut -= 1
            body = body[: len(body) // 2]
        sent = 1000
        self.wfile.write(body[:sent])
        while not self.server.go_on.wait(1.0):
            sent += self.wfile.write(body[sent : sent + 1])
        self.wfile.write(body[sent:])

    def log_message(self, *args):
        pass


@pytest.fixture
def storage(monkeypatch) -> Iterator[Storage]:
    server = Storage()
    monkeypatch.setattr(download, "STORAGE", server.url)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def _remote(storage) -> Remote:
    return Remote(storage.url + "weights.h5", len(CONTENT), "sha256:" + hashlib.sha256(CONTENT).hexdigest())


def test_flowers_are_fetched_once(storage, tmp_path):
    folder = download.ensure_folder(tmp_path, FLOWERS)
    assert (folder / "flowers00-230.tfrec").read_bytes() == CONTENT
    asked = len(storage.asked)
    assert download.ensure_folder(tmp_path, FLOWERS) == folder
    assert len(storage.asked) == asked == 2


def test_a_broken_connection_is_resumed(storage, tmp_path):
    storage.cut = 2
    file = download.ensure_file(tmp_path, _remote(storage))
    assert file.read_bytes() == CONTENT
    assert file.parent.parent == tmp_path / "weights"
    assert _remote(storage).digest.startswith(f"sha256:{file.parent.name}")  # a row with another digest: another file
    first, *later = [wanted for _, wanted in storage.asked]
    starts = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in later]
    assert first is None
    assert len(CONTENT) // 2 - (1 << 16) < starts[0] < starts[1] < len(CONTENT)


def test_a_later_run_resumes_the_part_file(storage, tmp_path):
    part = _part(storage, tmp_path, CONTENT[:1000])
    file = download.ensure_file(tmp_path, _remote(storage))
    assert file.read_bytes() == CONTENT
    assert storage.asked == [("/weights.h5", "bytes=1000-")]
    assert list(part.parent.iterdir()) == [file]


def _part(storage, cache, content: bytes):
    part = cache / "weights" / _remote(storage).digest.removeprefix("sha256:")[:12] / "weights.h5.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def test_a_server_without_ranges_starts_over(storage, tmp_path):
    storage.ranges = False
    _part(storage, tmp_path, b"x" * 1000)
    assert download.ensure_file(tmp_path, _remote(storage)).read_bytes() == CONTENT


def test_other_content_is_refused_and_removed(storage, tmp_path):
    storage.content = CONTENT[:-1] + b"x"
    with pytest.raises(UserError, match="expected 1024000 bytes, sha256:"):
        download.ensure_file(tmp_path, _remote(storage))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_incomplete_folder_is_completed(storage, tmp_path):
    storage.cut = 99
    with pytest.raises(UserError, match="cannot download the public data gs://flowers-public/.*--data DIR"):
        download.ensure_folder(tmp_path, FLOWERS)
    storage.cut = 0
    assert (download.ensure_folder(tmp_path, FLOWERS) / "flowers00-230.tfrec").read_bytes() == CONTENT


def test_a_server_that_refuses(storage, tmp_path):
    storage.status = 403
    with pytest.raises(UserError, match="the server answered 403.*--data DIR"):
        download.ensure_folder(tmp_path, FLOWERS)


def test_an_unwritable_cache_is_not_reported_as_a_network_error(storage, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    says = f"cannot write to the cache folder {tmp_path}/file/tfx-photo-pipeline: Not a directory; set XDG_CACHE_HOME"
    with pytest.raises(UserError, match=says):
        prepare.prepare_data("flowers", None, "*.tfrec", 192)
    with pytest.raises(UserError, match=says):
        prepare.prepare_weights("imagenet", None, _remote(storage))
    with pytest.raises(UserError, match="cannot write to the cache folder .*: disk failed;"), prepare._cache_for("it"):
        raise OSError("disk failed")


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--preset", "flowers-convnet"], "--data DIR"),
        (["--preset", "flowers-xception", "--data", "{sample}"], "--weights FILE"),
    ],
)
def test_without_network_the_message_names_the_flag(run, sample, tmp_path, arguments, option):
    done = run(*[argument.format(sample=sample) for argument in arguments], "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "cannot reach the server" in done.stderr
    assert option in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_two_first_runs_at_once_fetch_once(tmp_path):
    """Each has its own output folder and both one cache, whose part file they would write at the same time.

    The first one's download ends when the second one waits for it, or else asks for the file itself.
    """
    server = Storage()
    server.go_on.clear()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    code = f"""
from ingest import download, prepare
print(prepare.prepare_weights("imagenet", None, download.{_remote(server)!r}))
"""
    command, environment = [sys.executable, "-c", code], {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    pipe = subprocess.PIPE
    said = tmp_path / "said.txt"
    with said.open("w") as errors:
        runs = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=errors) for _ in range(2)]
    deadline = time.monotonic() + 300
    while "waiting for another run" not in said.read_text() and len(server.asked) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    server.go_on.set()
    answers = [run.communicate(timeout=120)[0].decode() for run in runs]
    server.shutdown()
    server.server_close()
    assert [run.returncode for run in runs] == [0, 0], said.read_text()
    assert said.read_text().count("waiting for another run to prepare") == 1
    (path,) = {out.splitlines()[-1] for out in answers}
    assert Path(path).read_bytes() == CONTENT
    assert server.asked == [("/weights.h5", None)]
    assert [path.name for path in Path(path).parent.iterdir() if not path.name.startswith(".")] == ["weights.h5"]
