"""Speed and memory of `python -m ingest photos` on 3,670 photos at their own sizes, next to a plain Pillow script."""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from benchmarks.measure import DATA, ROOT, report
from ingest.example_proto import Example
from ingest.examples import make_example
from ingest.record_file import read, write_record

PHOTOS = 3670
SIZE = 192
ROUNDS = 3
TIMES = 8  # as many photos, for the memory


class Run(NamedTuple):
    """Wall time and CPU time of a process in seconds, and its peak memory in MB."""

    seconds: float
    cpu: float
    megabytes: float


def main() -> None:
    """Prints the best of three interleaved runs, and the memory for eight times the photos."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _write_photos(folder / "once")
        ours, plain = [], []
        for index in range(ROUNDS):
            ours.append(_ingest(folder / "once", folder / f"ours{index}"))
            plain.append(_run("benchmarks.ingest_photos", folder / "once", folder / f"plain{index}"))
        best, reference = min(ours), min(plain)
        speed, ratio = PHOTOS / best.seconds, reference.seconds / best.seconds
        report(f"ingest photos, {PHOTOS:,} native photos at {SIZE} px", f"{speed:.0f}/s", ">= 400/s", speed >= 400)
        report("  the time of a plain Pillow script, relative", f"{ratio:.2f} x", ">= 1.5 x", ratio >= 1.5)
        print(f"  CPU: {best.cpu:.1f} s, the plain script {reference.cpu:.1f} s", flush=True)
        for copy in range(TIMES):
            for path in (folder / "once").glob("*/*"):
                target = folder / "more" / path.parent.name / f"{copy}-{path.name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, target)
        growth = _ingest(folder / "more", folder / "many").megabytes / best.megabytes
        report(
            f"  memory for {TIMES} x the photos; once {best.megabytes:.0f} MB",
            f"{growth:.2f} x",
            "<= 1.2 x",
            growth <= 1.2,
        )


def _ingest(source: Path, target: Path) -> Run:
    return _run("ingest", "photos", source, "--to", target, "--size", SIZE)


def _run(module: str, *arguments: object) -> Run:
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{module} failed")
    return Run(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3)


def _write_photos(folder: Path) -> None:
    """Writes different photos: those of the data, then copies with another pixel."""
    for index, (label, content) in zip(range(PHOTOS), _repeated(), strict=False):
        path = folder / label / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(content)) as photo:
            photo.putpixel((0, 0), (index % 256, index // 256, 0))
            photo.save(path, quality=92)


def _repeated() -> Iterator[tuple[str, bytes]]:
    while True:
        for shard in sorted((DATA / "flowers-native").glob("*.tfrec")):
            with shard.open("rb") as file:
                for record in read(file):
                    feature = Example.FromString(record.data).features.feature
                    yield feature["label"].bytes_list.value[0].decode(), feature["image"].bytes_list.value[0]


def plain(source: Path, target: Path) -> None:
    """The usual script: each photo is opened, turned upright, cropped, encoded and written, one after the other."""
    classes = sorted(path.name for path in source.iterdir())
    target.mkdir()
    with (target / "photos.tfrec").open("wb") as file:
        for path in sorted(source.glob("*/*")):
            with Image.open(path) as photo:
                square = ImageOps.fit(ImageOps.exif_transpose(photo).convert("RGB"), (SIZE, SIZE))
            content = io.BytesIO()
            square.save(content, "JPEG", quality=92)
            example = make_example(content.getvalue(), classes.index(path.parent.name), classes, (SIZE, SIZE))
            write_record(file, example.SerializeToString())


if __name__ == "__main__":
    plain(*map(Path, sys.argv[1:])) if len(sys.argv) == 3 else main()
