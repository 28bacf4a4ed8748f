"""Submits to a local imitation of Kubeflow Pipelines with the real client."""

import itertools
from collections.abc import Iterator

import pytest

from errors import UserError
from lineage.remote import calls
from pipeline.cluster import kubeflow, submission
from pipeline.cluster.errors import ContactLost, SubmissionFailed
from pipeline.config import Cluster
from tests.helpers import compiled, stubs, tls
from tests.helpers.stubs import Page, refusal


@pytest.fixture(scope="module")
def job() -> dict:
    return compiled.job(schema_2_1=True)


@pytest.fixture
def service(monkeypatch, tmp_path) -> Iterator[stubs.Kubeflow]:
    monkeypatch.setattr(calls, "REQUEST_S", 5.0)
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(submission, "POLL_S", 0.01)
    (tmp_path / "token").write_text(stubs.TOKEN + "\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    with stubs.serving(stubs.Kubeflow()) as server:
        yield server


@pytest.fixture
def submit(job, service, said):
    """Submits the job; returns the exit code and the printed lines."""

    def call(changed=job, wait=False, endpoint=service.url, **parameters):
        cluster = Cluster(endpoint=endpoint, pipeline_root="s3://a-bucket/root")
        return kubeflow.submit(changed, cluster, "nightly", parameters or {"data": "gs://a-bucket/data"}, wait), said()

    return call


def test_without_waiting_the_link_is_printed(service, submit, job):
    code, heard = submit(data="gs://a-bucket/other")
    ((run_id, run),) = service.runs.items()
    assert (code, heard) == (0, [f"started on Kubeflow Pipelines: {service.url}/#/runs/details/{run_id}"])
    assert run["display_name"].startswith("tiny-")
    assert run["pipeline_spec"] == job["pipelineSpec"]
    assert run["runtime_config"] == {
        "pipeline_root": "s3://a-bucket/root",
        "parameters": {"data": "gs://a-bucket/other"},
    }


def test_an_experiment_is_created_once(service, submit):
    submit()
    submit()
    ((experiment_id, experiment),) = service.experiments.items()
    assert experiment["display_name"] == "nightly"
    assert [run["experiment_id"] for run in service.runs.values()] == [experiment_id] * 2


@pytest.mark.parametrize(
    ("states", "code", "last"),
    [
        (["PENDING", "RUNNING", None, "RUNNING", "SUCCEEDED"], 0, "the run: succeeded"),
        (["RUNNING", "FAILED"], 1, "the run: failed: it failed"),
        (["RUNNING", "CANCELING", "CANCELED"], 130, "the run: canceled"),
    ],
)
def test_with_waiting_each_change_of_a_task_is_printed(service, submit, states, code, last):
    service.states = iter(states)
    got, heard = submit(wait=True)
    assert (got, heard[-1]) == (code, last)
    changes = [f"CsvExampleGen: {state.lower()}" for state, _ in itertools.groupby(filter(None, states))]
    assert [line.removesuffix(": it failed") for line in heard[1:-1]] == changes


@pytest.mark.parametrize("quiet_s", [0.0, 600.0])
def test_if_nothing_changes_the_pods_are_named_once(service, submit, monkeypatch, quiet_s):
    monkeypatch.setattr(submission, "QUIET_S", quiet_s)
    service.states = iter(["PENDING", "PENDING", "PENDING", "RUNNING", "RUNNING", "SUCCEEDED"])
    _, heard = submit(wait=True)
    hints = [line for line in heard if line.endswith("kubectl get pods -n NAMESPACE (kubeflow)")]
    assert len(hints) == (1 if quiet_s == 0.0 else 0)


def test_a_request_that_was_not_processed_is_retried(service, submit):
    service.faults = iter([429, 429, None])
    assert submit()[0] == 0
    assert (len(service.runs), service.request_counts["POST runs"]) == (1, 3)


@pytest.mark.parametrize("fault", ["reset after", "hang after"])
def test_a_run_is_found_after_a_lost_answer(service, submit, monkeypatch, fault):
    monkeypatch.setattr(calls, "REQUEST_S", 1.0)
    service.faults = iter([fault])
    code, (line,) = submit()
    assert code == 0
    assert line.endswith(next(iter(service.runs)))
    assert (len(service.runs), service.request_counts["POST runs"]) == (1, 1)


@pytest.mark.parametrize("fault", [500, 503, "reset", "hang"])
def test_a_request_that_may_have_been_processed_is_not_retried(service, submit, hurried, fault):
    service.faults = iter([fault])
    says = refusal(ContactLost, submit)
    assert "before you submit again, check whether tiny-" in says
    assert says.endswith(f" is running: {service.url}/#/runs")
    assert (service.runs, service.request_counts["POST runs"]) == ({}, 1)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (401, "Kubeflow Pipelines answered 401: made to answer 401; name a file with a valid token in KF_PIPELINES_"),
        (403, "Kubeflow Pipelines answered 403: made to answer 403; allow the account to create runs"),
        (404, "Kubeflow Pipelines answered 404: made to answer 404; check cluster.endpoint"),
        (409, "Kubeflow Pipelines answered 409: made to answer 409"),
    ],
)
@pytest.mark.parametrize("faulty", ["POST /runs", "POST /experiments", "GET /healthz"])
def test_an_error_answer_is_printed(service, submit, hurried, faulty, fault, says):
    service.faulty = faulty
    service.faults = iter(itertools.repeat(fault))
    assert refusal(SubmissionFailed, submit).startswith(says)
    assert service.runs == {}


@pytest.mark.parametrize("faulty", ["POST /experiments", "GET /healthz"])
@pytest.mark.parametrize("fault", [429, 500, "reset", "hang"])
def test_without_an_experiment_no_run_is_started(service, submit, hurried, faulty, fault):
    service.faulty = faulty
    service.faults = iter(itertools.repeat(fault))
    assert "try again later" in refusal(SubmissionFailed, submit)
    assert service.request_counts["POST runs"] == 0


def test_an_experiment_is_found_after_a_lost_answer(service, submit):
    service.faulty = "POST /experiments"
    service.faults = iter(["reset after"])
    assert submit()[0] == 0
    assert len(service.experiments) == 1


LOGIN = Page(200, b"<html>Log in</html>")
PAGES = [
    (LOGIN, "answered 200: a web page or text, not JSON; give a token if this is a login page (KF_PIPELINES_SA_TOKEN_"),
    (Page(200, b"[]"), "answered 200: a web page or text, not JSON; give a token"),
    (Page(200, b"[" * 200_000), "answered 200: a web page or text, not JSON; give a token"),
    (Page(200, b"\xff\xfe"), "answered 200: a web page or text, not JSON; give a token"),
    (Page(200, b"{}", ("Content-Type", "text/html; charset=none")), "answered 200: a web page or text, not JSON; give"),
    (Page(302, b"", ("Location", "https://example.com/auth?state=secret")), "302: a redirect to https://example.com/auth,"),
    (Page(404, b"Seite nicht verf\xfcgbar"), "answered 404: Not Found; check cluster.endpoint"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "says"), PAGES)
@pytest.mark.parametrize("faulty", ["GET /healthz", "GET /experiments", "POST /experiments"])
def test_another_program_gets_no_run(service, submit, faulty, page, says):
    service.faulty, service.faults = faulty, itertools.repeat(page)
    said = refusal(SubmissionFailed, submit)
    assert says in said
    assert "secret" not in said
    assert service.request_counts["POST runs"] == 0


def test_a_server_that_answers_everything_with_an_empty_object(service, submit):
    service.faulty, service.faults = "POST /experiments", itertools.repeat(Page(200, b"{}"))
    says = "answered 200: JSON without experiment_id, so not the API of Kubeflow Pipelines; give a token"
    assert says in refusal(SubmissionFailed, submit)


@pytest.mark.parametrize("page", [LOGIN, Page(200, b"{}")])
def test_a_run_whose_answer_is_lost_in_a_page_is_looked_up(service, submit, hurried, page):
    service.faults = iter([page])
    assert f" is running: {service.url}/#/runs" in refusal(ContactLost, submit)
    assert (service.runs, service.request_counts["POST runs"]) == ({}, 1)
    assert service.request_counts["GET runs"] > 1


@pytest.mark.parametrize("page", [LOGIN, Page(200, b"{}")])
def test_a_login_that_ends_while_waiting(service, submit, page):
    service.faulty, service.faults = "GET /runs-0", iter([page])
    says = refusal(ContactLost, submit, wait=True)
    assert "; the run continues: " in says
    assert "answered 200: " in says


def test_a_port_of_another_protocol(submit, hurried):
    with stubs.greeting(b"SSH-2.0-OpenSSH_9.2\r\n") as address:
        says = refusal(SubmissionFailed, submit, endpoint=address)
    assert "no answer from Kubeflow Pipelines: the server does not answer in HTTP; " in says


def test_an_unreachable_service_is_reported_at_once(submit, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 1000.0)
    says = refusal(SubmissionFailed, submit, endpoint="http://127.0.0.1:9")
    advice = "check the address and its port-forward; try again later"
    assert says == f"no answer from Kubeflow Pipelines: cannot reach 127.0.0.1:9; {advice}"


def test_the_certificate_is_verified(service, submit, monkeypatch, tmp_path):
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 1000.0)
    address = tls.wrap(service, tmp_path / "server.pem")
    says = refusal(SubmissionFailed, submit, endpoint=address)
    assert "TLS failed with the server: self-signed certificate; if its certificate is private, name" in says
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem"))
    assert submit(endpoint=address)[0] == 0
    (tmp_path / "server.pem").unlink()
    assert "REQUESTS_CA_BUNDLE: expected the file" in refusal(UserError, submit, endpoint=address)


def test_https_at_a_port_without_tls(service, submit):
    says = refusal(SubmissionFailed, submit, endpoint=service.url.replace("http:", "https:"))
    assert "TLS failed with the server: WRONG_VERSION_NUMBER; " in says


def test_lost_contact_says_that_the_run_continues(service, submit, hurried):
    service.states = iter(["RUNNING"])
    assert f"; the run continues: {service.url}/#/runs/details/" in refusal(ContactLost, submit, wait=True)
    assert len(service.runs) == 1


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (b"another", "answered 401: Request is missing"),
        (None, "cannot log in to Kubeflow Pipelines: cannot read the token: [Errno 2] No such file"),
        *((each, "expected only a token (printable ASCII without spaces) in the file ") for each in stubs.NOT_TOKENS),
    ],
)
def test_without_a_valid_token_nothing_is_started(service, submit, tmp_path, token, says):
    (tmp_path / "token").unlink() if token is None else (tmp_path / "token").write_bytes(token)
    assert says in refusal(SubmissionFailed, submit)
    assert service.runs == {}


def test_schema_2_0_is_refused(service, submit, hurried):
    says = refusal(ContactLost, submit, changed=compiled.job(schema_2_1=False))
    assert "answered 500" in says
    assert "KFP only supports schema version 2.1.0, but the pipeline spec has version 2.0.0" in says


def test_a_resolver_is_refused(service, submit, hurried):
    says = refusal(ContactLost, submit, changed=compiled.job(schema_2_1=True, resolver=True))
    assert 'executor(label="latest_model_executor"): non-container and non-importer executor not implemented' in says
    assert "Failed to compile job Failed to generate the ExecutionSpec; try again later" in says
    assert service.runs == {}
