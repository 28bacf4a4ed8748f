"""`data.edits` corrects labels and leaves records out, by the digest or the name of a record."""

from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from components import edits, photos, quarantine
from errors import UserError
from ingest.sample import CLASSES
from testing import example_gen as runs
from tests.helpers import records

NAMES = ["a.jpg", "b, c.jpg", "d\xe9\n.jpg", "e.jpg", "e.jpg", ""]
DIGESTS = ["", "", "", "", "", "0123456789abcdef" * 2]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three files of six daisies: with a name, one with a digest, two with the same name; the others without a name."""
    for shard in range(3):
        examples = []
        for index in range(6):
            example = records.example(0, records.jpeg((30 * shard, 40 * index, 9)))
            for feature, value in (("filename", NAMES[index]), ("digest", DIGESTS[index])):
                if shard == 0 and value:
                    example.features.feature[feature].bytes_list.value.append(value.encode())
            examples.append(example)
        records.write(tmp_path / "data" / f"x{shard}-6.tfrec", examples)
    return tmp_path / "data"


def _run(folder: Path, text: str, **data) -> runs.Outputs:
    (folder.parent / "my edits.csv").write_text(text)
    return runs.run(folder, folder.parent / "out", edits=folder.parent / "my edits.csv", **data)


def _labels(outputs: runs.Outputs) -> dict[str, int]:
    """Returns the class of each photo by its name, after checking that examples and table agree."""
    found = {}
    for split in outputs.splits:
        table = photos.read(outputs.table, split)
        serialized = photos.serialized_examples(outputs.examples, split).as_numpy_iterator()
        for name, label, each in zip(table.names, table.labels, serialized, strict=True):
            features = tf.train.Example.FromString(each).features.feature
            assert features["class"].int64_list.value[:] == [label]
            assert features["label"].bytes_list.value[:] == [CLASSES[label].encode()]
            assert list(features["one_hot_class"].float_list.value) == [float(i == label) for i in range(5)]
            found[name.decode()] = int(label)
    return found


def test_records_are_relabelled_and_left_out_by_name_and_by_digest(folder):
    text = f"""name,digest,label,note
a.jpg,,tulips,
"b, c.jpg",,,left out
"d\xe9
.jpg",,drop,left out too
,{DIGESTS[5].upper()},roses,
x1-6.tfrec record 2,,daisy,unchanged
x2-6.tfrec record 0,,sunflowers,
x2-6.tfrec record 6,,sunflowers,no such record
"""
    outputs = _run(folder, text)
    labels = _labels(outputs)
    changed = {name: label for name, label in labels.items() if label}
    assert changed == {"a.jpg": 4, "x0-6.tfrec record 5": 2, "x2-6.tfrec record 0": 3}
    assert not {"b, c.jpg", "d\xe9\n.jpg"} & set(labels)
    edited = outputs.counts.edited
    assert edited[2:5] == (3, 1, 2) and edited.unmatched == ["x2-6.tfrec record 6"] and edited.repeated == []
    assert outputs.counts.good == 16 == sum(count.total() for count in outputs.classes().values())
    assert outputs.counts.miscounted == [] and outputs.counts.bad == 0
    by_name = {each.name: each for each in edits.read_applied(outputs.table)}
    assert {each.key: (each.name, each.kind, each.was) for each in by_name.values() if each.key != each.name} == {
        DIGESTS[5]: ("x0-6.tfrec record 5", "relabelled", "daisy")
    }
    assert len(by_name) == 6 and [name for name, each in by_name.items() if not each.photo] == NAMES[1:3]
    splits = {name: each.split for name, each in by_name.items() if each.photo}
    for split in outputs.splits:
        table = photos.read(outputs.table, split)
        found = {name.decode(): digest.tobytes().hex() for name, digest in zip(table.names, table.digests, strict=True)}
        assert {name: by_name[name].photo for name in splits if splits[name] == split}.items() <= found.items()
    assert {split: sum(counts.values()) for split, counts in edited.splits.items()} == Counter(
        each.split for each in by_name.values()
    )
    # of three files, the first is the split eval
    assert "my edits.csv: 3 records relabelled (train 1, eval 2), 2 dropped (eval 2), 1 unchanged" in outputs.figure
    assert "1 row without a record: x2-6.tfrec record 6" in outputs.figure
    assert (Path(outputs.table) / "edits.csv").read_text() == text
    assert quarantine.read_counts(outputs.quarantine) == outputs.counts


def test_left_out_records_are_counted_in_the_split_of_their_photo(folder, tmp_path):
    before = runs.run(folder, tmp_path / "before", split="hash")
    splits = {name: split for split in before.splits for name in photos.read(before.table, split).names}
    names = [f"x{shard}-6.tfrec record {index}" for shard in (1, 2) for index in range(6)]
    example = records.example(0)
    del example.features.feature["image"]
    records.write(folder / "y-1.tfrec", [example])
    rows = "".join(f"{name},\n" for name in [*names, "y-1.tfrec record 0"])
    outputs = _run(folder, f"name,label\n{rows}", split="hash")
    dropped = {split: counts["dropped"] for split, counts in outputs.counts.edited.splits.items()}
    assert dropped == {**Counter(splits[name.encode()] for name in names), "none": 1}
    assert len(dropped) > 2


def test_no_record_moves_to_another_split(folder, tmp_path):
    before = runs.run(folder, tmp_path / "before", split="hash")
    after = _run(folder, "name,label\na.jpg,tulips\nx1-6.tfrec record 1,roses\n", split="hash")
    for split in before.splits:
        names = (sorted(photos.read(each.table, split).names) for each in (before, after))
        assert next(names) == next(names)
    assert before.counts.edited is None and not (Path(before.table) / "edits.csv").exists()


def test_a_name_of_several_records_is_reported(folder):
    outputs = _run(folder, "name,label\ne.jpg,tulips\n")
    assert sum(outputs.classes().values(), Counter()) == {0: 16, 4: 2}
    assert outputs.counts.edited.repeated == ["e.jpg"]
    assert outputs.figure.endswith("2 records relabelled (eval 2), 0 dropped · 1 row with several records: e.jpg")


def test_records_that_could_not_be_used_are_corrected_or_left_out(tmp_path):
    wrong, damaged, other = records.example(0), records.example(1, b"no photo"), records.example(2)
    wrong.features.feature["class"].int64_list.value[:] = [9]
    records.write(tmp_path / "data" / "x0.tfrec", [wrong, damaged, other])
    records.write(tmp_path / "data" / "x1.tfrec", [records.example(3, records.jpeg((1, 2, 3)))])
    rows = "x0.tfrec record 0,roses\nx0.tfrec record 1,\n"
    outputs = _run(tmp_path / "data", f"name,label\n{rows}")
    assert (outputs.counts.good, outputs.counts.bad) == (3, 0)
    assert outputs.counts.edited[2:5] == (1, 0, 1)
    assert sum(outputs.classes().values(), Counter()) == {2: 2, 3: 1}


def test_a_file_whose_records_are_all_left_out_is_not_empty(tmp_path):
    for index in range(3):
        records.write(tmp_path / "data" / f"x{index}-1.tfrec", [records.example(index, records.jpeg((1, 2, index)))])
    outputs = _run(tmp_path / "data", "name,label\nx0-1.tfrec record 0,drop\n")
    assert outputs.counts.empty == outputs.counts.miscounted == []
    assert outputs.counts.labels["eval"] == {}


def test_the_cache_follows_the_content_of_the_file(folder):
    def digest(text):
        (folder.parent / "edits.csv").write_text(text)
        node = runs.node(folder, edits=folder.parent / "edits.csv")
        resolved = node.driver_class(None).resolve_exec_properties(dict(node.exec_properties), None, None)
        return resolved[edits.DIGEST_PROPERTY]

    first = digest("name,label\na.jpg,roses\n")
    assert digest("name,label\na.jpg,roses\n") == first != digest("name,label\na.jpg,tulips\n")


def test_an_unknown_class_stops_the_node(folder):
    with pytest.raises(UserError, match="my edits.csv: unknown class 'rose'; did you mean 'roses'"):
        _run(folder, "name,label\na.jpg,rose\n")


def test_the_summary_is_a_property_of_the_examples(folder, tmp_path):
    from tfx.types import standard_artifacts

    examples, table = standard_artifacts.Examples(), standard_artifacts.Examples()
    table.uri = str(tmp_path)
    (tmp_path / "mine.csv").write_text("name,label\n")
    applied = [edits.Applied("a.jpg", "relabelled", "a.jpg", "daisy", "eval", "aa")]
    splits = {"train": {"relabelled": 0, "dropped": 3, "unchanged": 2}}
    splits["eval"] = {"relabelled": 1, "dropped": 0, "unchanged": 0}
    edited = edits.Edited("mine.csv", "0a", 1, 2, 3, [], [], splits, applied)
    edits.record(edited, str(tmp_path / "mine.csv"), table, examples)
    expected = "mine.csv: 1 record relabelled (eval 1), 3 dropped (train 3), 2 unchanged (sha256:0a)"
    assert examples.get_string_custom_property("edits") == expected
    assert edits.read_applied(str(tmp_path)) == applied
    assert edits.read_applied(str(tmp_path / "other")) == []
