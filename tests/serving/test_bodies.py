"""Photos as bodies, forms of photos, and bodies that are damaged, too large or too slow."""

import asyncio
import json
import struct

import pytest
from starlette.requests import Request

from serving import bodies, middleware
from serving.errors import RequestError
from tests.helpers import served
from tests.helpers.served import NAME, PHOTOS

PATH = f"/v1/models/{NAME}:predict"
CLASSIFY = f"/v1/models/{NAME}:classify"


@pytest.fixture(scope="module")
def rows(client):
    """The answers for PHOTOS, each sent alone."""
    answers = [client.post(PATH, data=photo, headers={"Content-Type": "image/jpeg"}).json() for photo in PHOTOS]
    return [row for answer in answers for row in answer["predictions"]]


def _same(received, expected):
    assert [row["label"] for row in received] == [row["label"] for row in expected]
    for row, other in zip(received, expected, strict=True):
        assert row["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_a_photo_as_the_body(client, rows):
    assert len({tuple(row["probabilities"]) for row in rows}) > 1 and {row["status"] for row in rows} == {""}
    for kind in ("image/jpeg; q=1", "IMAGE/PNG", "application/octet-stream"):
        answer = client.post(PATH, data=PHOTOS[0], headers={"Content-Type": kind})
        _same(answer.json()["predictions"], rows[:1])


def test_a_form_of_photos(client, rows):
    files = [("photo", (f"{index}.jpg", photo, "image/jpeg")) for index, photo in enumerate(PHOTOS)]
    _same(client.post(PATH, files=files).json()["predictions"], rows)


def test_a_large_photo_of_a_form_is_not_written_to_a_file(client, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *args, **kwargs: pytest.fail("a file"))
    answer = client.post(PATH, files={"photo": PHOTOS[0] + bytes(1_040_000)})
    assert answer.status_code == 200


def _png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">II", width, height) + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + bytes(4)


def test_an_image_bomb_is_not_decoded(client):
    answer = client.post(PATH, data=_png(60_000, 60_000), headers={"Content-Type": "image/png"})
    (row,) = answer.json()["predictions"]
    assert "at most 178,956,970 pixels" in row["status"] and row["label"] == ""


LIST = "[" * 900 + "]" * 900  # orjson parses up to 1,024 levels


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "the body is not JSON"),
        ("{", "the body is not JSON"),
        ('{"instances": [NaN]}', "the body is not JSON"),
        ("[" * 100_000, "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (PHOTOS[0], "send a JSON object, or a photo as image/jpeg"),
        ("[1]", "expected a JSON object, received [1]"),
        ("{}", "expected instances (rows) or inputs (columns), received nothing"),
        (
            '{"instances": [], "inputs": []}',
            "expected instances (rows) or inputs (columns), received instances, inputs",
        ),
        ('{"instances": {"b64": ""}}', "instances: expected a list, received {'b64': ''}"),
        ('{"instances": 5}', "instances: expected a list, received 5"),
        ('{"instances": [5]}', """expected {"b64": …} or a string, received 5"""),
        ('{"instances": [null]}', """expected {"b64": …} or a string, received None"""),
        ('{"instances": [["a", ["b"]]]}', """expected {"b64": …} or a string"""),
        ('{"instances": [[]]}', """expected {"b64": …} or a string, received []"""),
        (f'{{"instances": {LIST}}}', "expected"),
        (f'{{"inputs": {{"image_bytes": {LIST}}}}}', "expected"),
        ('{"instances": [{"b64": 1}]}', """expected {"b64": …} or a string"""),
        ('{"instances": [{"b64": "*"}]}', "b64: expected standard base64, received '*'"),
        ('{"instances": [{"b64": "abcde"}]}', "b64: expected standard base64"),
        ('{"instances": [{"bytes": ""}]}', "unknown input of each instance in the request: 'bytes'; did you"),
        ('{"instances": [{}]}', "each instance: expected the keys image_bytes, received none for image_bytes"),
        ('{"instances": [{"image_bytes": ""}, ""]}', "each instance: expected an object with the keys image_bytes"),
        ('{"inputs": {"image": []}}', "unknown input of inputs in the request: 'image'; did you mean 'image_bytes'?"),
        ('{"inputs": {}}', "inputs: expected the keys image_bytes, received none"),
        ('{"signature_name": 5, "instances": []}', "signature_name: expected a string, received 5"),
        ('{"signature_name": [], "instances": []}', "signature_name: expected a string, received []"),
        (
            '{"signature_name": "classify", "instances": []}',
            "unknown signature of tensorflow/serving/predict in the request: 'classify'",
        ),
        ('{"signature_name": "default", "instances": []}', "did you mean 'serving_default'?"),
        (json.dumps({"signature_name": "x" * 500_000, "instances": []}), "unknown signature"),
        (json.dumps({"x" * 500_000: 1}), "received xxx"),
    ],
)
def test_errors_of_json(client, body, text):
    answer = client.post(PATH, data=body)
    assert answer.status_code == 400, answer.text
    assert text in answer.json()["error"] and len(answer.text) < 1000


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{}", "examples: expected a list of objects with features, received None"),
        ('{"examples": [5]}', "examples: expected a list of objects"),
        ('{"examples": [], "context": []}', "examples: expected a list of objects"),
        ('{"examples": [], "context": {"image": {}}}', 'expected {"b64": …} or a string'),
        ('{"examples": [], "signature_name": false}', "signature_name: expected a string, received False"),
        ('{"examples": [{"image": null}]}', "image: expected a number, a string"),
        ('{"examples": [{"image": ["a", 1]}]}', "image: expected a number, a string"),
        (f'{{"examples": [{{"image": {LIST}}}]}}', "image: expected a number, a string"),
        ('{"examples": [{"size": 18446744073709551615}]}', "size: expected numbers of 64 bits"),
        ('{"examples": [{"image": {"b64": "*"}}]}', "b64: expected standard base64"),
        ('{"examples": [], "signature_name": "serving_default"}', "unknown signature of tensorflow/serving/classify"),
        (
            json.dumps({"context": {str(index): 1 for index in range(1000)}, "examples": [{"image": 1}]}),
            "expected at most 1,000 features in an example with its context, received 1,001",
        ),
    ],
)
def test_errors_of_classify(client, body, text):
    answer = client.post(CLASSIFY, data=body)
    assert (answer.status_code, text in answer.json()["error"]) == (400, True), answer.text


FORM = {"Content-Type": "multipart/form-data; boundary=B"}
PART = b'--B\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n%b\r\n'


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        (FORM, PART % PHOTOS[0], "the multipart form is damaged: it has no end"),
        (FORM, PART % PHOTOS[0] + PART[:40], "the multipart form is damaged: it has no end"),
        (FORM, b"", "the multipart form is damaged: it has no end"),
        (FORM, b"no form", "the multipart form is damaged"),
        (FORM, b"--B\r\n\r\n\r\n--B--\r\n", "the multipart form is damaged"),
        (
            FORM,
            b'--B\r\nContent-Disposition: form-data; name="photo"\r\n\r\na.jpg\r\n--B--\r\n',
            "expected a form of files",
        ),
        (FORM, b"--B--\r\n", "expected a form of files"),
        ({"Content-Type": "multipart/form-data"}, PART % b"", "the multipart form is damaged"),
    ],
)
def test_errors_of_forms(client, headers, body, text):
    answer = client.post(PATH, data=body, headers=headers)
    assert (answer.status_code, text in answer.json()["error"]) == (400, True), answer.text


MIB = 2**20


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        (PATH, bytes(3 * MIB), "expected a body of at most 1,048,576 bytes (--max-body-mb)"),
        (PATH, iter([bytes(MIB // 2)] * 6), "expected a body of at most 1,048,576 bytes"),  # without Content-Length
        (PATH, b'{"instances": [' + b'"",' * 16 + b'""]}', "expected at most 16 photos in a request, received 17"),
        (PATH, b'{"inputs": [' + b'"",' * 16 + b'""]}', "expected at most 16 photos in a request, received 17"),
        (PATH, b'{"instances": [' + b"{" * 100_000 + b"]}", "JSON with at most 100,000 lists and objects"),
        (CLASSIFY, b'{"examples": [' + b"{}," * 16 + b"{}]}", "expected at most 16 photos in a request, received 17"),
        (
            CLASSIFY,
            json.dumps({"context": {"a": "x" * 500_000}, "examples": [{}] * 3}).encode(),
            "expected examples of at most 1,048,576 bytes with their context",
        ),
    ],
)
def test_a_request_that_is_too_large_is_answered_with_413(client, path, body, text):
    answer = client.post(path, data=body)
    assert (answer.status_code, text in answer.json()["error"]) == (413, True), answer.text


def test_an_answer_that_is_too_large_is_answered_with_413(push):
    model = str(push())
    with served.in_thread(served.SMALL._replace(model=model, max_queue=60)) as client:
        examples = {"signature_name": "pixels", "instances": [""] * 60}  # 27,648 bytes of pixels each
        answer = client.predict(examples)
        assert answer.status_code == 413
        assert answer.json()["error"] == "the answer has more than 1,048,576 bytes; send fewer photos"
        assert client.predict(examples | {"instances": [""] * 30}).status_code == 200


HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nConnection: close\r\n".encode()


def test_a_slow_body_is_answered_with_408_and_holds_nobody_up(push, monkeypatch):
    monkeypatch.setattr(middleware, "_DRAIN_S", 0.1)
    with served.in_thread(served.SMALL._replace(model=str(push()), timeout_s=1.0)) as client:
        client.wait_for(1)
        with client.connection() as slow:
            slow.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
            assert client.post(PATH, data=PHOTOS[0], headers={"Content-Type": "image/jpeg"}).status_code == 200
            received = b"".join(iter(lambda: slow.recv(65536), b"")).decode()
    assert received.startswith("HTTP/1.1 408 ") and "the body was not complete after 1 s" in received


def test_a_client_that_hangs_up_leaves_nothing(client):
    for part in (b"", PHOTOS[0][:100]):
        with client.connection() as connection:
            connection.sendall(HEAD + b"Content-Length: 5000\r\n\r\n" + part)
    with client.connection() as connection:  # complete, but nobody reads the answer
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(PHOTOS[0]), PHOTOS[0]))
    assert client.post(PATH, data=PHOTOS[0], headers={"Content-Type": "image/jpeg"}).status_code == 200


def test_bodies_in_memory_are_limited_together():
    reader = bodies.Reader(1000, 5.0)

    def request(*parts, end=None):
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]

        async def receive():
            if messages:
                return messages.pop(0)
            if end:
                await end.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        return Request({"type": "http", "method": "POST", "headers": [(b"content-type", b"image/png")]}, receive)

    async def read(request):
        async with reader.read(request) as body:
            return [len(photo) for photo in body.photos]

    async def scenario():
        end = asyncio.Event()
        held = [asyncio.create_task(read(request(bytes(1000), end=end))) for _ in range(8)]
        await asyncio.sleep(0.01)
        with pytest.raises(RequestError, match="too many bytes of requests are in memory") as error:
            await read(request(b"a"))
        end.set()
        return error.value, await asyncio.gather(*held), await read(request(b"a", b"b"))

    error, sizes, later = asyncio.run(scenario())
    assert (error.status, error.retry_after) == (429, 1)
    assert sizes == [[1000]] * 8 and later == [2]
