"""Writes the corpus of damaged and odd files and records, and compares what the project does with it.

`ingest photos` reads the files, between real photos. ExampleGen reads the records, most of which have real photos.
"""

import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from components import photos as photo_table
from ingest import photos
from ingest.example_proto import Example
from ingest.record_file import read
from testing import corpus_records, example_gen
from testing.corpus_files import IGNORED, TRUNCATED, USED, items
from testing.corpus_records import Shard
from testing.frames import CLASSES

_SIDE = 96
_REAL = 60  # real photos
_RECORD = re.compile(r"(.*)\.tfrecord record (\d+)", re.DOTALL)


class Result(NamedTuple):
    """The number of items, and a line for each one with another result than expected."""

    items: int
    wrong: list[str]


def real_photos(flowers: Path) -> Iterator[bytes]:
    """Yields the encoded photos of the record files in a folder."""
    for shard in sorted(flowers.glob("*.tfrec")):
        with shard.open("rb") as file:
            for record in read(file):
                yield Example.FromString(record.data).features.feature["image"].bytes_list.value[0]


def files(flowers: Path, folder: Path, keep_original: bool) -> Result:
    """Runs `ingest photos` on the files of the corpus and real photos.

    Args:
      flowers: the folder with the record files of real photos.
      folder: an empty folder for the photos and the data set, `photos` and `out`.
      keep_original: the flag of `ingest photos`.
    """
    expected = _write(real_photos(flowers), folder / "photos")
    made = photos.make(
        folder / "photos", folder / "out", size=32, fit="crop", keep_original=keep_original, max_megapixels=250,
        shards=16, eval_fraction=None, test_fraction=None, edits=None, seed=0, command="corpus",
    )  # fmt: skip
    root = folder / "photos"
    skipped = {str(Path(path).relative_to(root)): reason for path, reason in made.skipped}
    used = set(_names(folder / "out"))
    notice = next((each for each in made.notices if each.startswith("truncated JPEGs")), "")
    found = {
        name: skipped.get(name) or (IGNORED if name not in used else TRUNCATED if f"{name} (" in notice else USED)
        for name in expected
    }
    unknown = [f"{name}: unexpected" for name in (used | set(skipped)) - set(expected)]
    return Result(len(expected), [*_differences(expected, found), *unknown])


def _write(real: Iterator[bytes], folder: Path) -> dict[str, str]:
    """Writes the files, and returns the expected result of each."""
    expected = {}
    for number in range(_REAL):
        name = f"{CLASSES[number % len(CLASSES)]}/real {number}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(next(real))
        expected[name] = USED
    for number, item in enumerate(items()):
        picture = Image.open(io.BytesIO(next(real))).resize((_SIDE, _SIDE))
        name = f"{CLASSES[0 if item.alike else number % len(CLASSES)]}/{item.name}"
        expected[name] = item.expected
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if item.place:
            item.place(path)
        elif item.make:
            path.write_bytes(item.make(picture))
    return expected


def _names(folder: Path) -> Iterator[str]:
    for shard in folder.glob("*.tfrec"):
        with shard.open("rb") as file:
            for record in read(file):
                yield Example.FromString(record.data).features.feature["filename"].bytes_list.value[0].decode()


def _differences(expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for name, result in expected.items():
        states = (USED, TRUNCATED, IGNORED)
        same = (
            found[name] == result if result in states else found[name] not in states and re.search(result, found[name])
        )
        if not same:
            yield f"{name}: expected {result}, received {found[name]}"


def records(flowers: Path, folder: Path) -> Result:
    """Runs ExampleGen on the shards of the corpus; see `files`."""
    expected, data = {}, folder / "data"
    data.mkdir()
    for shard in corpus_records.shards(real_photos(flowers)):
        expected[shard.name] = shard._replace(content=b"")
        (data / f"{shard.name}.tfrecord").write_bytes(shard.content)
    outputs = example_gen.run(data, folder / "out", classes=list(CLASSES))
    found = _found(outputs)
    wrong = [each for name, each in expected.items() if found.get(name, Shard(name, b"", set(), {})) != each]
    return Result(len(expected), [f"expected {each}, received {found.get(each.name)}" for each in wrong])


def _found(outputs: example_gen.Outputs) -> dict[str, Shard]:
    """Returns what ExampleGen has found in each shard, from the table of the photos and the quarantine."""
    good: dict[str, set[int]] = defaultdict(set)
    bad: dict[str, dict[int, str]] = defaultdict(dict)
    lost: Counter[str] = Counter()
    for split in outputs.splits:
        for name in photo_table.read(outputs.table, split).names.tolist():
            for shard, number in _RECORD.findall(name.decode(errors="replace")):
                good[shard].add(int(number))
    for path in Path(outputs.quarantine).glob("*.jsonl"):
        for row in map(json.loads, path.read_text().splitlines()):
            shard = row["source"].removesuffix(".tfrecord")
            bad[shard][row["record"]] = row["reason"]
            lost[shard] += row["lost"]
    return {name: Shard(name, b"", good[name], bad[name], lost[name]) for name in {*good, *bad}}
