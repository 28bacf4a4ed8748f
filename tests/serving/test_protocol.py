"""HTTP itself: slow, large, pipelined and damaged requests, and clients that do not read."""

import contextlib
import json
import logging
import socket
import threading
import time
from functools import partial

import pytest
import uvicorn

from serving import middleware
from serving.protocol import Protocol
from tests.helpers import served
from tests.helpers.served import NAME, PHOTOS

PATH = f"/v1/models/{NAME}:predict"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nConnection: close\r\n".encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


def test_slow_headers_end_the_connection_and_a_slow_client_of_many_requests_stays(push):
    with served.in_thread(served.SMALL._replace(model=str(push()), timeout_s=0.5)) as client:
        client.wait_for(1)
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        assert client.exchange(b"") == ""  # no byte
        assert client.exchange(head, b"X-Slow: ", pause=0.2) == ""
        assert client.exchange(head + b"\r\n", b"GET ", pause=0.2).count("HTTP/1.1 200 ") == 1
        received = client.exchange(*[head + b"\r\n"] * 5, head + b"Connection: close\r\n\r\n", pause=0.2)
        assert received.count("HTTP/1.1 200 ") == 6


def test_a_client_that_does_not_read_its_answer_loses_the_connection(push, caplog):
    settings = served.SMALL._replace(model=str(push()), timeout_s=0.5, max_body_mb=32, max_queue=1000)
    body = json.dumps({"signature_name": "pixels", "instances": [""] * 900}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with served.in_thread(settings) as client, caplog.at_level(logging.INFO, "serving"), socket.socket() as unread:
        client.wait_for(1)
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unread.connect(client.address)
        unread.sendall(head + body)
        ended = "a client read nothing of its answer for 0.5 s"
        assert any(ended in caplog.text or time.sleep(0.05) for _ in range(600))
        unread.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            received = len(b"".join(iter(lambda: unread.recv(2**16), b"")))
            assert received < 900 * 48 * 48 * 3 * len("0.0,")


@pytest.mark.parametrize("length", [b"abc", b"-1", b"1" * 30, b"5, 6"])
def test_a_wrong_content_length_is_refused(client, length):
    received = client.exchange(HEAD + b"Content-Length: " + length + b"\r\n\r\nabc")
    assert received.startswith(("HTTP/1.1 400 ", "HTTP/1.1 413 ")), received


def test_a_request_with_two_lengths_is_refused_and_ends_the_connection(client):
    two = HEAD.replace(b"Connection: close", b"Content-Length: 5\r\nTransfer-Encoding: chunked") + b"\r\n0\r\n\r\n"
    received = client.exchange(two + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert received.startswith("HTTP/1.1 400 ") and received.count("HTTP/1.1 ") == 1
    assert "expected Content-Length or Transfer-Encoding, received both" in received


def test_a_body_longer_than_its_content_length_is_cut(client):
    received = client.exchange(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(PHOTOS[0]), PHOTOS[0] + b"GET / more"))
    assert received.startswith("HTTP/1.1 200 ") and received.count("HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        GET + b"X Y: 1\r\n\r\n",
        GET.replace(b"Host: localhost", b"X: a") + b"\r\n",
        GET + b"Host: evil.example\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"xyz\r\n",
    ],
)
def test_what_is_not_http_is_answered_with_400_and_ends_the_connection(client, sent):
    received = client.exchange(sent)
    assert received.startswith("HTTP/1.1 400 ") and "connection: close" in received.lower(), received
    assert received.count("HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "endless",
    [
        (GET, b"X-%d: a\r\n"),
        (GET + b"X: ", b"%d"),
        (b"GET /", b"%d"),
        (CHUNKED + b"0\r\n", b"X-%d: a\r\n"),
        (CHUNKED + b"0\r\nX: ", b"%d"),
        (CHUNKED + b"1;", b"%d"),
    ],
    ids=["headers", "a header", "the target", "trailers", "a trailer", "an extension of a chunk"],
)
def test_endless_headers_and_trailers_are_refused(client, endless):
    begin, more = endless
    sent = 0
    with client.connection() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(begin)
        while sent < 2**24:
            sent += connection.send(b"".join(more % index for index in range(1000)))
        raise AssertionError("everything was taken")
    assert client.get("/healthz").status_code == 200


def test_small_chunks_are_no_headers(client):
    chunks = b"".join(b"1\r\n%b\r\n" % PHOTOS[0][index : index + 1] for index in range(len(PHOTOS[0])))
    many = chunks + b"".join(b"1\r\n%b\r\n" % b"\0" for _ in range(2**16))  # zeros after a JPEG are ignored
    assert client.exchange(CHUNKED + many + b"0\r\n\r\n").startswith("HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(client):
    paths = [b"/healthz", b"/readyz", b"/nowhere", b"/healthz"]
    requests = b"".join(GET.replace(b"/healthz", path) + b"\r\n" for path in paths)
    received = client.exchange(requests + GET + b"Connection: close\r\n\r\n")
    assert [int(part.split()[0]) for part in received.split("HTTP/1.1 ")[1:]] == [200, 200, 404, 200, 200]


@pytest.mark.parametrize("pause", [0.0, 0.1])  # the body with the headers, and after them
def test_an_upgrade_is_ignored_and_the_body_is_read(client, caplog, pause):
    """As curl --http2 and Java's HttpClient ask for it."""
    upgrade = HEAD.replace(b"Connection: close", b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c")
    parts = [upgrade + b"Content-Length: %d\r\n\r\n" % len(PHOTOS[0]), PHOTOS[0]]
    received = client.exchange(*(parts if pause else [b"".join(parts)]), pause=pause)
    assert received.startswith("HTTP/1.1 200 ") and received.count("HTTP/1.1 ") == 1
    assert '"status":""' in received
    assert "pgrade" not in caplog.text


def test_a_request_that_is_not_http_does_not_replace_the_answer_before_it(client):
    photo = HEAD.replace(b"Connection: close\r\n", b"") + b"Content-Length: %d\r\n\r\n%b" % (len(PHOTOS[0]), PHOTOS[0])
    received = client.exchange(photo + b"nonsense\r\n\r\n")
    assert [int(part.split()[0]) for part in received.split("HTTP/1.1 ")[1:]] == [200, 400]


def test_the_rest_of_a_body_is_read_and_the_connection_goes_on(client):
    lost = HEAD.replace(b":predict", b":lose").replace(b"Connection: close\r\n", b"")
    one = lost + b"Content-Length: 300000\r\n\r\n"
    received = client.exchange(one, bytes(300000), GET + b"Connection: close\r\n\r\n", pause=0.05)
    assert [int(part.split()[0]) for part in received.split("HTTP/1.1 ")[1:]] == [404, 200]


def test_a_body_that_nobody_reads_and_that_does_not_come_ends_the_connection(client, monkeypatch):
    monkeypatch.setattr(middleware, "_DRAIN_S", 0.1)
    received = client.exchange(GET + b"Content-Length: 100\r\n\r\n")
    assert received.startswith("HTTP/1.1 200 ") and "connection: close" in received


def test_a_trailer_is_no_header():
    async def app(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        names = b",".join(name for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(names))]})
        await send({"type": "http.response.body", "body": names})

    http = partial(Protocol, headers_s=5, most=10)
    server = uvicorn.Server(uvicorn.Config(app, http=http, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        client = served.Client(f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            received = client.exchange(CHUNKED + b"1\r\na\r\n0\r\nAuthorization: Bearer secret\r\n\r\n")
        finally:
            server.should_exit = True
            thread.join()
    assert received.endswith("host,content-type,connection,transfer-encoding")
