"""What the data gate suggests works: a split by record, and the command that shows the quarantine."""

import json
import shlex

import pytest
from tfx.types import artifact_utils, standard_artifacts

from components import data_gate
from components.artifacts import DataBlessing, Quarantine
from ingest.__main__ import main
from ingest.examples import make_example
from ingest.sample import CLASSES
from testing import example_gen
from tests.helpers import records

GATE = data_gate.DataGate.EXECUTOR_SPEC.executor_class._FUNCTION


@pytest.fixture
def problems(tmp_path):
    """Returns the gate's problems with data that has no anomalies, after ExampleGen with settings of `data`."""

    def find(folder, **settings):
        outputs = example_gen.run(folder, tmp_path / f"the output {len(list(tmp_path.iterdir()))}", **settings)
        examples, anomalies = standard_artifacts.Examples(), standard_artifacts.ExampleAnomalies()
        quarantine, blessing = Quarantine(), DataBlessing()
        examples.split_names = artifact_utils.encode_split_names(outputs.splits)
        quarantine.uri, anomalies.uri, blessing.uri = outputs.quarantine, str(tmp_path), str(tmp_path)
        for split in outputs.splits:
            (tmp_path / f"Split-{split}").mkdir(exist_ok=True)
            (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(b"")
        try:
            GATE(examples, quarantine, anomalies, blessing, json.dumps(CLASSES), 0.01)
        except data_gate.DataRefused as refused:
            return [each.what for each in refused.problems]
        return []

    return find


def test_files_sorted_by_class_are_split_by_record(tmp_path, problems):
    for label in range(5):
        photos = [records.example(label, records.jpeg((50 * label, 5 * index, 9))) for index in range(50)]
        records.write(tmp_path / "data" / f"{label}.tfrec", photos)
    found = problems(tmp_path / "data")
    assert len(found) == 3 and all(what.startswith("no photo of ") for what in found)
    assert all("split by record: --set data.split=hash; otherwise add photos" in what for what in found)
    assert problems(tmp_path / "data", split="hash") == []


def test_classes_that_are_numbered_from_one(tmp_path, problems):
    for shard in range(4):
        examples = [records.example(label, records.jpeg((50 * label, 9 * shard, 9))) for label in range(5)]
        for example in examples:
            example.features.feature["class"].int64_list.value[0] += 1
        records.write(tmp_path / "data" / f"{shard}.tfrec", examples)
    remedy = "no record has the class 0, and 4 records the class 5. If the classes are numbered from 1: --set data."
    assert f"{remedy}first_class=1" in problems(tmp_path / "data")
    assert problems(tmp_path / "data", first_class=1) == []
    records.write(tmp_path / "data" / "5.tfrec", [records.example(0)])
    assert not any("first_class" in what for what in problems(tmp_path / "data"))


def test_folders_that_number_the_classes_differently(tmp_path, problems, capsys):
    records.folder(tmp_path / "data" / "span-1")
    assert problems(tmp_path / "data", pattern="span-*/*") == []
    for shard in range(3):
        photos = [records.jpeg((9 * shard, 50 * index, 90)) for index in range(10)]
        examples = [
            make_example(photo, index % 4, [CLASSES[0], *CLASSES[2:]], (40, 40)) for index, photo in enumerate(photos)
        ]
        records.write(tmp_path / "data" / "span-2" / f"part{shard}.tfrec", examples)
    found = problems(tmp_path / "data", pattern="span-*/*")
    (remedy,) = [what for what in found if "number the classes differently" in what]
    command = shlex.split(remedy.partition("To compare them: ")[2].partition(";")[0].replace("DATA_DIR", "data"))
    assert command == ["python", "-m", "ingest", "check", "data"]
    assert main(["check", str(tmp_path / "data")]) == 1
    printed = capsys.readouterr().out
    assert f"class 1 is {CLASSES[1]} in span-1/" in printed and f"1 is {CLASSES[2]} in span-2/" in printed


def test_the_suggested_command_shows_the_quarantine(tmp_path, problems, capsys):
    bad = records.example()
    bad.features.feature["class"].int64_list.value[:] = [7]
    folder = records.folder(tmp_path / "data", bad, shards=4)
    first, second = problems(folder)
    assert "1 of 40 records (2.5%) cannot be used; at most 1.0% may (data.max_bad_fraction)" in first
    assert second == "1 record: class out of range: part3-10.tfrec record 9: class: expected 0 to 4, received 7"
    command = shlex.split(first.partition("To see them: ")[2])
    assert command[:3] == ["python", "-m", "ingest"]
    assert main(command[3:]) == 0
    assert "part3-10.tfrec record 9: class: expected 0 to 4, received 7" in capsys.readouterr().out
