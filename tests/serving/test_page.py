"""The page at `/` in headless Chromium: photos are chosen, pasted and dropped, on a phone and on a desktop."""

import base64

import pytest

from tests.helpers import browser, served


@pytest.fixture
def photos(tmp_path):
    files = {"rose.jpg": served.PHOTOS[0], "tulip.jpg": served.PHOTOS[1], "cut.jpg": served.PHOTOS[2][:300]}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in files]


def _sent(count):
    return f"document.querySelectorAll('#answers > li').length == {count}"


@pytest.mark.parametrize(("width", "dark"), [(380, False), (380, True), (1200, False)])
def test_each_photo_has_its_classes_on_a_phone_and_on_a_desktop(width, dark, client, photos):
    def act(page):
        page.choose("#file", *photos)
        page.wait_until(_sent(3))
        page.wait_until("document.querySelectorAll('#answers img').length == 2")

    seen = browser.look(f"{client.url}/", width=width, dark=dark, act=act, audit=True)
    assert seen.errors == seen.undrawn == seen.unreached == seen.violations == []
    assert seen.width <= width
    assert seen.title == served.NAME and seen.pictures == 2
    assert all(request.startswith((client.url, "blob:", "data:")) for request in seen.requests)
    assert "Not used" in seen.text and "the photo is damaged: it cannot be decoded" in seen.text
    assert "version 7" in seen.text and "3 photos answered." in seen.text
    instances = [{"b64": base64.b64encode(photo).decode()} for photo in served.PHOTOS[:2]]
    for answer in client.predict({"instances": instances}).json()["predictions"]:
        shown = answer["label"] if answer["sure"] else f"Not sure: perhaps {answer['label']}"
        assert shown in seen.text and f"{max(answer['probabilities']) * 100:.1f} %" in seen.text


_TRANSFER = """(async () => {
  const bytes = Uint8Array.from(atob('PHOTO'), (each) => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], 'flower.jpg', {type: 'image/jpeg'}));
  document.dispatchEvent(EVENT);
})()"""
_EVENTS = {
    "paste": "new ClipboardEvent('paste', {clipboardData: data, bubbles: true})",
    "drop": "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})",
}


@pytest.mark.parametrize("event", _EVENTS)
def test_a_photo_can_be_pasted_and_dropped(event, client):
    def act(page):
        photo = base64.b64encode(served.PHOTOS[0]).decode()
        page.evaluate(_TRANSFER.replace("PHOTO", photo).replace("EVENT", _EVENTS[event]))
        page.wait_until(_sent(1))

    seen = browser.look(f"{client.url}/", act=act)
    assert not seen.errors and "flower.jpg" in seen.text and "version 7" in seen.text


def test_the_page_asks_for_the_token(protected, token_file, photos):
    def act(page):
        page.choose("#file", photos[0])
        page.wait_until("!document.getElementById('access').hidden")
        page.evaluate(f"document.getElementById('token').value = {token_file.read_text().strip()!r}")
        page.evaluate("document.querySelector('#access button').click()")
        page.wait_until(_sent(1))

    seen = browser.look(f"{protected.url}/", act=act)
    assert "version 7" in seen.text and not seen.unreached


def test_the_page_runs_no_script_but_its_own(client):
    headers = client.get("/").headers
    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path, kind in (("/page.js", "text/javascript"), ("/page.css", "text/css")):
        assert client.get(path).headers["Content-Type"].startswith(kind)
    assert client.get("/index.html").status_code == 404


def test_the_classes_of_a_version(client):
    answer = client.get("/classes?version=7").json()
    assert answer["version"] == "7" and len(answer["classes"]) == 5 == len(client.get("/classes").json()["classes"])
    assert client.get("/classes?version=x").json()["error"].startswith("version: expected a number, received 'x'")
    assert client.get("/classes?version=8").status_code == 404
