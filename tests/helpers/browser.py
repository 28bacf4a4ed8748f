"""Loads a page in headless Chromium with the DevTools protocol, and returns what is visible."""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import websocket

from tests.helpers import accessibility

TIMEOUT_S = 60
IDLE_S = 0.5  # without a network request, the page is complete
# The elements that a user must be able to reach with Tab.
TARGETS = """[...document.querySelectorAll('a[href], summary, button, input, select, textarea')]
  .filter(e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0)"""
# What is visible on a page; DevTools evaluates this even if the page may not run scripts.
LOOK = """(() => {
  const box = (e) => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
  const picture = (e) => e.tagName == 'IMG' ? e.complete && e.naturalWidth > 0 : box(e) && e.childElementCount > 0;
  const pictures = [...document.querySelectorAll('img, svg')].filter(e => !e.parentElement.closest('svg'));
  return {
    width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
    pictures: pictures.length, undrawn: pictures.filter(e => !picture(e)).map(e => e.outerHTML.slice(0, 80)),
    targets: TARGETS.length, title: document.title, text: document.body.innerText,
    sideways: [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)
      .map(e => e.ariaLabel),
  };
})()""".replace("TARGETS", TARGETS)
OPEN_ALL = "document.querySelectorAll('details').forEach(e => { e.open = true; })"
MARK = """(() => {
  const e = document.activeElement;
  if (e == document.body || e.dataset.reached) return false;
  e.dataset.reached = 'yes';
  return true;
})()"""
UNREACHED = f"{TARGETS}.filter(e => !e.dataset.reached).map(e => e.outerHTML.slice(0, 80))"


class Seen(NamedTuple):
    """A loaded page. `width` is in pixels; `undrawn` are pictures and `unreached` elements, as HTML.

    `text` is the visible text, `sideways` are the labels of boxes that must be scrolled sideways. `violations` are
    those of axe-core's rules, with `audit`.
    """

    title: str
    text: str
    errors: list[str]
    requests: list[str]
    width: int
    pictures: int
    undrawn: list[str]
    targets: int
    unreached: list[str]
    sideways: list[str]
    violations: list[str]


def look(
    address: str | Path,
    width: int = 380,
    dark: bool = False,
    picture: Path | None = None,
    act: Callable[["_Page"], None] | None = None,
    audit: bool = False,
) -> Seen:
    """Loads a page in Chromium with all `details` open; skips the test if Chromium is missing.

    Args:
      address: a URL, or the path of a file.
      width: width of the window in pixels, by default a phone's.
      dark: whether the user prefers dark colours.
      act: is called when the page is loaded, for example to choose files.
      audit: whether to check the page with axe-core; the page must be allowed to run scripts.
      picture: a file for a PNG screenshot of the whole page.
    """
    url = address.resolve().as_uri() if isinstance(address, Path) else address
    with _chromium() as page:
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", **size)
        page.call("Emulation.setScrollbarsHidden", hidden=True)  # on a phone, scrollbars need no space
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[theme])
        answer = page.call("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer['errorText']}"
        page.settle()
        if act:
            act(page)
        page.evaluate(OPEN_ALL)
        seen = page.evaluate(LOOK)
        if picture:
            clip = {"x": 0, "y": 0, "width": max(seen["width"], width), "height": seen["height"], "scale": 1}
            shot = page.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
            picture.write_bytes(base64.b64decode(shot["data"]))
        violations = page.evaluate(accessibility.script()) if audit else []
        unreached = page.tab_through(seen["targets"])
    counts = {key: seen[key] for key in ("title", "text", "width", "pictures", "undrawn", "targets", "sideways")}
    return Seen(errors=page.errors, requests=page.requests, unreached=unreached, violations=violations, **counts)


class _Page:
    """A tab of Chromium. Errors and requests are collected while waiting for answers."""

    def __init__(self, socket: websocket.WebSocket):
        self._socket, self._last, self._loaded = socket, 0, False
        self.errors: list[str] = []
        self.requests: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._last:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._collect(message)

    def evaluate(self, code: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def choose(self, selector: str, *files: Path) -> None:
        """Chooses files in an input, as a person does in the dialog."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def wait_until(self, condition: str) -> None:
        """Waits until an expression of JavaScript is true."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"{condition}: {self.evaluate('document.body.innerText')}"
            time.sleep(0.05)

    def settle(self) -> None:
        """Waits until the page is loaded and sends no more requests."""
        deadline = time.monotonic() + TIMEOUT_S
        self._socket.settimeout(IDLE_S)
        while True:
            try:
                self._collect(json.loads(self._socket.recv()))
            except websocket.WebSocketTimeoutException:
                if self._loaded:
                    break
            assert time.monotonic() < deadline, "the page did not load"
        self._socket.settimeout(TIMEOUT_S)

    def tab_through(self, targets: int) -> list[str]:
        """Presses Tab until the focus starts again, and returns the elements that never had the focus."""
        misses = 0
        for _ in range(3 * targets + 50):
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            misses = 0 if self.evaluate(MARK) else misses + 1
            if misses == 3:  # the focus left the page, or reached known elements
                break
        return self.evaluate(UNREACHED)

    def _collect(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")


@contextlib.contextmanager
def _chromium() -> Iterator[_Page]:
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is missing (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        flags += ["--disable-background-networking", f"--user-data-dir={folder}", "--remote-debugging-port=0"]
        process = subprocess.Popen(
            [program, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            socket = websocket.create_connection(_address(Path(folder), process), TIMEOUT_S, suppress_origin=True)
            with contextlib.closing(socket):
                yield _Page(socket)
        finally:
            process.terminate()
            process.wait()


def _address(folder: Path, process: subprocess.Popen) -> str:
    """Returns the address of the tab, after waiting until Chromium has written its port to a file."""
    file, deadline = folder / "DevToolsActivePort", time.monotonic() + TIMEOUT_S
    while not (file.exists() and len(lines := file.read_text().splitlines()) == 2):
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, "chromium does not start"
        time.sleep(0.05)
    tabs = requests.get(f"http://127.0.0.1:{lines[0]}/json", timeout=TIMEOUT_S).json()
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
