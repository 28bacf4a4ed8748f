"""The gate's verdict and the report of a version: over HTTP, and on the page in headless Chromium."""

import logging
import shutil

import pytest

from components.report.make import make
from components.report.sources import VERSION_REPORT, VERSION_VERDICT
from serving import tokens
from tests.helpers import browser, served
from tests.helpers.report_run import CHECKS, CLASSES, complete_run

VERDICT, REPORT = "/verdict?version=7", "/report?version=7"


@pytest.fixture(scope="module")
def judged(exported, tmp_path_factory):
    """A folder of versions: version 7 has the report of a run with hostile class names, version 8 has none."""
    folder = tmp_path_factory.mktemp("judged")
    versions = folder / served.NAME
    for number in "78":
        shutil.copytree(exported, versions / number)
    (versions / "aliases.json").write_text('{"champion": 7, "older": 8}')
    make(complete_run(folder / "run"), str(folder / "report"), str(versions / "7"))
    return versions


@pytest.fixture(scope="module")
def client(judged):
    with served.in_thread(served.SMALL._replace(model=str(judged))) as client:
        yield client


@pytest.fixture(scope="module")
def protected(judged, token_file):
    with served.in_thread(served.SMALL._replace(model=str(judged), token_file=token_file)) as client:
        yield client


@pytest.fixture(scope="module")
def public(judged):
    """A client of a server without a token that listens on all addresses."""
    with served.in_thread(served.SMALL._replace(model=str(judged), host="0.0.0.0")) as client:
        client.url = client.url.replace("0.0.0.0", "127.0.0.1")
        yield client


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "rose.jpg").write_bytes(served.PHOTOS[0])
    return tmp_path / "rose.jpg"


def _send(*photos):
    def act(page):
        page.choose("#file", *photos)
        page.wait_until(f"document.querySelectorAll('#answers > li').length == {len(photos)}")

    return act


def test_the_verdict_of_a_version(client):
    answer = client.get(VERDICT).json()
    assert (answer["version"], answer["report"], answer["note"]) == ("7", "report?version=7", "")
    verdict = answer["verdict"]
    assert (verdict["blessed"], verdict["split"]) == (False, "test")
    for check, expected in zip(verdict["checks"], CHECKS, strict=True):
        assert check.items() >= expected.items()
    assert [each["undecided"] for each in verdict["checks"]] == [False, False, True]
    assert client.get("/verdict").json() == answer  # of the champion


def test_a_version_without_a_report(client):
    assert client.get("/verdict?version=8").json() == {"version": "8", "verdict": None, "report": None, "note": ""}
    refused = client.get("/report?version=8")
    assert refused.status_code == 404 and "version 8 has no report" in refused.json()["error"]


@pytest.mark.parametrize("path", ["verdict", "report"])
@pytest.mark.parametrize(
    ("version", "status"), [("9", 404), ("7/../8", 400), ("..%2f7", 400), ("٧", 400), ("7" * 19, 400)]
)
def test_only_loaded_versions_are_answered(client, path, version, status):
    assert client.get(f"/{path}?version={version}").status_code == status


def test_the_report_is_sent_in_a_sandbox(client, judged):
    answer = client.get(REPORT)
    assert answer.content == (judged / "7" / VERSION_REPORT).read_bytes()
    assert answer.headers["Content-Type"].startswith("text/html") and answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert {"sandbox", "default-src 'none'"} <= set(policy.split("; ")) and "script" not in policy


def test_the_report_needs_the_token_or_a_link_that_is_signed_with_it(protected, token_file):
    token = token_file.read_text().strip()
    for path in (VERDICT, REPORT, f"{REPORT}&signed={tokens.sign('other', '7')}", f"{REPORT}&signed="):
        assert protected.get(path).status_code == 401
    bearer = {"Authorization": f"Bearer {token}"}
    assert protected.get(REPORT, headers=bearer).status_code == 200
    link = protected.get(VERDICT, headers=bearer).json()["report"]
    assert token not in link
    assert protected.get(f"/{link}").text.startswith("<!doctype html>")
    signed = link.partition("&")[2]
    for path in (f"/report?version=8&{signed}", f"/report?{signed}", f"{VERDICT}&{signed}", f"/metrics?{signed}"):
        assert protected.get(path).status_code == 401, path


def test_a_link_expires(protected, token_file, monkeypatch):
    signed = tokens.sign(token_file.read_text().strip(), "7")
    assert protected.get(f"{REPORT}&signed={signed}").status_code == 200
    monkeypatch.setattr(tokens, "_LINK_S", -1)
    refused = protected.get(f"{REPORT}&signed={signed}")
    assert refused.status_code == 401 and "less than an hour old" in refused.json()["error"]


def test_without_a_token_other_machines_do_not_see_the_training_photos(public):
    answer = public.get(VERDICT).json()
    assert answer["report"] is None and answer["verdict"]["split"] == "test"
    assert VERSION_REPORT in answer["note"] and "--token-file" in answer["note"]
    refused = public.get(REPORT)
    assert refused.status_code == 403 and "training photos" in refused.json()["error"]


DAMAGED = ["", "{", "[]", '{"blessed": true, "split": "test", "checks": [{"what": "accuracy", "value": NaN}]}', b"\xff"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_verdict(push, content, caplog):
    folder = push(7)
    (folder / "7" / VERSION_VERDICT).parent.mkdir()
    (folder / "7" / VERSION_REPORT).write_text("<p>report")
    (folder / "7" / VERSION_VERDICT).write_bytes(content if isinstance(content, bytes) else content.encode())
    with served.in_thread(served.SMALL._replace(model=str(folder))) as client:
        client.wait_for(7)
        answer = client.get(VERDICT)
    assert answer.status_code == 200
    assert answer.json() == {
        "version": "7",
        "verdict": None,
        "report": "report?version=7",
        "note": "The verdict of this version cannot be read; the server's log has the reason.",
    }
    (line,) = [each.getMessage() for each in caplog.records if each.name == "serving" and each.levelno == logging.ERROR]
    assert line.startswith("the verdict of version 7 cannot be read: ") and "\n" not in line


@pytest.mark.parametrize(("width", "dark"), [(380, False), (380, True), (1200, False)])
def test_the_page_shows_the_verdict_and_links_to_the_report(client, photo, width, dark):
    seen = browser.look(f"{client.url}/", width=width, dark=dark, act=_send(photo, photo), audit=True)
    assert seen.errors == seen.unreached == seen.violations == []
    assert seen.width <= width
    seen = seen._replace(text=seen.text.replace("\xa0", " "))
    assert "version 7: did not pass the gate, accuracy 0.2000 (0.0900 to 0.3900) on test, floor 0.5000" in seen.text
    assert f"recall of {CLASSES[1]}" in seen.text and "no photos" in seen.text  # as text, not as an element
    assert "1.0000 (0.2065 to 1.0000)" in seen.text and "passed †" in seen.text and "† The threshold" in seen.text
    assert seen.text.count("Report of version 7") == 2
    assert sum("/verdict?" in request for request in seen.requests) == 1


def _open_report(page):
    """Opens the report with the keyboard, and returns its tab's title, and what the link has."""
    page.evaluate("document.querySelector('#answers a').focus()")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    titles = []
    while not any(title.endswith(": report") for title in titles):
        titles = [each["title"] for each in page.call("Target.getTargets")["targetInfos"]]
    return page.evaluate("document.querySelector('#answers a').href")


def test_the_link_opens_the_report_with_its_style_and_pictures(client, photo):
    links = []

    def act(page):
        _send(photo)(page)
        links.append(_open_report(page))

    browser.look(f"{client.url}/", act=act)
    report = browser.look(links[0])
    assert report.title == "sample: report" and report.pictures > 5 and not report.undrawn
    assert "Refused by the gate" in report.text and report.width <= 380 and not report.errors
    assert report.requests[0] == links[0] and all(each.startswith("data:") for each in report.requests[1:])


def test_the_link_works_with_a_token(protected, token_file, photo):
    links = []

    def act(page):
        page.choose("#file", photo)
        page.wait_until("!document.getElementById('access').hidden")
        page.evaluate(f"document.getElementById('token').value = {token_file.read_text().strip()!r}")
        page.evaluate("document.querySelector('#access button').click()")
        page.wait_until("document.querySelector('#answers a') != null")
        links.append(_open_report(page))

    browser.look(f"{protected.url}/", act=act)
    report = browser.look(links[0])
    assert report.pictures > 5 and not report.undrawn and not report.errors


def test_the_page_says_where_the_report_is_if_it_is_not_served(public, photo):
    seen = browser.look(f"{public.url}/", act=_send(photo), audit=True)
    assert seen.errors == seen.violations == [] and "Report of version" not in seen.text
    assert f"It is the file {VERSION_REPORT} of this version." in seen.text and "did not pass" in seen.text


def test_the_page_of_a_version_without_a_verdict(push, photo):
    folder = push(1)
    with served.in_thread(served.SMALL._replace(model=str(folder))) as client:
        client.wait_for(1)
        seen = browser.look(f"{client.url}/", act=_send(photo))
        assert not seen.errors and "version 1\n" in f"{seen.text}\n" and "gate" not in seen.text
        (folder / "1" / VERSION_VERDICT).parent.mkdir()
        (folder / "1" / VERSION_VERDICT).write_text("{")
        seen = browser.look(f"{client.url}/", act=_send(photo))
        assert not seen.errors and "The verdict of this version cannot be read" in seen.text
