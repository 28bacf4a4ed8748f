"""A page as headless Chromium shows it, asked by the DevTools protocol."""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import websocket

PATIENCE_S = 60
QUIET_S = 0.5  # nothing more is asked for
# What a person is to come to with Tab.
TARGETS = """[...document.querySelectorAll('a[href], summary, button, input, select, textarea')]
  .filter(e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0)"""
# What a person sees of a page: asked of the page, whether or not it may run scripts of its own.
LOOK = """(() => {
  const box = (e) => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
  const picture = (e) => e.tagName == 'IMG' ? e.complete && e.naturalWidth > 0 : box(e) && e.childElementCount > 0;
  const pictures = [...document.querySelectorAll('img, svg')].filter(e => !e.parentElement.closest('svg'));
  return {
    width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
    pictures: pictures.length, undrawn: pictures.filter(e => !picture(e)).map(e => e.outerHTML.slice(0, 80)),
    targets: TARGETS.length, title: document.title,
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
    """What was seen: `width` is the whole page's in pixels; `undrawn`, `unreached` are pictures and links, as HTML."""

    title: str
    errors: list[str]
    requests: list[str]
    width: int
    pictures: int
    undrawn: list[str]
    targets: int
    unreached: list[str]


def look(address: str | Path, width: int = 380, dark: bool = False, picture: Path | None = None) -> Seen:
    """Returns what Chromium shows of an address or a file, all `details` open, and skips the test where it is missing.

    Args:
      address: a URL, or a file's path.
      width: of the window, in pixels, as a phone's.
      dark: whether the person prefers dark colours.
      picture: where to write a picture of the whole page, as PNG.
    """
    url = address.resolve().as_uri() if isinstance(address, Path) else address
    with _chromium() as page:
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", **size)
        page.call("Emulation.setScrollbarsHidden", hidden=True)  # as on a phone, where they take no room
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[theme])
        answer = page.call("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer['errorText']}"
        page.settle()
        page.evaluate(OPEN_ALL)
        seen = page.evaluate(LOOK)
        if picture:
            clip = {"x": 0, "y": 0, "width": max(seen["width"], width), "height": seen["height"], "scale": 1}
            shot = page.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
            picture.write_bytes(base64.b64decode(shot["data"]))
        unreached = page.tab_through(seen["targets"])
    counts = {key: seen[key] for key in ("title", "width", "pictures", "undrawn", "targets")}
    return Seen(errors=page.errors, requests=page.requests, unreached=unreached, **counts)


class _Page:
    """A tab of Chromium. Errors and requests are gathered while answers are awaited."""

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
            self._note(message)

    def evaluate(self, code: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def settle(self) -> None:
        """Waits for the page, and for what it may still ask for."""
        deadline = time.monotonic() + PATIENCE_S
        self._socket.settimeout(QUIET_S)
        while True:
            try:
                self._note(json.loads(self._socket.recv()))
            except websocket.WebSocketTimeoutException:
                if self._loaded:
                    break
            assert time.monotonic() < deadline, "the page did not load"
        self._socket.settimeout(PATIENCE_S)

    def tab_through(self, targets: int) -> list[str]:
        """Presses Tab until it comes around, and returns what it did not come to."""
        misses = 0
        for _ in range(3 * targets + 50):
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            misses = 0 if self.evaluate(MARK) else misses + 1
            if misses == 3:  # the window's end, and what was reached before
                break
        return self.evaluate(UNREACHED)

    def _note(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.errors.append(json.dumps(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")


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
            socket = websocket.create_connection(_address(Path(folder), process), PATIENCE_S, suppress_origin=True)
            with contextlib.closing(socket):
                yield _Page(socket)
        finally:
            process.terminate()
            process.wait()


def _address(folder: Path, process: subprocess.Popen) -> str:
    """Returns the address of the tab, when Chromium has written its port down."""
    file, deadline = folder / "DevToolsActivePort", time.monotonic() + PATIENCE_S
    while not (file.exists() and len(lines := file.read_text().splitlines()) == 2):
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, "chromium does not start"
        time.sleep(0.05)
    tabs = requests.get(f"http://127.0.0.1:{lines[0]}/json", timeout=PATIENCE_S).json()
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
