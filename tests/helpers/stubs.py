"""Local servers that imitate the REST APIs of Vertex AI and Kubeflow Pipelines, including their errors."""

import http.server
import json
import socket
import socketserver
import struct
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from google.cloud import aiplatform
from google.cloud.aiplatform_v1 import CustomJob
from google.oauth2.credentials import Credentials
from google.protobuf import json_format

from tests.helpers import submission_checks
from tests.helpers.submission_checks import Refused

TOKEN = "ya29.a-token-that-nobody-may-see"  # clients must send the token, and never print it
NOT_TOKENS = [b"", b"a\nb", b"a b", "tökén☃".encode(), "tök".encode("latin-1"), b"\xff\xfe\x80", "t".encode("utf-16")]
REASONS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
REASONS |= {409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}

Answer = tuple[int, dict[str, Any]]


class Page(NamedTuple):
    """An answer of another program: a status, a body, and a header's name and value."""

    status: int
    body: bytes
    header: tuple[str, str] = ("Content-Type", "text/html")


class Stub(http.server.ThreadingHTTPServer):
    """A service. `request_counts` counts requests by method and path.

    Each request to `faulty` (a method and the end of a path) gets the next of `faults`: a status; a Page; 'reset' or
    'hang' of the connection before the request is processed; 'reset after' or 'hang after' it is processed; or None.
    """

    faulty = "GET /nothing"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.request_counts: Counter[str] = Counter()
        self.faults: Iterator[int | Page | str | None] = iter(())
        self.states: Iterator[str | None] = iter(())  # the run's state for each poll; None or the end: a 503
        self.stopped = threading.Event()

    def next_state(self) -> str:
        state = next(self.states, None)
        if state is None:
            raise Refused(503, "The service is currently unavailable.")
        return state

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        raise NotImplementedError

    def error(self, status: int, text: str) -> Answer:
        raise NotImplementedError


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Stub

    def do_GET(self):  # noqa: N802
        self._serve()

    def do_POST(self):  # noqa: N802
        self._serve()

    def do_PATCH(self):  # noqa: N802
        self._serve()

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        path = urllib.parse.unquote(path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        self.server.request_counts[f"{self.command} {path.rsplit('/', 1)[-1]}"] += 1
        method, end = self.server.faulty.split()
        fault = next(self.server.faults, None) if self.command == method and path.endswith(end) else None
        if isinstance(fault, int):
            self._send(*self.server.error(fault, f"made to answer {fault}"))
            return
        if isinstance(fault, Page):
            self._send_bytes(fault.status, fault.body, fault.header)
            return
        if fault in (None, "reset after", "hang after"):
            answer = self._answer(path, dict(urllib.parse.parse_qsl(query)), body)
        if fault is None:
            self._send(*answer)
        elif fault.startswith("hang"):
            self.server.stopped.wait(30)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _answer(self, path: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.server.error(401, "Request is missing required authentication credential.")
        try:
            return self.server.answer(self.command, path, query, body)
        except Refused as refused:
            return self.server.error(*refused.args)

    def _send(self, status: int, content: dict[str, Any]) -> None:
        self._send_bytes(status, json.dumps(content).encode(), ("Content-Type", "application/json"))

    def _send_bytes(self, status: int, data: bytes, header: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header(*header)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Set-Cookie", f"session={TOKEN}")
        self.end_headers()
        self.wfile.write(data)

    def finish(self) -> None:
        if self.connection.fileno() != -1:  # -1 after a reset
            super().finish()

    def log_message(self, *args):
        pass


class Vertex(Stub):
    """Vertex AI with one project; `jobs` has its pipelineJobs and customJobs by id."""

    faulty = "POST /pipelineJobs"
    parent = "/v1/projects/a-project/locations/us-central1"

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, Any]] = {}

    def error(self, status: int, text: str) -> Answer:
        return status, {"error": {"code": status, "message": text, "status": REASONS.get(status, "UNKNOWN")}}

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        if not path.startswith(self.parent + "/"):
            raise Refused(403, "Permission denied on resource project, or it may not exist.")
        collection, _, job_id = path.removeprefix(self.parent + "/").partition("/")
        if method == "GET":
            return self._get(job_id)
        if collection == "customJobs":
            json_format.ParseDict(body, CustomJob.pb(CustomJob()))
            job_id = "1234"
        else:
            job_id = query["pipelineJobId"]
            submission_checks.check_pipeline_job(body)
        if job_id in self.jobs:
            raise Refused(409, f"PipelineJob {job_id} already exists.")
        self.jobs[job_id] = {**body, "name": f"{path.removeprefix('/v1/')}/{job_id}"}
        return 200, self.jobs[job_id]

    def _get(self, job_id: str) -> Answer:
        if job_id not in self.jobs:
            raise Refused(404, f"The job {job_id} does not exist.")
        job = self.jobs[job_id]
        state = self.next_state()
        if "jobSpec" in job:
            return 200, {**job, "state": f"JOB_STATE_{state}"}
        error = {"error": {"code": 9, "message": f"it {state.lower()}"}} if state == "FAILED" else {}
        tasks = [{"taskId": "1", "taskName": "CsvExampleGen", "state": state, **error}]
        return 200, {**job, "state": f"PIPELINE_STATE_{state}", "jobDetail": {"taskDetails": tasks}, **error}


class Kubeflow(Stub):
    """Kubeflow Pipelines with `experiments` and `runs` by id."""

    faulty = "POST /runs"
    prefix = "/apis/v2beta1/"
    multi_user = False

    def __init__(self) -> None:
        super().__init__()
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}

    def error(self, status: int, text: str) -> Answer:
        code = {400: 3, 404: 5, 409: 6, 403: 7, 429: 8, 500: 13, 503: 14, 401: 16}[status]
        return status, {"error": text, "code": code, "message": text, "details": []}

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        collection, _, key = path.removeprefix(self.prefix).partition("/")
        if collection == "healthz":
            return 200, {"multi_user": self.multi_user}
        known = {"experiments": self.experiments, "runs": self.runs}.get(collection)
        if known is None or not path.startswith(self.prefix):
            raise Refused(404, "Not Found")
        if self.multi_user and collection == "experiments" and not (query | body).get("namespace"):
            raise Refused(400, "Invalid input error: An experiment cannot have an empty namespace in multi-user mode")
        if method == "GET":
            return 200, (self._details(known[key]) if key else {collection: self._named(known, query)})
        if collection == "runs":
            submission_checks.check_run(body, self.experiments)
        elif any(each["display_name"] == body["display_name"] for each in known.values()):
            raise Refused(409, f"Already exist error: The name {body['display_name']} already exists.")
        field = f"{collection.removesuffix('s')}_id"
        known[f"{collection}-{len(known)}"] = {**body, field: f"{collection}-{len(known)}"}
        return 200, known[f"{collection}-{len(known) - 1}"]

    @staticmethod
    def _named(known: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        (wanted,) = json.loads(query["filter"])["predicates"]
        assert (wanted["operation"], wanted["key"]) == (1, "display_name")
        return [each for each in known.values() if each["display_name"] == wanted["stringValue"]]

    def _details(self, run: dict[str, Any]) -> dict[str, Any]:
        state = self.next_state()
        error = {"error": {"code": 9, "message": f"it {state.lower()}"}} if state == "FAILED" else {}
        tasks = [
            {"task_id": "0", "display_name": "tiny-x7f2q", "state": state},
            {"task_id": "1", "display_name": "root", "state": state},
            {"task_id": "2", "display_name": "CsvExampleGen-driver", "state": "SUCCEEDED"},
            {"task_id": "3", "display_name": "CsvExampleGen", "state": state, **error},
            {"task_id": "4", "display_name": "executor", "state": state},
            {"task_id": "5", "display_name": "executor(0)", "state": state},
        ]
        return {**run, "state": state, "run_details": {"task_details": tasks}, **error}


def refusal(kind: type[Exception], submit: Callable[..., object], **changes: Any) -> str:
    """Returns the one-line message of the exception, of exactly this type, that a submission raises."""
    with pytest.raises(kind) as caught:
        submit(**changes)
    assert type(caught.value) is kind
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def point_vertex_sdk_at(server: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points the SDK's global settings to a local server during a test."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    settings = aiplatform.initializer.global_config
    for name in ("_project", "_location", "_api_transport"):
        monkeypatch.setattr(settings, name, getattr(settings, name))
    monkeypatch.setattr(settings, "_api_endpoint", server.url)
    monkeypatch.setattr(settings, "_credentials", Credentials(token=TOKEN))


@contextmanager
def greeting(text: bytes) -> Iterator[str]:
    """Serves another protocol than HTTP, which begins with this text; yields the address as http://."""

    class Greeter(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(10)
            self.request.sendall(text)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """Serves until the block ends."""
    threading.Thread(target=stub.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield stub
    finally:
        stub.stopped.set()
        stub.shutdown()
        stub.server_close()
