"""Faults in data, disks and weights: clear errors, no partial files, earlier pushes unchanged."""

import json
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers import records

TINY = ["--set", "data.image_size=16", "--set", "trainer.epochs=1"]
TINY += ["--set", "trainer.batch_size=4"]
PASSES = ["--set", "evaluator.min_accuracy=0", "--set", "evaluator.min_class_recall=0"]


def _artifacts(output: Path, node: str) -> list[Path]:
    """Returns the files of a node's artifacts."""
    folder = output / "artifacts" / "sample" / node
    return [path for path in folder.rglob("*") if path.is_file() and ".system" not in path.parts]


def _without_image():
    example = records.example()
    del example.features.feature["image"]
    return example


def _unknown_label():
    example = records.example()
    example.features.feature["label"].bytes_list.value[:] = [b"orchid"]
    return example


def _class_seven():
    example = records.example()
    example.features.feature["class"].int64_list.value[:] = [7]
    return example


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (_without_image, "1 record: no image: part2-10.tfrec record 9: image: expected one value of bytes"),
        (_class_seven, "1 record: class out of range: part2-10.tfrec record 9: class: expected 0 to 4, received 7"),
        (
            lambda: records.example(image=b"this is text, not a photo"),
            "not a photo that can be decoded: part2-10.tfrec record 9: 25 bytes, beginning with b'this is text'",
        ),
        (
            lambda: records.example(image=records.jpeg()[:150]),
            "1 record: not a photo that can be decoded: part2-10.tfrec record 9: 150 bytes, beginning",
        ),
        (_unknown_label, "label"),
    ],
    ids=["no image", "class outside the range", "text for a photo", "half a photo", "unknown label"],
)
def test_the_data_gate_stops_the_run(main, tmp_path, bad, says):
    folder = records.folder(tmp_path / "data", bad())
    code, printed = main("--data", folder, "--output", tmp_path / "out", *TINY)
    assert code == 1
    assert "failed DataGate" in printed
    quarantined = bad is not _unknown_label
    assert f"the data cannot be used, {2 if quarantined else 1} problem" in printed
    table = [line for line in printed.splitlines() if line.startswith("  all " if quarantined else "  train ")]
    assert len(table) == 1 + quarantined
    assert says in table[-1]
    if quarantined:
        assert "1 of 30 records (3.3%) cannot be used; at most 1.0% may (data.max_bad_fraction)" in table[0]
        command = "python -m ingest quarantine "
        assert Path(table[0].partition(command)[2].strip()).is_relative_to(tmp_path / "out" / "artifacts")
    assert "Correct the data" in printed
    assert "Traceback" not in printed
    assert _artifacts(tmp_path / "out", "DataGate") == []
    assert _artifacts(tmp_path / "out", "Transform") == []
    assert not (tmp_path / "out" / "pushed").exists()


def test_a_few_bad_records_and_an_empty_shard_do_not_stop_the_run(main, tmp_path):
    folder = records.folder(tmp_path / "data", _without_image(), shards=4, per_shard=40)
    (folder / "part9-0.tfrec").touch()
    code, printed = main("--data", folder, "--output", tmp_path / "out", *TINY, *PASSES)
    assert code == 0, printed
    assert "1 record in the quarantine · 1 empty file: part9-0.tfrec" in printed
    assert "159 photos match the schema" in printed


def test_a_split_without_examples(main, tmp_path):
    folder = records.folder(tmp_path / "data", shards=1, per_shard=2)
    flags = ["--set", "data.split=hash", "--set", "trainer.batch_size=1"]
    code, printed = main("--data", folder, "--output", tmp_path / "out", *TINY, *flags)
    assert code == 1
    assert "the split has no examples" in printed


def test_a_batch_larger_than_the_training_split(main, tmp_path):
    folder = records.folder(tmp_path / "data", shards=2, per_shard=5)
    code, printed = main("--data", folder, "--output", tmp_path / "out", *TINY, "--set", "trainer.batch_size=64")
    assert code == 2
    assert (
        "trainer.batch_size: expected a batch of at most 5, the examples of the training split; received 64" in printed
    )
    assert "Lower it (--set trainer.batch_size=5)" in printed
    assert not (tmp_path / "out").exists()


def test_output_folders_that_are_patterns_are_refused(main, tmp_path):
    """TFX finds its artifacts by patterns; the data folder may have such a name."""
    folder = records.folder(tmp_path / "data [1]")
    flags = ["--output", tmp_path / "out*", "--set", f"pusher.directory={tmp_path}/pushed?"]
    code, printed = main("--data", folder, *flags, *TINY)
    assert code == 2
    assert f"in {folder}" not in printed
    for received in (f"* in {tmp_path}/out*", f"? in {tmp_path}/pushed?"):
        assert f"which Beam and TensorFlow read as a pattern; received {received}; rename it, or give" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["data [1]"]


def test_weights_of_another_model(main, real_data, tmp_path):
    weights = real_data / "weights" / "mobilenet_v2_0.35_224_imagenet_notop.h5"
    folder = records.folder(tmp_path / "data")
    arguments = ["--set", "model.name=xception", "--set", "data.image_size=71", "--weights", weights]
    code, printed = main("--data", folder, "--output", tmp_path / "out", *TINY[2:], *arguments)
    assert code == 2
    assert "does not fit xception without its last layer: " in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: _replace_all(folder, b""), "part0-10.tfrec: contains no records"),
        (lambda folder: _replace_all(folder, b"<html>"), "part2-10.tfrec: truncated at record 0"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "no file in"),
        (lambda folder: (folder / "part2-10.tfrec").unlink() or _only(folder, 1), "none is left to train on"),
    ],
    ids=["empty", "not records", "no match", "too few shards"],
)
def test_damaged_shards_are_found_before_anything_starts(main, tmp_path, damage, says):
    folder = records.folder(tmp_path / "data")
    damage(folder)
    code, printed = main("--data", folder, "--output", tmp_path / "out", *TINY)
    assert code == 2
    assert says in printed
    assert not (tmp_path / "out").exists()


def _replace_all(folder: Path, content: bytes) -> None:
    for path in folder.iterdir():
        path.write_bytes(content)


def _only(folder: Path, keep: int) -> None:
    for path in sorted(folder.iterdir())[keep:]:
        path.unlink()


def test_a_missing_folder(main, tmp_path):
    code, printed = main("--data", tmp_path / "nowhere", "--output", tmp_path / "out")
    assert code == 2
    assert f"the data folder {tmp_path / 'nowhere'} does not exist" in printed
    assert not (tmp_path / "out").exists()


def test_everything_that_is_missing_is_named_at_once(main, tmp_path):
    (tmp_path / "file").touch()
    flags = ["--data", tmp_path / "nowhere", "--weights", tmp_path / "no.h5", "--output", tmp_path / "file" / "out"]
    code, printed = main(*flags, "--set", "model.name=xception", "--set", "data.image_size=71")
    assert code == 2
    assert f"the data folder {tmp_path / 'nowhere'} does not exist" in printed
    assert f"the weights file {tmp_path / 'no.h5'} does not exist" in printed
    assert "cannot write to the output folder" in printed


def test_settings_without_data(main, tmp_path):
    (tmp_path / "mine.yaml").write_text("{name: mine, trainer: {epochs: 3}}")
    code, printed = main("--config", tmp_path / "mine.yaml", "--output", tmp_path / "out")
    assert code == 2
    assert "no data: give a folder of TFRecords (--data DIR)" in printed
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(main, sample, tmp_path):
    (tmp_path / "file").touch()
    code, printed = main("--output", tmp_path / "file" / "out")
    assert code == 2
    assert f"cannot write to the output folder {tmp_path / 'file' / 'out'}" in printed
    code, printed = main("--output", "/proc/out")
    assert code == 2
    assert "give another folder (--output DIR)" in printed


def test_errors_are_found_before_the_training(main, tmp_path, monkeypatch):
    folder = records.folder(tmp_path / "data")
    (tmp_path / "file").touch()
    code, printed = main("--data", folder, "--output", tmp_path / "out", "--set", f"pusher.directory={tmp_path}/file/x")
    assert code == 2
    assert f"cannot write to the folder for pushed models {tmp_path}/file/x" in printed
    code, printed = main("--preset", "flowers-mobilenet", "--data", folder, "--output", tmp_path / "out")
    assert code == 2
    assert (
        "trainer.frozen_epochs freezes pretrained layers, but there are none; give weights (--weights FILE)" in printed
    )
    workers = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", workers)
    code, printed = main("--data", folder, "--output", tmp_path / "out")
    assert code == 2
    assert "expected one process, received TF_CONFIG with 2 workers" in printed
    assert not (tmp_path / "out").exists()


def test_pushed_models_may_have_a_folder_of_their_own(main, tmp_path):
    folder = records.folder(tmp_path / "data")
    flags = ["--data", folder, "--output", tmp_path / "out", *TINY, *PASSES]
    code, printed = main(*flags, "--set", f"pusher.directory={tmp_path}/models")
    assert code == 0, printed
    assert len(list((tmp_path / "models").glob("[0-9]*/saved_model.pb"))) == 1
    assert not (tmp_path / "out" / "pushed").exists()


def test_a_second_run_is_refused(run, sample, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        done = run("--output", tmp_path / "out")
    assert done.returncode == 2
    assert f"another run is using {tmp_path / 'out'}" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock"]


def test_a_schema_of_other_classes(main, tmp_path):
    folder = records.folder(tmp_path / "data")
    code, printed = main("--data", folder, "--output", tmp_path / "out", "--set", "data.classes=[rose, tulip]")
    assert code == 2
    assert "expected class from 0 to 1, because data.classes has 2 names; received 0 to 4" in printed
    assert not (tmp_path / "out").exists()


def test_a_failed_run_leaves_the_earlier_push_alone(main, tmp_path):
    folder = records.folder(tmp_path / "data")
    output = tmp_path / "out"
    code, printed = main("--data", folder, "--output", output, *TINY, *PASSES)
    assert code == 0, printed
    pushed = {path: path.read_bytes() for path in (output / "pushed").rglob("*") if path.is_file()}
    assert any(path.name == "saved_model.pb" for path in pushed)
    records.folder(tmp_path / "data", _without_image())
    assert main("--data", folder, "--output", output, *TINY, *PASSES)[0] == 1
    records.folder(tmp_path / "data")
    code, printed = main("--data", folder, "--output", output, *TINY, "--set", "evaluator.min_accuracy=1")
    assert code == 3
    assert "Refused by the gate" in printed
    assert {path: path.read_bytes() for path in (output / "pushed").rglob("*") if path.is_file()} == pushed


def test_one_file_is_split_by_hash(main, tmp_path):
    folder = records.folder(tmp_path / "data", shards=1, per_shard=200)
    code, printed = main("--data", folder, "--output", tmp_path / "out", *TINY, *PASSES, "--set", "data.split=hash")
    assert code == 0, printed
    blessing = next((tmp_path / "out").rglob("blessing.json"))
    counts = json.loads(blessing.read_text())["examples"]
    assert sum(counts.values()) == 200
    assert counts["train"] > counts["test"] > 0 < counts["eval"]


def test_a_class_that_the_eval_split_lacks_is_refused_before_the_training(main, tmp_path):
    """Shards that are sorted by class give such an eval split."""
    folder = records.folder(tmp_path / "data", shards=3, per_shard=8)
    records.write(folder / "part0-8.tfrec", [records.example(index % 4) for index in range(8)])
    code, printed = main("--data", folder, "--output", tmp_path / "out", *TINY, *PASSES)
    assert code == 1
    assert "failed DataGate" in printed
    (row,) = [line for line in printed.splitlines() if line.startswith("  eval ")]
    assert "no photo of 1 class: tulips" in row
    assert "--set data.split=hash" in row
    assert _artifacts(tmp_path / "out", "Transform") == []
