"""The server as a process: errors before it starts, its end, and several workers."""

import concurrent.futures
import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
import tensorflow as tf

from serving import __main__ as command
from serving import folders, ports
from tests.conftest import ROOT
from tests.helpers import served
from tests.helpers.served import NAME, PHOTOS

PHOTO = {"data": PHOTOS[0], "headers": {"Content-Type": "image/jpeg"}}
PREDICT = f"/v1/models/{NAME}:predict"


def _main(*flags, capsys):
    try:
        code = command.main([*map(str, flags)])
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--model", "none"], "--model: expected a SavedModel, or a folder with numbered versions of one, in none"),
        (["--model", "x" * 300], "--model: cannot read xxx"),
        (["--model", "token"], "--model: expected a SavedModel"),
        (["--model", "pets", "--port", "99999"], "cannot listen on 127.0.0.1, port 99999: "),
        (["--model", "pets", "--host", "203.0.113.1"], "cannot listen on 203.0.113.1, port 8501: "),
        (["--model", "pets", "--token-file", "none"], "--token-file: cannot read none: "),
        (["--model", "pets", "--token-file", "token"], "--token-file: expected one line of printable ASCII"),
        (["--model", "pets", "--token-file", "pets"], "--token-file: cannot read pets: "),
        (["--model", "pets", "--max-body-mb", "2048"], "--max-body-mb: expected at most 2047, received 2048"),
        (["--model", "pets", "--workers", "0"], "--workers: expected a number above 0, received 0"),
        (["--model", "pets", "--timeout-s", "nan"], "--timeout-s: expected a number above 0, received nan"),
        (["--model", "pets", "--poll-s", "inf"], "--poll-s: expected a number above 0, received inf"),
        (
            ["--model", "."],
            "--model: expected a SavedModel, or a folder with numbered versions of one, in .; received "
            "neither. . has pets: give one of them",
        ),
        (
            ["--model", "pets/9"],
            "--model: expected a SavedModel, or a folder with numbered versions of one, in pets/9; "
            "received neither. pets has 1: give one of them",
        ),
        (
            ["--model", "pet"],
            "--model: expected a SavedModel, or a folder with numbered versions of one, in pet; "
            "received neither. . has pets: give one of them",
        ),
        (
            ["predic", "pets"],
            "unknown command 'predic'; did you mean 'predict'? expected one of: predict, manifest, "
            "or --model DIR to serve",
        ),
        (
            ["--model", "pets", "--name", "a/b"],
            "--name: expected a name for URLs without / : ? # and %, received 'a/b'",
        ),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(push, tmp_path, monkeypatch, capsys, flags, text):
    push(), (tmp_path / "token").write_text("two words")
    monkeypatch.chdir(tmp_path)
    code, printed = _main(*flags, capsys=capsys)
    assert (code, printed.out) == (2, "")
    assert printed.err.startswith(f"serving: {text}") and printed.err.count("\n") == 1


def test_a_port_in_use_is_one_line(push, capsys):
    with socket.create_server(("127.0.0.1", 0)) as used:
        flags = ["--model", push(), "--port", used.getsockname()[1]]
        code, printed = _main(*flags, capsys=capsys)
    assert code == 2 and "Address already in use" in printed.err


def test_an_answer_does_not_wait_for_an_acknowledgement():
    with ports.listening("127.0.0.1", 0) as listens, socket.create_connection(listens.getsockname()) as client:
        accepted, _ = listens.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)  # nothing else sets it


def test_an_error_needs_no_tensorflow():
    program = "import sys; from serving.__main__ import main; code = main(['--model', 'none']); "
    program += "sys.exit('tensorflow' in sys.modules or 'uvicorn' in sys.modules or code)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


def test_the_name_is_that_of_the_folder_of_versions():
    assert [folders.name(path) for path in ("runs/pushed/sample", "runs/pushed/sample/17", "gs://b/x")] == [
        "sample",
        "sample",
        "x",
    ]


def test_sigterm_answers_what_has_begun(push):
    with served.process(push(), "--max-batch", 1, "--poll-s", 0.2) as server:
        server.wait_for(1)
        files = [("photo", photo) for photo in PHOTOS * 10]  # takes a while
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(served.Client(server.url).post, PREDICT, files=files) for _ in range(8)]
            wait = threading.Event()
            while not any(future.done() for future in sent):
                wait.wait(0.005)
            server.process.send_signal(signal.SIGTERM)
            answers = [future.result() for future in sent]
        code, lines = server.stopped()
    assert code == 0
    assert [(answer.status_code, len(answer.json()["predictions"])) for answer in answers] == [(200, 60)] * 8
    logged = [line for line in lines if line.get("path") == PREDICT]
    assert [(line["status"], line["photos"]) for line in logged] == [(200, 60)] * 8
    assert [line["message"] for line in lines if "version 1 is loaded" in line.get("message", "")]


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """A folder of versions whose only one takes forever to load, because a server runs each signature once."""
    folder = tmp_path_factory.mktemp("endless")
    module = tf.Module()
    module.count = tf.function(
        lambda photos: {"n": tf.while_loop(lambda n: n < 2**62, lambda n: n + 1, [tf.size(photos, tf.int64)])[0]}
    )
    signature = module.count.get_concrete_function(tf.TensorSpec([None], tf.string, "image_bytes"))
    tf.saved_model.save(module, str(folder / "1"), {"serving_default": signature})
    return folder


@pytest.mark.parametrize(("workers", "sign"), [(1, signal.SIGINT), (2, signal.SIGTERM)])
def test_it_stops_at_once_while_the_model_is_loaded(endless, workers, sign):
    with served.process(endless, "--workers", workers) as server:
        while server.log().count("Waiting for application startup") < workers:
            time.sleep(0.05)
        server.process.send_signal(sign)
        code, lines = server.stopped()
    assert code == 0 and not [line for line in lines if line["level"] == "error"]
    messages = [line["message"] for line in lines]
    assert messages.count("stopped before a version was loaded") == workers


def test_the_token_is_read_once(push, tmp_path):
    """A new worker has the token of the start, and no variable of a process contains it."""
    (file := tmp_path / "token").write_text("first secret".replace(" ", "-"))
    header = {"Authorization": "Bearer first-secret"}
    with served.process(push(), "--workers", 2, "--token-file", file) as server:
        _wait_for_workers(server, 2)
        file.unlink()
        parent = psutil.Process(server.process.pid)
        first, _ = before = _serving(parent)
        first.kill()
        _wait_for_workers(server, 3)
        for _ in range(20):
            with served.Client(server.url) as fresh:
                assert fresh.post(PREDICT, **PHOTO | {"headers": PHOTO["headers"] | header}).status_code == 200
        new = [each for each in _serving(parent) if each not in before]
        for each in (parent, *new):
            assert "first-secret" not in f"{each.cmdline()} {each.environ()}"
        server.process.send_signal(signal.SIGTERM)
        assert server.stopped()[0] == 0


def test_connections_above_the_limit_of_files_are_closed_and_logged_once(push):
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)); "
    limited += "from serving.__main__ import main; sys.exit(main(sys.argv[1:]))"
    with served.process(push(), program=("-c", limited)) as server:
        server.wait_for(1)
        idle = [server.connection() for _ in range(200)]
        idle[-1].settimeout(30)
        assert idle[-1].recv(1) == b""  # closed
        for each in idle:
            each.close()
        while server.get("/healthz", headers={"Connection": "close"}).status_code != 200:
            time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        code, lines = server.stopped()
    assert code == 0
    (line,) = (line["message"] for line in lines if line["level"] in ("warning", "error"))
    assert line == "128 connections are open; others are closed, until there are fewer"


def test_other_workers_answer_when_one_is_killed(push):
    with served.process(push(), "--workers", 2) as server:
        server.wait_for(1)
        parent = psutil.Process(server.process.pid)
        workers = _serving(parent)
        assert len(workers) == 2
        for _ in range(40):
            assert server.post(PREDICT, **PHOTO).status_code == 200
        workers[0].kill()
        answered = 0
        while len({each.pid for each in _serving(parent)} - {workers[0].pid}) < 2 or answered < 20:
            with served.Client(server.url) as fresh:  # a new connection, which any worker may accept
                assert fresh.post(PREDICT, **PHOTO).status_code == 200
            answered += 1
        text = server.get("/metrics").text
        (counted,) = re.findall(r'^serving_requests_total{path=":predict",.* (\S+)$', text, re.MULTILINE)
        assert float(counted) == 40 + answered  # of the killed worker, too
        server.process.send_signal(signal.SIGTERM)
        code, lines = server.stopped()
    assert code == 0 and any("died" in line.get("message", "") for line in lines)


def test_a_worker_that_is_killed_during_a_health_check_is_replaced_at_once(push):
    with served.process(push(), "--workers", 2) as server:
        server.wait_for(1)
        parent = psutil.Process(server.process.pid)
        first, _ = _serving(parent)
        first.suspend()
        time.sleep(1.5)  # the parent asks every 0.5 s, and now waits for the answer
        killed = time.monotonic()
        first.kill()
        while len({each.pid for each in _serving(parent)} - {first.pid}) < 2:
            assert time.monotonic() < killed + 60, "no other worker was started"
            time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        assert server.stopped()[0] == 0


def _wait_for_workers(server, started: int) -> None:
    """Waits until so many workers, the dead ones included, have served a version."""
    while server.log().count("is served") < started:
        time.sleep(0.05)


def _serving(parent: psutil.Process) -> list[psutil.Process]:
    """Returns the workers: the parent's children that run Python's `spawn_main`."""
    workers = []
    for child in parent.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended after it was listed, or is a zombie
            if "spawn_main" in " ".join(child.cmdline()):
                workers.append(child)
    return workers
