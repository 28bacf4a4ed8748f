"""ML Metadata in MariaDB and PostgreSQL: written by a run, read by `lineage`, without showing the password."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from errors import UserError
from lineage import metadata, store
from tests.conftest import ROOT, without_network
from tests.helpers import databases, records

SETTINGS = ["data.image_size=16", "trainer.epochs=1", "trainer.batch_size=20", "model.name=softmax"]
SETTINGS += ["evaluator.min_accuracy=0", "evaluator.min_class_recall=0"]


class Written(NamedTuple):
    """A run that used a database: the server, the output folder, the printed text and the processes' arguments."""

    server: databases.Server
    output: Path
    code: int
    printed: str
    arguments: set[str]


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request):
    with databases.server(request.param) as started:
        yield started


@pytest.fixture(scope="module")
def flags(tmp_path_factory) -> list[str]:
    data = records.folder(tmp_path_factory.mktemp("data"), shards=6, per_shard=10)
    return ["--data", str(data), *(word for setting in SETTINGS for word in ("--set", setting))]


def _at(server: databases.Server, url: str | None = None, password_file: Path | None = None) -> list[str]:
    file = password_file or server.password_file
    return ["--set", f"metadata.url={url or server.url}", "--set", f"metadata.password_file={file}"]


@pytest.fixture(scope="module")
def written(server, flags, cache, tmp_path_factory) -> Written:
    output = tmp_path_factory.mktemp(server.scheme)
    command = [sys.executable, "local_runner.py", *flags, *_at(server), "--output", str(output), "--verbose"]
    arguments = set()
    with (output / "printed").open("w+") as file:
        process = psutil.Popen(command, cwd=ROOT, env=without_network(cache), stdout=file, stderr=subprocess.STDOUT)
        while process.poll() is None:
            arguments |= {" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])}
            psutil.wait_procs([process], timeout=0.5)
        file.seek(0)
        return Written(server, output, process.returncode, file.read(), arguments)


def _ask(server: databases.Server, *question: str) -> subprocess.CompletedProcess:
    place = ["--store", server.url, "--password-file", str(server.password_file)]
    command = [sys.executable, "-m", "lineage", *question, *place]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def _answer(server: databases.Server, *question: str):
    done = _ask(server, *question, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_what_a_run_writes_to_a_database_is_read_from_there(written):
    assert written.code == 0, written.printed
    assert not (written.output / "metadata.sqlite").exists()
    (run,) = _answer(written.server, "runs")
    assert (run["state"], run["error"]) == ("pushed", None)
    shown = _answer(written.server, "show")
    assert [node["node"] for node in shown["nodes"]][::9] == ["ImportExampleGen", "ServingCheck"]
    assert {node["state"] for node in shown["nodes"]} == {"complete"}
    assert run["pushed"].startswith(str(written.output / "pushed"))
    made = json.dumps(_answer(written.server, "lineage", run["pushed"]))
    for what in ("PushedModel", "ModelBlessing", "TransformGraph", "Schema", "Examples"):
        assert f'"type": "{what}"' in made


def test_lineage_does_not_print_the_librarys_log(written):
    done = _ask(written.server, "runs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pushed" in done.stdout


def test_the_password_is_not_printed_or_stored(written):
    secret = databases.PASSWORD.encode()
    files = [file for file in written.output.rglob("*") if file.is_file()]
    assert written.output / "printed" in files
    assert [file for file in files if secret in file.read_bytes()] == []
    assert any("local_runner.py" in each for each in written.arguments)
    assert [each for each in written.arguments if databases.PASSWORD in each] == []
    for question in (["runs"], ["show", "--json"]):
        assert databases.PASSWORD not in _ask(written.server, *question).stdout


def _refused(server, flags, cache, tmp_path, *at: str) -> list[str]:
    """Returns the printed lines of a run that fails before TFX is imported."""
    code = (
        "import sys, local_runner\n"
        "code = local_runner.main(sys.argv[1:])\n"
        "assert not {'tfx', 'apache_beam', 'keras'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *flags, *at, "--output", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env=without_network(cache), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert not (tmp_path / "out").exists()
    assert databases.PASSWORD not in done.stderr
    return done.stderr.splitlines()


def test_a_wrong_password_is_one_line_before_tfx_is_imported(server, flags, cache, tmp_path):
    (tmp_path / "wrong").write_text("another")
    (line,) = _refused(server, flags, cache, tmp_path, *_at(server, password_file=tmp_path / "wrong"))
    assert f"cannot use the ML Metadata in 127.0.0.1:{server.port}/lineage: check the user, the password file" in line
    assert "another" not in line


def test_a_missing_database_is_not_created(server):
    for _ in range(2):
        with pytest.raises(UserError, match=r"cannot use .*/elsewhere: check the user, the password file, the datab"):
            metadata.connect(metadata.connection_config(server.to("elsewhere"), server.password_file), "HOST/elsewhere")


@pytest.mark.parametrize("scheme", metadata.DATABASES)
def test_an_unreachable_server_is_one_line(scheme, flags, cache, tmp_path):
    url = f"{scheme}://tfx@127.0.0.1:{databases.free_port()}/lineage"
    (line,) = _refused(None, flags, cache, tmp_path, "--set", f"metadata.url={url}")
    assert "cannot reach a database server at 127.0.0.1:" in line
    assert "Connection refused; check that it is running" in line


@pytest.mark.parametrize(
    "url",
    [
        "mysql://tfx:a-secret@127.0.0.1/lineage",
        "mysql://127.0.0.1/lineage",
        "mysql://tfx@127.0.0.1/",
        "mysql://tfx@127.0.0.1:99999/lineage",
        "mysql://tfx@[::1/lineage",
        "oracle://tfx@127.0.0.1/lineage",
    ],
)
def test_an_invalid_address_is_reported_without_the_password(url):
    with pytest.raises(UserError, match="metadata: expected mysql://USER@HOST:PORT/DATABASE") as caught:
        metadata.connection_config(url)
    assert "a-secret" not in str(caught.value)


def test_a_damaged_sqlite_file_is_one_line(tmp_path):
    (tmp_path / metadata.SQLITE).write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(UserError, match="cannot read ML Metadata from .*file is not a database") as caught:
        store.open_store(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_unreadable_password_file_is_reported(tmp_path):
    with pytest.raises(UserError, match="metadata: cannot read the password file .*nowhere"):
        metadata.connection_config("mysql://tfx@127.0.0.1/lineage", tmp_path / "nowhere")
