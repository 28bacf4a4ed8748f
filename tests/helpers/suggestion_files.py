"""The files that the commands of tests/test_suggested_commands.py read."""

import gzip
import json
import re
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from ingest import schema
from tests.conftest import ROOT
from tests.helpers import commands, pages, records
from trainer import models, weights


def _write_data(folder: Path) -> None:
    records.folder(folder / "data", shards=3, per_shard=40)
    records.folder(folder / "single", shards=1, per_shard=40)
    records.folder(folder / "two", shards=2, per_shard=40)
    for index in range(4):
        records.write(folder / "named" / f"train{index}.tfrec", [records.example(label % 5) for label in range(40)])
    records.folder(folder / "[odd]", shards=1)
    records.write(folder / "other" / "photos.tfrecord", [records.example(index % 5) for index in range(40)])
    shutil.copy(folder / "other" / "photos.tfrecord", folder / "other" / "more.tfrecord")
    shutil.copytree(folder / "other", folder / "folders" / "inside")
    for name in ("a.tfr", "b.tfr"):
        (folder / "unusual").mkdir(exist_ok=True)
        shutil.copy(folder / "other" / "photos.tfrecord", folder / "unusual" / name)
    for index in range(2):
        _write_renamed(folder / "slim" / f"{index}.tfrec", {"image": "image/encoded", "class": "image/class/label"})
        _write_renamed(folder / "species" / f"{index}.tfrec", {"image": "image", "class": "species"})
    (folder / "file").write_text("no folder")
    (folder / "nameless.yaml").write_text("trainer: {epochs: 5}")
    (folder / "busy").mkdir()
    weights.save(models.build("xception", (71, 71, 3), 5), folder / "xception.weights.h5")
    (folder / "locked" / ".lock").mkdir(parents=True)
    (folder / "orphans" / "artifacts" / "sample" / "ImportExampleGen" / "examples" / "1").mkdir(parents=True)
    (folder / "foreign").mkdir()
    with closing(sqlite3.connect(folder / "foreign" / "metadata.sqlite")) as store:
        store.execute("CREATE TABLE other (id INTEGER)")
    for index in range(40):  # different ones, because copies are in one split
        records.photo_file(folder / "photos" / "cat" / f"{index}.png", (250, 5 * index, 10))
        records.photo_file(folder / "photos" / "dog" / f"{index}.png", (10, 5 * index, 250))
    _write_layouts(folder)
    (folder / "idx").mkdir()
    (folder / "emnist").mkdir()
    for part, digits in (("t10k", 100), ("train", 600)):
        images = gzip.compress(struct.pack(">4I", 0x803, digits, 28, 28) + bytes(784 * digits), 1)
        labels = gzip.compress(struct.pack(">2I", 0x801, digits) + bytes(index % 10 for index in range(digits)))
        for start in ("idx/", "emnist/emnist-digits-", "emnist/emnist-mnist-"):
            (folder / f"{start}{part}-images-idx3-ubyte.gz").write_bytes(images)
            (folder / f"{start}{part}-labels-idx1-ubyte.gz").write_bytes(labels)


def _write_renamed(path: Path, names: dict[str, str]) -> None:
    """Writes records with these names of features."""
    examples = [records.example(label % 5) for label in range(40)]
    for example in examples:
        features = {new: example.features.feature.pop(old) for old, new in names.items()}
        example.features.Clear()
        for name, feature in features.items():
            example.features.feature[name].CopyFrom(feature)
    records.write(path, examples)


def _write_layouts(folder: Path) -> None:
    """Writes the photos of `photos` in layouts that need a flag, or a manifest as the source."""
    for place in ("linked", "half-linked", "nested", "flat", "manifests"):
        (folder / place).mkdir()
    for name in ("cat", "dog"):
        (folder / "linked" / name).symlink_to(folder / "photos" / name)
    shutil.copytree(folder / "photos" / "cat", folder / "half-linked" / "cat")
    (folder / "half-linked" / "dog").symlink_to(folder / "photos" / "dog")
    paths = sorted(path.relative_to(folder / "photos") for path in folder.glob("photos/*/*"))
    flat = ["file,label,color,part"]
    for path in paths:
        place = folder / "nested" / path.parent / "more" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "photos" / path, place)
        name = f"{path.parent}-{path.name}"
        shutil.copy(folder / "photos" / path, folder / "flat" / name)
        flat.append(f"{name},{path.parent},red,{'test' if path.stem.endswith('0') else 'train'}")
    (folder / "flat" / "labels.csv").write_text("\n".join(flat))
    (folder / "manifests" / "moved.csv").write_text("\n".join(f"{path},{path.parent}" for path in paths))
    (folder / "manifests" / "bucket.csv").write_text("\n".join(f"gs://a-bucket/{path},{path.parent}" for path in paths))


def write(folder: Path, run: Path) -> Path:
    _write_data(folder)
    (yaml,) = re.findall(r"```yaml\n(# mine.yaml.*?)```", (ROOT / "docs" / "data.md").read_text(), re.DOTALL)
    (folder / "mine.yaml").write_text(yaml)
    (folder / "edits.csv").write_text("digest,label\n")
    (folder / "kept").mkdir(exist_ok=True)
    (folder / "kept" / "kept-1.tfrec").touch()
    (folder / "mine.pbtxt").write_text(schema.to_text(schema.for_classes(["cat", "dog", "owl"])))
    trained = min(run.glob("artifacts/sample/Trainer/model/*/**/model.weights.h5"))  # other tests use this folder too
    shutil.copy(trained, folder / "weights.h5")
    (folder / "saved").mkdir()
    shutil.copy(trained, folder / "saved")
    pages.write(folder / "two-runs")
    (folder / "runs").symlink_to(run)  # newer than 30 days, so `gc --delete` keeps it
    for text in (
        "python -m ingest photos photos --to made",
        "python -m ingest mnist idx --to mnist",
        f"python kubeflow_runner.py compile --target vertex {commands.VERTEX} -o sample.json",
        f"python kubeflow_runner.py compile --target vertex {commands.VERTEX} {commands.DATA} -o photos.json",
        f"python kubeflow_runner.py compile --target kubeflow {commands.CLUSTER} {commands.DATA} -o sample.yaml",
    ):
        done = commands.execute(text, folder)
        assert done.code == 0, done.printed
    job = json.loads(
        (folder / "photos.json").read_text()
    )  # like a file of an old version, without the parameter `epochs`
    del job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]["epochs"]
    del job["runtimeConfig"]["parameters"]["epochs"]
    (folder / "old.json").write_text(json.dumps(job))
    return folder
