"""`python -m ingest photos`, and a run on its result."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from errors import UserError
from ingest import decoding, output, prepare, record_file
from ingest.names import run_name
from pipeline import schema_file, settings
from tests.conftest import ROOT
from tests.helpers.interrupts import HEARS_SIGINT
from tests.helpers.records import photo_file


def _read(folder: Path) -> dict[str, list[dict]]:
    """Returns all records of all shards, in order."""
    shards = {path.name: tf.data.TFRecordDataset(str(path)) for path in sorted(folder.glob("*.tfrec"))}
    parse = tf.train.Example.FromString
    return {name: [dict(parse(each.numpy()).features.feature) for each in shard] for name, shard in shards.items()}


def _labels(records: list[dict]) -> Counter:
    return Counter(record["label"].bytes_list.value[0].decode() for record in records)


def _folders(folder: Path, **counts: int) -> Path:
    for name, count in counts.items():
        for index in range(count):
            photo_file(folder / name / f"{index}.png", (9 * index % 256, sum(name.encode()) % 256, len(name)))
    return folder


@pytest.fixture(scope="module")
def native(real_data, tmp_path_factory) -> Path:
    """400 photos of many sizes, as files in class folders."""
    folder = tmp_path_factory.mktemp("native")
    for shard, records in _read(real_data / "flowers-native").items():
        for index, record in enumerate(records):
            path = folder / record["label"].bytes_list.value[0].decode() / f"{shard[:9]}-{index}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(record["image"].bytes_list.value[0])
    return folder


def test_real_photos_reach_the_settings_of_a_run(native, tmp_path, make):
    target = tmp_path / "My Flowers"
    code, said = make("photos", native, "--to", target, "--size", 96)
    assert code == 0, said
    assert "400 photos in 16 shards" in said
    assert f"next: python local_runner.py --config '{target}/settings.yaml'" in said

    config = settings.load(None, target / "settings.yaml")
    assert (config.name, config.data.directory, config.data.image_size) == (run_name(native.resolve()), target, 96)
    assert config.data.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert config.data.provenance == f"python -m ingest photos {native} --to '{target}' --size 96"
    assert schema_file.check_schema(config.data.schema_file, config.data.classes) == target / "schema.pbtxt"
    _, files = prepare.prepare_data(None, config.data.directory, config.data.pattern, 96)
    records = _read(target)
    assert sorted(records) == [Path(file).name for file in files]
    splits = Counter()
    for name, found in records.items():
        _, _, split, _, number = name.removesuffix(".tfrec").split("-")
        assert len(found) == int(number)
        splits[split] += len(found)
    assert f"train: {splits['train']}, eval: {splits['eval']}, test: {splits['test']}" in said
    for split, share in (("eval", 0.1), ("test", 0.15)):  # 4 standard deviations
        assert abs(splits[split] - 400 * share) < 4 * (400 * share * (1 - share)) ** 0.5
    assert list(tmp_path.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_record_is_the_centre_of_the_photo_with_all_features(native, tmp_path, make):
    assert make("photos", native, "--to", tmp_path / "out", "--size", 192)[0] == 0
    (records, *_) = _read(tmp_path / "out").values()
    for record in records:
        image = Image.open(BytesIO(record["image"].bytes_list.value[0]))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (192, 192))
        label = record["class"].int64_list.value[0]
        assert record["label"].bytes_list.value[0].decode() == sorted(path.name for path in native.iterdir())[label]
        assert list(record["one_hot_class"].float_list.value) == [float(index == label) for index in range(5)]
        assert list(record["size"].int64_list.value) == [192, 192]
        path = native / record["filename"].bytes_list.value[0].decode()
        assert path.parent.name == record["label"].bytes_list.value[0].decode()
        with Image.open(path) as photo:
            digest = decoding.digest(photo.convert("RGB")).hex()
        assert record["digest"].bytes_list.value[0].decode() == digest


def test_the_same_seed_gives_the_same_bytes(native, tmp_path, make):
    few = tmp_path / "few"
    for folder in native.iterdir():
        for path in sorted(folder.iterdir())[:8]:
            (few / folder.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, few / folder.name)
    digests = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert make("photos", few, "--to", tmp_path / place / "out", "--size", 32, "--seed", seed)[0] == 0
        digests.append([path.read_bytes() for path in sorted((tmp_path / place / "out").glob("*.tfrec"))])
    assert digests[0] == digests[1] != digests[2]


def test_unreadable_files_are_skipped_and_listed(tmp_path, make):
    photos = _folders(tmp_path / "in", cat=6, dog=6)
    (photos / "cat" / "note\x1b[31m.txt").write_text("not a photo")
    (photos / "cat" / "empty.jpg").touch()
    (photos / "dog" / "cut.png").write_bytes((photos / "dog" / "5.png").read_bytes()[:-40])
    photo_file(photos / "dog" / "bomb.png", size=(1001, 1000))
    (photos / "dog" / "inner").mkdir()
    outside = photo_file(tmp_path / "outside.png")
    (photos / "dog" / "out.png").symlink_to(outside)
    (photos / "dog" / "in.png").symlink_to(photos / "dog" / "0.png")
    (photos / "dog" / "loop.png").symlink_to("loop.png")
    (photos / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(photos / "cat" / "pipe")
    photo_file(photos / ".hidden" / "a.png")
    photo_file(photos / "cat" / ".hidden.png")
    (photos / "empty").mkdir()
    code, said = make("photos", photos, "--to", tmp_path / "out", "--max-megapixels", 1)
    assert code == 0, said
    assert "13 photos in 7 shards" in said
    assert "10 skipped:" in said
    for text in (
        r"cat/note\u001b[31m.txt: not a photo in a supported format (JPEG, ",
        "cat/empty.jpg: an empty file",
        "cat/pipe: not a file",
        "dog/cut.png: ",
        "dog/bomb.png: larger than 1 megapixels (--max-megapixels)",
        "dog/inner: an empty folder",
        "dog/out.png: a link to a target outside",
        "dog/loop.png: a link that cannot be followed",
        "elsewhere: a link to a target outside",
    ):
        assert text in said
    assert settings.load(None, tmp_path / "out" / "settings.yaml").data.classes == ("cat", "dog")
    assert sum(record_file.count(path, 99) for path in (tmp_path / "out").glob("*.tfrec")) == 13


def _nothing_readable(photos: Path) -> None:
    for path in photos.glob("*/*"):
        path.write_bytes(b"HEIC")


def _only_headers(photos: Path) -> None:
    for path in (photos / "dog").iterdir():
        path.write_bytes(path.read_bytes()[:50])


def _one_of_a_class(photos: Path) -> None:
    for path in sorted((photos / "dog").iterdir())[1:]:
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda photos: shutil.rmtree(photos), "expected a folder of photos or a manifest"),
        (lambda photos: shutil.rmtree(photos / "dog"), "photos of at least two classes, received cat: 4"),
        (
            lambda photos: [shutil.rmtree(photos / name) for name in ("cat", "dog")],
            "received 0 photos without class folders",
        ),
        (_nothing_readable, "received cat: 0, dog: 0\n  skipped: "),
        (_only_headers, "received cat: 4, dog: 0\n  skipped: .*0.png: a damaged PNG: image .* truncated .and 3 more"),
        (_one_of_a_class, "at least 2 readable photos .* received dog: 1. Add photos, or leave"),
        (lambda photos: (photos / "dog").rename(photos / "d\nog"), r"received .*d\\nog'; rename"),
        (lambda photos: (photos / "dog").rename(photos / os.fsdecode(b"d\xff")), r"received .*d\\udcff'; rename"),
    ],
)
def test_photos_that_are_refused(tmp_path, make, damage, says):
    photos = _folders(tmp_path / "in", cat=4, dog=4)
    damage(photos)
    code, said = make("photos", photos, "--to", tmp_path / "out")
    assert code == 2
    with pytest.raises(UserError, match=says):
        raise UserError(said)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_targets_that_are_refused(tmp_path, make):
    photos = _folders(tmp_path / "in", cat=4, dog=4)
    assert "is inside the photo folder" in make("photos", photos, "--to", photos / "records")[1]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("precious")
    code, said = make("photos", photos, "--to", tmp_path / "taken")
    assert (code, "taken is not empty: it contains mine. Remove it, or" in said) == (2, True)
    assert (tmp_path / "taken" / "mine").read_text() == "precious"
    assert "mine is a file" in make("photos", photos, "--to", tmp_path / "taken" / "mine")[1]
    assert "cannot " in make("photos", photos, "--to", tmp_path / "taken" / "mine" / "below")[1]
    (tmp_path / "empty").mkdir()
    assert make("photos", photos, "--to", tmp_path / "empty")[0] == 0
    assert make("photos", photos, "--to", tmp_path / "new" / "deep" / "out")[0] == 0


def test_a_failed_write_leaves_no_files(tmp_path):
    with (
        pytest.raises(UserError, match="cannot write .*out: No space left on device; nothing was written"),
        output.dataset_folder(tmp_path / "out") as folder,
        Path("/dev/full").open("wb") as full,
    ):
        (folder / "0.part").write_bytes(b"some")
        full.write(b"more")
        full.flush()
    assert list(tmp_path.iterdir()) == []


def _hears_ctrl_c(native, tmp_path, **env):
    command = [sys.executable, "-m", "ingest", "photos", native, "--to", tmp_path / "out", "--size", "1024"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | env, preexec_fn=HEARS_SIGINT, **pipes)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_files(native, tmp_path, signum):
    process = _hears_ctrl_c(native, tmp_path)
    until = time.monotonic() + 60
    seen = None  # the folder of the check whether the target can be written exists only for a moment
    while not (seen and seen == list(tmp_path.glob(".out-*"))) and time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        seen = list(tmp_path.glob(".out-*"))
        time.sleep(0.2)
    process.send_signal(signum)
    assert process.communicate(timeout=30)[1] == "ingest: interrupted; nothing was written\n"
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_an_import_exits_with_130(native, tmp_path):
    (tmp_path / "pi_heif.py").write_text("exec('import os; os.kill(os.getpid(), 2); list(range(1000))')")
    process = _hears_ctrl_c(native, tmp_path, PYTHONPATH=str(tmp_path))
    assert process.communicate(timeout=60)[1] == "ingest: interrupted; nothing was written\n"
    assert process.returncode == 130
