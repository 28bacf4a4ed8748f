"""`lineage serve`: pages equal the commands' answers, hostile text is escaped, only reports are sent as files."""

import html
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from tests.conftest import ROOT
from tests.helpers import pages, stores


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def ids(output) -> dict[str, int]:
    return pages.write(output)


@pytest.fixture(scope="module")
def get(output, ids):
    with pages.serving("--store", output) as url:

        def ask(path: str, **options) -> requests.Response:
            return requests.get(url + path, timeout=30, **options)

        ask.url = url
        yield ask


def _answer(output: Path, *question: object):
    command = [sys.executable, "-m", "lineage", *map(str, question), "--store", str(output), "--json"]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


def _text(page: requests.Response) -> str:
    """Returns the visible text of a page."""
    assert page.status_code == 200, page.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def test_the_run_list_is_that_of_the_command(get, output, ids):
    rows, page = _answer(output, "runs"), _text(get("/"))
    assert [row["id"] for row in rows] == [ids["second"], ids["first"]]
    assert page.index(f" {ids['second']} ") < page.index(" 0.7500 ")
    assert [row["state"] for row in rows] == ["failed", "refused"]
    for row in rows:
        assert f" {row['state']} " in page
    assert f"Trainer: {pages.HOSTILE}" in page
    assert f'href="/reports/{ids["report"]}"' in get("/").text
    assert "More runs" not in page
    assert "More runs" in _text(get("/?limit=1"))


def test_a_run_has_its_nodes_with_states_artifacts_and_sizes(get, ids):
    page = _text(get(f"/runs/{ids['first']}"))
    nodes = ["ImportExampleGen", "Trainer", "Evaluator", "Pusher", "Report"]
    assert [page.index(f" {node} complete") for node in nodes] == sorted(page.index(f" {node} comp") for node in nodes)
    assert f"Model {ids['model']} model, 1.5 kB" in page
    assert f"Examples {ids['examples']} examples, not on this machine" in page
    assert _text(get("/runs/latest")) == _text(get(f"/runs/{ids['second']}"))


def test_a_reports_relative_link_redirects_to_the_artifact(get, ids):
    assert _text(get("/Report/report/5/")) == _text(get(f"/artifacts/{ids['report']}"))
    for path in ("/Report/report/77/", "/%25/report/5/", "/it's/report/5/", f"/Report/report/{10**30}/"):
        assert get(path).status_code == 404


def test_models_show_the_gates_result(get, ids):
    page = _text(get("/models"))
    assert f" {ids['model']} refused 0.7500 eval {ids['first']} " in page
    assert " 1,234 " in page
    assert "in service" not in page


def test_lineage_goes_back_and_forward(get, ids):
    back = _text(get(f"/artifacts/{ids['evaluation']}"))
    assert [back.index(f"made by {node}") for node in ("Evaluator", "Trainer", "ImportExampleGen")]
    forward = _text(get(f"/artifacts/{ids['examples']}?forward=1"))
    assert forward.index("used by Trainer") < forward.index("used by Evaluator")
    assert f'href="/reports/{ids["report"]}"' in get(f"/artifacts/{ids['report']}").text


def test_two_runs_are_compared(get, ids):
    page = _text(get(f"/diff?before={ids['first']}&after={ids['second']}"))
    assert f'a 1 "{"x" * 200}" ' in page
    assert "state refused failed" in page
    assert "no differences" in _text(get(f"/diff?before={ids['first']}&after={ids['first']}"))


def test_a_report_is_sent_unchanged_in_a_sandbox(get, ids):
    assert f'href="/reports/{ids["report"]}"' in get("/reports").text
    sent = get(f"/reports/{ids['report']}")
    assert sent.text == pages.REPORT
    assert sent.headers["Content-Type"].startswith("text/html")
    policy = sent.headers["Content-Security-Policy"].split("; ")
    assert {"sandbox", "default-src 'none'"} <= set(policy)
    assert not any("script" in rule for rule in policy)


def test_hostile_text_is_escaped_and_no_page_holds_a_script(get, ids):
    of_ids = [f"/diff?before={ids['first']}", f"/runs/{ids['first']}", f"/artifacts/{ids['evaluation']}"]
    for path in ("/", "/models", "/reports", *of_ids):
        page = get(path)
        assert page.status_code == 200
        assert "<script" not in page.text.lower()
        assert "<img" not in page.text.lower()
        assert "&lt;script&gt;" in page.text
        assert "{{7*7}}" in page.text


@pytest.mark.parametrize("path", ["/", "/style.css", "/nowhere", "/diff"])
def test_every_answer_forbids_scripts_and_mime_sniffing(get, path):
    headers = get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; ")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/runs/999",
        "/artifacts/999",
        "/artifacts/-1",
        "/artifacts/99999999999999999999",
        "/reports/999",
        "/diff?before=no-such-run",
        "/diff?before=%00%1b[31m",
        "/reports/%2Fetc%2Fpasswd",
        "/reports/../../../../etc/passwd",
        "/reports/..%2f..%2fetc%2fpasswd",
        "/artifacts/etc/passwd",
        "/pages/base.html",
        "/style.css/../base.html",
        "/static/style.css",
    ],
)
def test_unknown_paths_return_not_found(get, path):
    with requests.Session() as session:
        asked = requests.Request("GET", get.url).prepare()
        asked.url = get.url + path  # unchanged, because requests would remove the dots
        answer = session.send(asked, timeout=30)
    assert answer.status_code == 404
    assert "<h1>Not Found</h1>" in answer.text
    assert "root:" not in answer.text


def test_an_unknown_run_has_the_commands_message(get):
    assert "there is no run 'no-such-run'" in html.unescape(get("/runs/no-such-run").text)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(get, method):
    assert requests.request(method, get.url, timeout=30).status_code == 405


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1.a.example:{port}", ""]
)
def test_another_host_is_refused(get, host):
    answer = get("/", headers={"Host": host.format(port=urlsplit(get.url).port)})
    assert answer.status_code in (400, 403)
    assert "0.7500" not in answer.text


def test_localhost_is_accepted(get):
    port = urlsplit(get.url).port
    assert get("/", headers={"Host": f"localhost:{port}"}).status_code == 200


def test_the_server_binds_to_localhost_only(get):
    port = urlsplit(get.url).port
    listening = {each.laddr.ip for each in psutil.net_connections("tcp") if each.laddr.port == port and not each.raddr}
    assert listening == {"127.0.0.1"}


def _hostile_places(root: Path, secret: Path) -> dict[str, str]:
    """Returns URIs of artifacts whose report must not be sent, by what is wrong with the URI."""
    folders = {name: root / "artifacts" / "p" / "n" / "c" / name for name in ("linked", "up", "ring", "out")}
    for name in ("linked", "up", "ring"):
        folders[name].mkdir(parents=True)
    (folders["linked"] / "report.html").symlink_to(secret / "report.html")
    (folders["up"] / "report.html").symlink_to("../linked/../../../../../report.html")
    (folders["ring"] / "report.html").symlink_to("report.html")
    folders["out"].symlink_to(secret)
    (root / "report.html").write_text("SECRET")
    (root / "artifacts" / "report.html").write_text("SECRET")
    return {
        "a link to a file elsewhere": str(folders["linked"]),
        "a link upwards": str(folders["up"]),
        "a folder that is a link": str(folders["out"]),
        "a folder elsewhere": str(secret),
        "a file": "/etc/passwd",
        "a way out by dots": f"{root}/artifacts/../../{secret.name}",
        "the artifacts' own folder": str(root / "artifacts"),
        "a bucket": "gs://a-bucket/report",
        "a scheme": f"file://{secret}",
        "links in a ring": str(folders["ring"]),
        "a NUL": f"{secret}\0",
        "a long name": f"{root}/artifacts/{'x' * 5000}",
        "nothing": "",
    }


def test_a_report_outside_its_artifacts_folder_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "report.html").write_text("SECRET")
    store = stores.Store(tmp_path / "runs", "p")
    places = _hostile_places(tmp_path / "runs", secret)
    numbers = {what: store.artifact("RunReport", uri) for what, uri in places.items()}
    run = store.run("2026-01-01", {"pipeline": "p"})
    store.execution(run, "Report", {}, {"report": list(numbers.values())})
    with pages.serving("--store", tmp_path / "runs") as url:
        for what, number in numbers.items():
            answer = requests.get(f"{url}/reports/{number}", timeout=30)
            assert (answer.status_code, "SECRET" in answer.text) == (404, False), what
            assert requests.get(f"{url}/artifacts/{number}", timeout=30).status_code == 200, what


def test_errors_at_start_are_one_line(output, ids, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, says in (
            (
                ["--store", str(output), "--port", str(port)],
                f"cannot listen on 127.0.0.1, port {port}: .*in use.*--port",
            ),
            (["--store", str(output), "--port", "70000"], "cannot listen on 127.0.0.1, port 70000"),
            (["--store", str(tmp_path)], "cannot read ML Metadata from"),
        ):
            command = [sys.executable, "-m", "lineage", "serve", *arguments]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ, timeout=60)
            assert (done.returncode, done.stdout) == (2, "")
            (line,) = done.stderr.splitlines()
            assert re.search(says, line), line
