"""Who is answered: the Host header and the bearer token; health, metrics and the log."""

import json
import logging

import pytest

from serving import logs, middleware, page
from tests.helpers import served
from tests.helpers.served import NAME, PHOTOS

PHOTO = {"data": PHOTOS[0], "headers": {"Content-Type": "image/jpeg"}}


def _guard(host="127.0.0.1", token=None):
    return middleware.Guard(None, host, token)


def _refused(guard, path="/v1/models/pets", **headers):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = guard._refusal({"type": "http", "path": path, "headers": raw})
    return answer and (answer.status_code, json.loads(answer.body)["error"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8501", "localhost:8501", "LOCALHOST", "[::1]:8501", "[::1]"])
def test_hosts_of_this_machine_are_answered(host):
    assert _refused(_guard(), host=host) is None
    assert _refused(_guard("::1"), host=host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "evil.example@localhost", "", "[::1", "a[b"]
    + [f"127.0.0.1{end}" for end in ("#evil", "/evil", "?evil", "\\evil", ":evil", ":80:80", " ", ",evil")],
)
def test_other_hosts_are_refused_on_a_loopback_address(host):
    status, text = _refused(_guard(), host=host)
    assert status == 400 and "expected one of the hosts 127.0.0.1, ::1, localhost, received" in text
    assert _refused(_guard("0.0.0.0"), host=host) is None


@pytest.mark.parametrize(
    "given", [None, "Bearer", "Bearer other", "Basic secret", "secret", "Bearer secret2", "Bearer é"]
)
def test_requests_without_the_token_are_refused(given):
    headers = {"host": "localhost"} | ({"authorization": given} if given else {})
    status, text = _refused(_guard(token="secret"), **headers)
    assert status == 401 and "expected the header 'Authorization: Bearer TOKEN'" in text and "secret" not in text
    assert _refused(_guard(token="secret"), "/healthz", **headers) is None


def test_requests_with_the_token_are_answered():
    for given in ("Bearer secret", "bearer  secret"):
        assert _refused(_guard(token="secret"), host="localhost", authorization=given) is None


def test_a_server_with_a_token(push, tmp_path, caplog):
    (tmp_path / "token").write_text("secret\n")
    settings = served.SMALL._replace(model=str(push()), token_file=tmp_path / "token")
    with caplog.at_level(logging.INFO), served.in_thread(settings) as client:
        refused = client.post(f"/v1/models/{NAME}:predict", data=bytes(3_000_000))  # read to its end
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
        assert client.get("/metrics").status_code == 401
        assert client.get("/readyz").text == "ready\n"
        client.headers["Authorization"] = "Bearer secret"
        assert client.post(f"/v1/models/{NAME}:predict", data=PHOTOS[0]).status_code == 400
        assert client.get("/metrics").status_code == 200
    assert "version 1 is loaded" in caplog.text and "Bearer secret" not in caplog.text


def _metric(client, name):
    lines = [line.rpartition(" ") for line in client.get("/metrics").text.splitlines()]
    return {key: float(value) for key, _, value in lines if key.startswith(name)}


def test_metrics_count_requests_batches_and_classes(client):
    of_version = '{version="7"}'
    names = ["serving_batch_photos_sum", f"serving_confidence_count{of_version}"]
    names += [f"serving_unused_photos_total{of_version}"]
    before = {name: _metric(client, name).get(name, 0) for name in names}
    files = [("photo", photo) for photo in (*PHOTOS[:3], b"no photo")]
    rows = client.post(f"/v1/models/{NAME}:predict", files=files).json()["predictions"]
    after = {name: _metric(client, name)[name] - before[name] for name in names}
    assert list(after.values()) == [4, 3, 1]
    classes = _metric(client, "serving_classes_total")
    assert {f'serving_classes_total{{label="{row["label"]}",version="7"}}' for row in rows[:3]} <= set(classes)
    client.get("/no/such/path")
    client.get(f"/v1/models/{NAME}/versions/99999")
    client.post(f"/v1/models/{NAME}:predict", data="no JSON")
    requests = _metric(client, "serving_requests_total")
    for of_request in (
        'path=":predict",status="200",version="7"',
        'path=":predict",status="400",version="7"',
        'path="status",status="404",version=""',
    ):
        assert requests[f"serving_requests_total{{{of_request}}}"] >= 1
    paths = {key.split('"')[1] for key in requests}
    paths = {each for each in paths if not each[0].isupper()}  # gRPC's methods, of other tests in this process
    assert paths <= {":predict", ":classify", "/metadata", "status", "/healthz", "/readyz", "other", *page.OPEN}
    assert _metric(client, "serving_waiting_photos") == {"serving_waiting_photos": 0}
    seconds = _metric(client, "serving_request_seconds_count")
    assert seconds['serving_request_seconds_count{path=":predict",version="7"}'] >= 1


def test_the_log_has_a_line_of_json_for_each_request_and_no_photo(client, caplog):
    with caplog.at_level(logging.INFO, "serving"):
        client.post(f"/v1/models/{NAME}:predict?secret=1", **PHOTO)
        client.post(f"/v1/models/{NAME}:predict", data='{"instances": [{"b64": "SECRET*"}]}')
        client.get("/x" * 5000 + "\n")
    lines = [json.loads(logs.Formatter().format(record)) for record in caplog.records if record.name == "serving"]
    assert [(line["method"], line["status"]) for line in lines] == [("POST", 200), ("POST", 400), ("GET", 404)]
    assert {key: lines[0][key] for key in ("path", "version", "photos")} == {
        "path": f"/v1/models/{NAME}:predict",
        "version": 7,
        "photos": 1,
    }
    assert set(lines[0]) == {"time", "level", "method", "path", "status", "ms", "version", "photos"}
    text = json.dumps(lines)
    assert "secret" not in text.lower() and len(text) < 2000


def test_an_exception_is_one_line_of_the_log():
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        args = ("serving", logging.ERROR, "", 0, "failed %s", ("here",), (type(error), error, error.__traceback__))
    line = logs.Formatter().format(logging.LogRecord(*args))
    assert "\n" not in line and json.loads(line)["message"] == "failed here" and "second" in json.loads(line)["error"]
