"""The server's cost: a photo through REST against a direct call, 32 clients against direct calls in batches, and
the rate of a server that keeps answers (`--keep`) against one that does not.

Direct calls and requests alternate, so that the ratios hold on a busy machine. The weights are random.
"""

import contextlib
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measure import DATA, ROOT, report

MODELS = ("convnet", "efficientnet_lite0")
CLIENTS, BATCHES = 32, (8, 16, 32)
ROUNDS, SECONDS = 300, 4.0
HEAD = b"POST /v1/models/model:predict HTTP/1.1\r\nHost: localhost\r\n"
HEAD += b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


def main() -> None:
    """Prints, for each model, the times of one photo and the rates of many."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            photos = export(name, Path(folder))
            call = _direct(Path(folder))
            with _serving(Path(folder)) as address:
                _one_photo(name, photos[0], call, address)
                _many_photos(name, photos, call, address)
                _keeping(name, photos, Path(folder), address)


def export(name: str, folder: Path) -> list[bytes]:
    """Exports a model of the flowers to `folder`/model/1, and returns some photos."""
    from ingest.sample import CLASSES
    from testing import graphs
    from trainer import models
    from trainer.export import export as write

    photos = graphs.first_photos(sorted((DATA / "flowers-192").glob("*.tfrec"))[0], 64)
    transform = graphs.build(folder / "graph", photos, image_size=192)
    write(models.build(name, (192, 192, 3), 5), transform, CLASSES, str(folder / "model" / "1"))
    return photos


def _direct(folder: Path) -> Callable[[list[bytes]], None]:
    import tensorflow as tf

    model = tf.saved_model.load(str(folder / "model" / "1"))

    def call(photos: list[bytes]) -> None:
        model.signatures["serving_default"](image_bytes=tf.constant(photos))["label"].numpy()

    return call


@contextlib.contextmanager
def _serving(folder: Path, *flags: str) -> Iterator[str]:
    command = [sys.executable, "-m", "serving", "--model", str(folder / "model"), "--port", "0", *flags]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        found = re.search(r"http://([^/]+)/", process.stdout.readline() if process.stdout else "")
        if not found:
            raise SystemExit((folder / "log").read_text())
        yield found[1]
    finally:
        process.terminate()
        process.wait()


class _Client:
    """A connection with little work for a request, because clients and server share the cores."""

    def __init__(self, address: str):
        host, port = address.split(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, photo: bytes) -> None:
        self._socket.sendall(HEAD % len(photo) + photo)
        received = b""
        while b"]}" not in received:
            received += self._socket.recv(65536) or b"]}"
        if not received.startswith(b"HTTP/1.1 200") or b'"status":""' not in received:
            raise SystemExit(received.decode())


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _one_photo(name: str, photo: bytes, call: Callable[[list[bytes]], None], address: str) -> None:
    client = _Client(address)
    for _ in range(20):
        call([photo])
        client.post(photo)
    pairs = [(_seconds(lambda: call([photo])), _seconds(lambda: client.post(photo))) for _ in range(ROUNDS)]
    (direct, slow_direct), (rest, slow_rest) = (
        (statistics.median(times), statistics.quantiles(times, n=100)[98]) for times in zip(*pairs, strict=True)
    )
    more = 1000 * (rest - direct)
    report(f"{name}: p50 of REST, direct {1000 * direct:.1f} ms", f"+{more:.2f} ms", "<= 3 ms", more <= 3)
    ratio = slow_rest / slow_direct
    report(f"{name}: p99 of REST, direct {1000 * slow_direct:.1f} ms", f"{ratio:.2f} x", "<= 2 x", ratio <= 2)


def _many_photos(name: str, photos: list[bytes], call: Callable[[list[bytes]], None], address: str) -> None:
    for size in BATCHES:
        call(photos[:size])
    _load(photos, address, 1.0)
    rates: dict[str, list[float]] = {}
    for _ in range(3):
        for size in BATCHES:
            count, started = 0, time.perf_counter()
            while time.perf_counter() - started < SECONDS / len(BATCHES):
                call(photos[:size])
                count += size
            rates.setdefault(f"batch {size}", []).append(count / (time.perf_counter() - started))
        rates.setdefault("REST", []).append(_load(photos, address, SECONDS))
    medians = {key: statistics.median(values) for key, values in rates.items()}
    rest = medians.pop("REST")
    best = max(medians, key=medians.__getitem__)
    ratio = rest / medians[best]
    label = f"{name}: {CLIENTS} clients, direct {medians[best]:.0f}/s at {best}"
    report(label, f"{ratio:.2f} x", ">= 0.9 x", ratio >= 0.9)


def _keeping(name: str, photos: list[bytes], folder: Path, address: str) -> None:
    """Prints the rate with the default share of kept answers, and with all answers and photos."""
    every = ("--keep-share", "1", "--keep-photos")
    for label, flags, goal in (("--keep", (), 0.95), (" ".join(every), every, 0.5)):
        with _serving(folder, "--keep", str(folder / label), *flags) as keeping:
            _load(photos, keeping, 1.0)
            rates = [(_load(photos, keeping, SECONDS), _load(photos, address, SECONDS)) for _ in range(3)]
        ratio = statistics.median(kept / plain for kept, plain in rates)
        report(f"{name}: {CLIENTS} clients, {label}", f"{ratio:.2f} x", f">= {goal} x", ratio >= goal)


def _load(photos: list[bytes], address: str, seconds: float) -> float:
    """Returns the photos per second of many clients."""
    end = time.perf_counter() + seconds

    def client(index: int) -> int:
        connection, count = _Client(address), 0
        while time.perf_counter() < end:
            connection.post(photos[(index + count) % len(photos)])
            count += 1
        return count

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        counts = list(pool.map(client, range(CLIENTS)))
    return sum(counts) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
