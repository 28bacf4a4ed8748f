"""`python -m lineage` on a server that cannot be reached: each problem is one line that says what to do."""

import contextlib
import socket
import threading
import time

import pytest

from lineage.__main__ import main
from lineage.remote import calls
from tests.helpers import stubs, tls
from tests.helpers.stubs import NOT_TOKENS


def test_a_closed_port_is_reported_at_once(fails):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    start = time.monotonic()
    said = fails(address, "runs")
    assert f"no answer from Kubeflow Pipelines: cannot reach {address.removeprefix('http://')}" in said
    assert time.monotonic() - start < 1


def test_https_at_a_port_without_tls(server, fails):
    said = fails(server.url.replace("http:", "https:"), "runs")
    assert "TLS failed with 127.0.0.1:" in said
    assert (
        ": WRONG_VERSION_NUMBER; if its certificate is private, name the authority's file in REQUESTS_CA_BUNDLE" in said
    )


def test_a_port_of_another_protocol(fails):
    with stubs.greeting(b"SSH-2.0-OpenSSH_9.2\r\n") as address:
        assert "does not answer in HTTP" in fails(address, "runs")


@pytest.mark.parametrize("content", [None, *NOT_TOKENS])
def test_an_unusable_token(server, fails, tmp_path, content):
    (tmp_path / "token").unlink()
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    says = "cannot read the token: " if content is None else "expected only a token (printable ASCII without spaces) in"
    assert f"lineage: cannot log in to Kubeflow Pipelines: {says}" in fails(server.url, "runs")
    assert server.request_counts == {}


def test_an_answer_that_never_ends(fails, monkeypatch):
    monkeypatch.setattr(calls, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as slow:

        def drip() -> None:
            connection, _ = slow.accept()
            slow.close()
            with contextlib.suppress(OSError), connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        address = f"http://127.0.0.1:{slow.getsockname()[1]}"
        start = time.monotonic()
        assert "no answer from Kubeflow Pipelines: " in fails(address, "runs")
        assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://", "expected http://HOST"),
        ("http://host:port", "expected http://HOST"),
        ("https://me:secret@host", "without a password, received host"),
        ("http://host?experiment=1", "expected http://HOST"),
        ("vertex://project", "expected vertex://PROJECT/REGION"),
        ("vertex://PROJECT/us-central1", "with the project's id in lower case, for example vertex://my-project/us"),
        ("vertex://project/us-central1/store", "expected vertex://PROJECT/REGION"),
    ],
)
def test_an_address_of_another_form(fails, address, says):
    said = fails(address, "runs")
    assert says in said
    assert "secret" not in said


def test_vertex_without_credentials(fails, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    said = fails("vertex://a-project/us-central1", "runs")
    assert "cannot log in to Vertex AI: found no usable credentials; log in with 'gcloud auth application-" in said


def test_the_certificate_is_verified(server, tmp_path, fails, monkeypatch, capsys):
    address = tls.wrap(server, tmp_path / "server.pem")
    assert "self-signed certificate; if its certificate is private, name" in fails(address, "runs")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem"))
    assert main(["runs", "--store", address]) == 0
    assert "flowers" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("address", ["https://127.0.0.1:9", "vertex://a-project/us-central1"])
def test_a_missing_certificate_file(fails, monkeypatch, server, capsys, name, address):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(name, "/no/such.pem")
    assert f"lineage: {name}: expected the file of a certificate authority, received '" in fails(address, "runs")
    assert main(["runs", "--store", server.url]) == 0  # http:// needs no certificates
