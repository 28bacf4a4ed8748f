"""Manifests: columns that are guessed or given, paths that are found, and rows that are left out or refused."""

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from errors import UserError
from tests.helpers.layouts import find, labels, touch

ROWS = [("cat/1.png", "cat", None), ("dog/2.png", "dog", None)]
SPLIT = [("cat/1.png", "cat", "train"), ("dog/2.png", "dog", "eval")]


@pytest.fixture
def root(tmp_path) -> Path:
    return touch(tmp_path, "cat/1.png", "dog/2.png")


def manifest(root: Path, name: str, content: str) -> Path:
    (root / name).write_bytes(content.encode())
    return root / name


def objects(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def vertex(path: str, label: str, **use: str) -> dict:
    return {
        "imageGcsUri": path,
        "classificationAnnotation": {"displayName": label, "annotationResourceLabels": {"x": "y"}},
        "dataItemResourceLabels": {f"aiplatform.googleapis.com/{key}": value for key, value in use.items()},
    }


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "path,label\ncat/1.png,cat\ndog/2.png,dog\n", ROWS),
        ("a.CSV", "\ufeffpath,label\r\ncat/1.png,cat\r\ndog/2.png,dog", ROWS),
        ("a.csv", "filename;class\ncat/1.png;cat\ndog/2.png;dog\n", ROWS),
        ("a.csv", 'File Name, Class Name\n"cat/1.png", "cat"\n\n dog/2.png, dog \n,\n', ROWS),
        ("a.tsv", "class\timage_path\ncat\tcat/1.png\ndog\tdog/2.png\n", ROWS),
        ("a.csv", ",file_name,breed,width\n0,cat/1.png,cat,64\n1,dog/2.png,dog,64\n", ROWS),
        ("a.csv", "x,y\ncat/1.png,cat\ndog/2.png,dog\n", ROWS),
        ("a.csv", "path,label,split\ncat/1.png,cat,train\ndog/2.png,dog,valid\n", SPLIT),
        ("a.csv", "path,label,Data Split\ncat/1.png,cat,TRAINING\ndog/2.png,dog,Validation\n", SPLIT),
        ("a.csv", "path,label,is_valid\ncat/1.png,cat,False\ndog/2.png,dog,True\n", SPLIT),
        ("a.csv", "path,label,split\ncat/1.png,cat,\ndog/2.png,dog,val\n", SPLIT),
        ("a.csv", "path,label,split\ncat/1.png,cat,train\ndog/2.png,dog,train\n", ROWS),
        ("a.csv", "path,label,set\ncat/1.png,cat,red\ndog/2.png,dog,blue\n", ROWS),
        ("a.csv", "cat/1.png,cat\ndog/2.png,dog\n", ROWS),
        ("a.csv", "TRAIN,cat/1.png,cat\nVALIDATION,dog/2.png,dog\n", SPLIT),
        ("a.csv", "training,cat/1.png,cat\n,cat/1.png,cat\nvalidation,dog/2.png,dog\n", SPLIT),
        ("a.csv", "UNASSIGNED,cat/1.png,cat\ndog/2.png,dog\n", ROWS),
        ("a.jsonl", objects({"img": "cat/1.png", "label": "cat"}, {"img": "dog/2.png", "label": "dog"}), ROWS),
        ("a.json", json.dumps([{"id": "cat/1", "label": "cat"}, {"id": "dog/2", "label": ["dog"]}]), ROWS),
        ("a.ndjson", '{"a": {"path": "cat/1.png"}, "label": "cat"}\n\n{"a":{"path":"dog/2.png"},"label":"dog"}', ROWS),
        ("a.jsonl", objects(vertex("cat/1.png", "cat"), vertex("dog/2.png", "dog")), ROWS),
        (
            "a.jsonl",
            objects(vertex("cat/1.png", "cat", ml_use="training"), vertex("dog/2.png", "dog", ml_use="validation")),
            SPLIT,
        ),
    ],
)
def test_formats_and_guessed_columns(root, name, content, expected):
    assert labels(find(manifest(root, name, content))[0]) == expected


def test_utf_16_and_parquet(root):
    (root / "excel.csv").write_text("path\tlabel\ncat/1.png\tcat\ndog/2.png\tdog\n", encoding="utf-16")
    assert labels(find(root / "excel.csv")[0]) == ROWS
    table = pyarrow.table({"path": ["cat/1.png", "dog/2.png"], "label": [1, None], "part": [{"split": "train"}] * 2})
    parquet.write_table(table, root / "a.parquet")
    entries, skipped = find(root / "a.parquet")
    assert labels(entries) == [("cat/1.png", "1", None)]
    assert skipped == {"dog/2.png": "expected one label, received none"}


def test_given_columns(root):
    file = manifest(root, "a.csv", "path,file,class,label,fold\nx,cat/1.png,cat,0,train\ny,dog/2.png,dog,1,test\n")
    given = {"path_column": "file", "label_column": "class", "split_column": "fold"}
    assert labels(find(file, **given)[0]) == [("cat/1.png", "cat", "train"), ("dog/2.png", "dog", "test")]
    # a first row with a photo's name is a header if it has a given column
    odd = manifest(root, "b.csv", "1.png,label\ncat/1.png,cat\ndog/2.png,dog\n")
    assert labels(find(odd, path_column="1.png")[0]) == ROWS


@pytest.mark.parametrize(
    "label", ["no", "1", "01", "null", "NA", "nan", "~", "1:30", "-x", "a/b", "می\u200cروم", "👩‍👩‍👧", "猫　犬"]
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_labels_are_text(root, label, ending):
    rows = [{"path": "cat/1.png", "label": label}, {"path": "dog/2.png", "label": "dog"}]
    if ending == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), root / "a.parquet")
    else:
        text = "path,label\n" + "".join(f"{row['path']},{row['label']}\n" for row in rows)
        manifest(root, f"a.{ending}", text if ending == "csv" else objects(*rows))
    assert [entry.label for entry in find(root / f"a.{ending}")[0]] == [label, "dog"]


@pytest.mark.parametrize(("value", "label"), [(3, "3"), (3.0, "3"), (2.5, "2.5"), (True, "true"), (False, "false")])
def test_labels_of_other_types(root, value, label):
    content = objects({"path": "cat/1.png", "label": value}, {"path": "dog/2.png", "label": value})
    assert {entry.label for entry in find(manifest(root, "a.jsonl", content))[0]} == {label}


@pytest.mark.parametrize(
    ("files", "paths", "expected"),
    [
        (["images/1.jpg", "images/2.jpg"], ["1", "2"], ["images/1.jpg", "images/2.jpg"]),  # Kaggle
        (["part1/1.jpg", "part2/x/2.PNG", "other/3.jpg"], ["1", "2"], ["part1/1.jpg", "part2/x/2.PNG"]),  # HAM10000
        (["a/1.jpg", "b/2.jpg"], ["gs://bucket/deep/a/1.jpg", "gs://bucket/deep/b/2.jpg"], ["a/1.jpg", "b/2.jpg"]),
        (["bucket/a/1.jpg", "2.jpg"], ["gs://bucket/a/1.jpg", "https://x.org/2.jpg"], ["2.jpg", "bucket/a/1.jpg"]),
        (["a/1.jpg"], ["/content/drive/a/1.jpg"], ["a/1.jpg"]),
        (["a/1.jpg"], [r"C:\photos\a\1.jpg"], ["a/1.jpg"]),
        (["a/1.jpg"], [r".\a\1.jpg"], ["a/1.jpg"]),
        (["a/1.jpg"], ["./a//1.jpg"], ["a/1.jpg"]),
        (["1.5.jpg", "1.jpg"], ["1.5", "1"], ["1.5.jpg", "1.jpg"]),
        (["1.jpg", "1.xml"], ["1"], ["1.jpg"]),
        (["e\u0301.jpg", "o/ä.jpg"], ["é.jpg", "o/a\u0308.jpg"], ["e\u0301.jpg", "o/ä.jpg"]),  # macOS
        (["1.jpg", "deep/2.jpg"], ["1.jpg", "2.jpg"], ["1.jpg"]),  # one is found, so the others are not searched for
    ],
)
def test_paths(tmp_path, files, paths, expected):
    touch(tmp_path, *files)
    entries, skipped = find(manifest(tmp_path, "m.csv", "image_id,label\n" + "".join(f"{path},x\n" for path in paths)))
    assert [entry.name for entry in entries] == expected
    assert skipped == ({} if len(expected) == len(paths) else {"2.jpg": "no such file"})


def test_paths_outside_the_folder_of_the_manifest(root):
    (root / "labels").mkdir()
    file = manifest(root / "labels", "m.csv", f"path,label\n../cat/1.png,cat\n{root}/dog/2.png,dog\n")
    entries, _ = find(file)
    assert [(entry.path, entry.name) for entry in entries] == [
        (root / "cat/1.png", "../cat/1.png"),
        (root / "dog/2.png", "../dog/2.png"),
    ]
    assert labels(find(file, photos_root=root)[0])[-1] == ("dog/2.png", "dog", None)


def test_splits_of_folders_are_kept(tmp_path):
    touch(tmp_path, "train/1.png", "val/2.png")
    content = "file_name,label\ntrain/1.png,cat\nval/2.png,dog\n"
    assert [entry.split for entry in find(manifest(tmp_path, "m.csv", content))[0]] == ["train", "eval"]


def test_manifests_in_split_folders(tmp_path):
    """Hugging Face's imagefolder."""
    touch(tmp_path, "train/1.png", "train/2.png", "test/1.png")
    rows = objects({"file_name": "1.png", "label": "cat"}, {"file_name": "2.png", "label": "dog"})
    manifest(tmp_path / "train", "metadata.jsonl", rows)
    manifest(tmp_path / "test", "metadata.csv", "file_name,label\n1.png,cat\n")
    assert labels(find(tmp_path)[0]) == [
        ("test/1.png", "cat", "test"),
        ("train/1.png", "cat", "train"),
        ("train/2.png", "dog", "train"),
    ]


def test_rows_that_are_left_out(root):
    content = (
        "TRAIN,cat/1.png,cat\nTEST,dog/2.png,dog\nTRAIN,cat/1.png,cat\n,,cat\nTRAIN,none.png,cat\nTEST,dog/2.png,a,b\n"
    )
    entries, skipped = find(manifest(root, "a.csv", content))
    assert labels(entries) == [("cat/1.png", "cat", "train"), ("dog/2.png", "dog", "test")]
    assert skipped == {
        "cat/1.png": "listed twice with the same label",
        "a.csv": "line 4: no path",
        "none.png": "no such file",
        "dog/2.png": "expected one label, received 2: a, b",
    }
    _, skipped = find(manifest(root, "b.csv", "path,label\ncat/1.png,cat\ndog/2.png,dog, big\n"))
    assert skipped == {"b.csv": "line 3: expected 2 cells, received 3"}
    row = '{"path": "cat/1.png", "label": "cat", "note": "\u2028"}\n'
    entries, skipped = find(manifest(root, "c.jsonl", row + "[1]\n"))
    assert (len(entries), skipped) == (1, {"c.jsonl": "line 2: expected an object"})
    _, skipped = find(manifest(root, "d.jsonl", row + '{"pa'))
    assert skipped["d.jsonl"].startswith("line 2: not JSON: Unterminated string")


def test_one_photo_under_two_labels_is_two_entries(root):
    entries, _ = find(manifest(root, "a.csv", "path,label\ncat/1.png,cat\ncat/1.png,dog\n"))
    assert labels(entries) == [("cat/1.png", "cat", None), ("cat/1.png", "dog", None)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "path,label\n", r"or a manifest named .csv, .tsv, .*; .*/a.txt is a file of another kind$"),
        ("a.csv", "", "cannot read the manifest .*a.csv: the file is empty; correct it"),
        ("a.csv", "path,label\n", "expected rows with a path and a label in .*a.csv, received none$"),
        (
            "a.csv",
            "TRAIN,cat/1.png,cat,0.1,0.1,,,0.3,0.3,,\nTEST,dog/2.png,dog,0.1,0.1,,,0.3,0.3,,\n",
            r"received none\n  skipped: cat/1.png: expected one label, received 5: cat, 0.1, 0.1, … \(and 1 more\)",
        ),
        ("a.csv", "path,label\ncat/1.png,cat,1\n", r"none\n  skipped: .*a.csv: line 2: expected 2 cells, received 3$"),
        ("a.csv", "path,label,label\n", "two columns are named 'label'"),
        ("a.csv", 'path,label\n"a,b\n', "unexpected end of data"),
        ("a.jsonl", "{", "line 1: not JSON: Expecting"),
        ("a.jsonl", "[1, 2", "cannot read the manifest"),
        ("a.json", "", "cannot read the manifest .*a.json: the file is empty; correct it"),
        ("a.json", "[1, 2]", "cannot read the manifest .*a.json: line 1: expected an object; correct it"),
        ("a.json", "[" * 100_000, "cannot read the manifest .*a.json: nested too deeply; correct it"),
        ("a.jsonl", '{"a":' * 100_000, "cannot read the manifest .*: line 1: not JSON: nested too deeply; correct it"),
        ("a.parquet", "PAR1", "cannot read the manifest .*a.parquet: "),
        ("a.csv", "a,b,c\n1,2,3\n", r"the paths: none has a usual name. .*\(--path-column\); its columns are: a, b, c"),
        ("a.csv", "path,b,c\n1,2,3\n", r"contains the labels: none .*\(--label-column\); its columns are: path, b, c"),
        ("a.csv", "path,label,class\n1,2,3\n", "labels: label, class could. Name it"),
        ("a.csv", "a.path,b.path,class\n1,2,3\n", "paths: a.path, b.path could. Name it"),
        ("a.csv", "path,label\nx.png,cat\ny.png,dog\n", r"none of the 2 files .* such as x.png; .*\(--photos-root"),
        ("a.csv", "gs://b/x.png,cat\ny.png,dog\n", r"1 of 2 paths .* bucket .* gs://b/x.png; .*\(--photos-root DIR\)"),
        (
            "a.jsonl",
            objects({"image": "cat/1.png", "annotations": [{"label": "cat"}]}),
            r"expected text or numbers in .*, annotations, received \[\{'label': 'cat'\}\]; write",
        ),
        ("a.csv", "path,label\ncat/1.png,a\tb\n", "received a control character in 'a.tb'; correct the manifest"),
    ],
)
def test_manifests_that_are_refused(root, name, content, says):
    with pytest.raises(UserError, match=says):
        find(manifest(root, name, content))


def test_bytes_that_are_not_utf_8_are_refused(root):
    (root / "a.csv").write_bytes("path,label\ncat/1.png,Gänse\n".encode("latin-1"))
    with pytest.raises(UserError, match="cannot read the manifest .*a.csv: 'utf-8' codec can't decode"):
        find(root / "a.csv")


def test_text_that_parquet_stores_as_bytes(root):
    labels = pyarrow.array([b"cat", "Gänse".encode()], pyarrow.large_binary())
    parquet.write_table(pyarrow.table({"path": ["cat/1.png", "dog/2.png"], "label": labels}), root / "a.parquet")
    assert [entry.label for entry in find(root / "a.parquet")[0]] == ["cat", "Gänse"]


def test_photos_inside_parquet_are_refused(root):
    parquet.write_table(pyarrow.table({"image": [{"bytes": b"x", "path": "1.png"}], "label": [1]}), root / "a.parquet")
    with pytest.raises(UserError, match=r"it contains the photos themselves \(image.bytes\); expected their paths"):
        find(root / "a.parquet")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label_column": "kind"}, r"has no column kind \(--label-column\); its columns are: path, label, part"),
        (
            {"split_column": "part"},
            r"train, val or test in the column part \(--split-column\), received x \(line 2\); correct",
        ),
        ({"photos_root": Path("/none")}, r"expected a folder \(--photos-root\), received /none"),
        ({"nested": "top"}, "--nested is for folders"),
    ],
)
def test_flags_that_are_refused(root, options, says):
    with pytest.raises(UserError, match=says):
        find(manifest(root, "a.csv", "path,label,part\ncat/1.png,cat,x\n"), **options)


@pytest.mark.parametrize(
    ("files", "paths", "says"),
    [
        (["a/1.jpg", "b/1.jpg"], ["1"], r"path 1 names several files: .*a/1.jpg, .*b/1.jpg; .*--photos-root"),
        (["1.jpg", "1.png"], ["1"], "names several files: 1.jpg, 1.png; add the ending"),
        (["a/1.jpg"], ["/x/a/1.jpg", "/y/a/1.jpg"], "/x/a/1.jpg and /y/a/1.jpg would both be .*/a/1.jpg; give"),
    ],
)
def test_paths_that_are_ambiguous(tmp_path, files, paths, says):
    touch(tmp_path, *files)
    with pytest.raises(UserError, match=says):
        find(manifest(tmp_path, "m.csv", "image_id,label\n" + "".join(f"{path},x\n" for path in paths)))


def test_a_path_that_is_too_long_is_missing(root):
    _, skipped = find(manifest(root, "a.csv", f"path,label\ncat/1.png,cat\n{'x' * 5000},dog\n"))
    assert list(skipped.values()) == ["no such file"]
