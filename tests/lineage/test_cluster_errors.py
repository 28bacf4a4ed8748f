"""`python -m lineage` on an API that cannot be used: each problem is one line that says what to do."""

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Iterator

import pytest

from lineage.__main__ import main
from tests.helpers import stubs
from tests.helpers.kubeflow_runs import OldKubeflowRuns

pytestmark = pytest.mark.usefixtures("token")


@contextlib.contextmanager
def _answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """Serves the same answer to each request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ([401], "answered 401: made to answer 401; name a file with a valid token in KF_PIPELINES_SA_TOKEN_PATH"),
        ([403], "answered 403: made to answer 403; allow the account to list and read runs"),
        ([404], "answered 404: made to answer 404; check the address: expected the part of the UI's address before"),
        ([500] * 100, "answered 500: made to answer 500; try again later"),
        ([503] * 100, "answered 503: made to answer 503; try again later"),
        (["hang"] * 100, "no answer from Kubeflow Pipelines: the connection to 127.0.0.1:"),
        (["reset"] * 100, "broke or timed out; check the address and the network, or try again later"),
    ],
)
def test_a_refused_or_lost_request(server, fails, faults, says):
    server.faults = iter(faults)
    assert says in fails(server.url, "runs")


@pytest.mark.parametrize("fault", [429, 503, "reset"])
def test_a_transient_fault_is_retried(server, fault, capsys):
    server.faults = iter([fault, fault, None])
    assert main(["runs", "--store", server.url]) == 0
    assert "flowers" in capsys.readouterr().out
    assert server.request_counts["GET runs"] == 3


def test_a_fault_on_a_later_page_prints_no_partial_answer(server, fails):
    server.runs = server.runs * 60
    server.faults = iter([None, 403])
    assert "answered 403" in fails(server.url, "runs", "--limit", "100")


@pytest.mark.parametrize(
    ("status", "body", "headers", "says"),
    [
        (200, b"<html>Log in</html>", {}, "answered 200: a web page or text, not JSON; give a token if this is a"),
        (200, b"[]", {}, "answered 200: a web page or text, not JSON"),
        (200, b"[" * 200_000, {}, "answered 200: a web page or text, not JSON"),
        (302, b"", {"Location": "https://example.com/auth?state=secret"}, "a redirect to https://example.com/auth,"),
        (400, b"Client sent an HTTP request to an HTTPS server.", {}, "answered 400: Bad Request; "),
        (404, b"<html>", {}, "answered 404: Not Found; check the address"),
    ],
)  # fmt: skip
def test_a_server_that_is_not_the_api(fails, status, body, headers, says):
    with _answering(status, body, **headers) as address:
        said = fails(address, "runs")
    assert says in said
    assert "secret" not in said


RUN = {"run_id": "11111111-1111-1111-1111-111111111111", "display_name": "flowers-1", "state": "SUCCEEDED"}
TASK = {"type": "RUNTIME", "task_id": "t", "name": "Trainer", "state": "SUCCEEDED"}


def _tasks(**channel: object) -> dict[str, object]:
    return {"tasks": [TASK | {"outputs": {"artifacts": [{"artifact_key": "model", **channel}]}}]}


@pytest.mark.parametrize(
    "content",
    [
        {"runs": None},
        {"runs": "abc"},
        {"runs": [1]},
        {"runs": [{"display_name": "no id"}]},
        *(
            {"runs": [RUN | changed]}
            for changed in (
                {"created_at": 5},
                {"created_at": "yesterday"},
                {"created_at": "99999-01-01T00:00:00Z"},
                {"run_id": 5},
                {"display_name": 5},
                {"state": []},
                {"run_details": None},
                {"pipeline_spec": "flowers"},
                {"state": "FAILED", "error": {"message": 5}},
                {"tasks": [TASK | {"name": 5}]},
                _tasks(),
                _tasks(artifacts=[{"artifact_id": "a", "uri": 5}]),
                _tasks(artifacts=[{"artifact_id": [], "uri": "gs://bucket"}]),
            )
        ),
    ],
)
def test_an_answer_of_an_unknown_form(fails, content):
    with _answering(200, json.dumps(content).encode()) as address:
        for words in (["runs"], ["show", "latest"], ["diff", "latest"]):
            assert "Kubeflow Pipelines answered in an unknown form (" in fails(address, *words)


@pytest.mark.parametrize("words", [["show", "flowers"], ["models"], ["lineage", "gs://bucket/model"]])
def test_each_command_reports_an_unknown_form(fails, words):
    content = {"runs": [None], "artifacts": [{"artifact_id": "a", "uri": 5}]}
    with _answering(200, json.dumps(content).encode()) as address:
        assert "Kubeflow Pipelines answered in an unknown form (" in fails(address, *words)


@pytest.mark.parametrize("settings", ["weekly", "[1]", "3", "null", '{"trainer": "x"}', '{"data": []}', 3, None, {}])
def test_a_run_of_another_program_has_unknown_settings(server, capsys, settings):
    names = {name: {"runtimeValue": {"constant": settings}} for name in ("settings", "code")}
    tasks = {"Report": {"inputs": {"parameters": names}}}
    server.runs[0] = RUN | {
        "pipeline_spec": {"pipelineInfo": {"name": "other"}, "root": {"dag": {"tasks": tasks}}},
        "runtime_config": {"parameters": {"epochs": 3, "learning_rate": 0.1}},
    }
    for words in (["runs"], ["show", RUN["run_id"]], ["diff", RUN["run_id"], "flowers"], ["models"]):
        assert main([*words, "--store", server.url]) == 0
        assert words[0] == "models" or RUN["run_id"] in capsys.readouterr().out


def test_a_server_that_repeats_its_pages(fails):
    with _answering(200, json.dumps({"runs": [RUN], "next_page_token": "again"}).encode()) as address:
        assert "Kubeflow Pipelines repeats the pages of a list; check the address" in fails(address, "models")
        assert "repeats the pages of a list" in fails(address, "runs", "--pipeline", "flowers")


def test_an_answer_that_is_cut_off(fails):
    with _answering(200, b'{"runs": [', **{"Content-Length": "1000"}) as address:
        assert "no answer from Kubeflow Pipelines: the connection to 127.0.0.1:" in fails(address, "runs")


@pytest.mark.parametrize("words", [["why", "Trainer"], ["gc", "--output", "out"], ["report"], ["serve"]])
@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "vertex://project/us-central1"])
def test_commands_that_need_ml_metadata(fails, words, address):
    expected = (
        f"this command needs a store of ML Metadata, and {address} has none; use runs, show, lineage, diff or models"
    )
    assert expected in fails(address, *words)


def test_several_users_need_a_namespace(server, fails, capsys):
    server.namespace = "ada"
    assert "answered 400: " in (said := fails(server.url, "runs"))
    assert "for Kubeflow with several users, end the address with ?namespace=NAME" in said
    assert main(["runs", "--store", f"{server.url}/?namespace=ada"]) == 0
    assert "flowers" in capsys.readouterr().out


def test_unknown_names(server, fails):
    assert "there is no run 'nothing'; give an id or the start of a name: " in fails(server.url, "show", "nothing")
    assert "2 runs begin with '2026'" in fails(server.url, "show", "2026")
    assert "there is no artifact 'gs://bucket/else'" in fails(server.url, "lineage", "gs://bucket/else")


def test_an_api_without_artifacts(stored, fails):
    with stubs.serving(OldKubeflowRuns(stored)) as old:
        for words in (["lineage", "gs://bucket/Trainer/model/1"], ["models"]):
            said = fails(old.url, *words)
            assert "this version of Kubeflow Pipelines has no API for artifacts" in said
            assert "use runs, show or diff" in said


def test_a_run_that_the_server_cannot_read(server, capsys):
    error = {"code": 13, "message": "Failed to parse runtime config"}
    server.runs[0] = {"run_id": server.runs[0]["run_id"], "experiment_id": "e", "error": error}
    assert main(["runs", "--store", server.url]) == 0
    _, broken, other = capsys.readouterr().out.splitlines()
    assert broken.split() == [server.runs[0]["run_id"], "unknown", "unknown", "unknown", *error["message"].split()]
    assert "complete" in other


def test_a_run_in_progress(server, capsys):
    running = {"state": "RUNNING", "finished_at": "1970-01-01T00:00:00Z"}
    trainer = {key: value for key, value in server.runs[0]["tasks"][1].items() if key != "end_time"} | running
    server.runs[0] = {**server.runs[0], **running, "tasks": [trainer]}
    server.runs[1] = {**server.runs[1], "state": "PENDING", "finished_at": "1970-01-01T00:00:00Z", "tasks": []}
    assert main(["runs", "--store", server.url, "--state", "running"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["show", "--store", server.url]) == 0
    assert re.search(r"^Trainer +running +\S+", capsys.readouterr().out, re.MULTILINE)


def test_a_task_that_has_not_ended_has_an_unknown_duration(stored, capsys):
    with stubs.serving(OldKubeflowRuns(stored)) as old:
        old.runs[0]["run_details"]["task_details"][-1]["end_time"] = "0001-01-01T00:00:00Z"
        old.runs[0]["finished_at"] = "1970-01-01T00:00:00Z"
        assert main(["show", "--store", old.url]) == 0
        assert re.search(r"^Trainer +complete +unknown$", capsys.readouterr().out, re.MULTILINE)
