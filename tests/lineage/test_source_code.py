"""Each node's cache key follows the files that its executor imports, and no others."""

import json
import shutil

import pytest

from lineage import source_code
from pipeline.config import Config
from pipeline.pipeline import code_of, create_pipeline, local_environment
from tests.conftest import PACKAGES, ROOT
from trainer.features import CODE

# Of each node: files whose edit reruns it, one of them imported late or read as data, and files whose edit does not.
NODES = {
    "ImportExampleGen": (
        ["components/example_gen.py", "components/record_check.py", "ingest/records.py", "trainer/images.py"],
        ["components/evaluator.py", "trainer/export.py"],
    ),
    "DataGate": (
        ["components/data_gate.py", "components/quarantine.py"],
        ["trainer/images.py", "components/checks.py"],
    ),
    "Transform": (["trainer/preprocessing.py", "trainer/images.py"], ["trainer/fitting.py", "trainer/run.py"]),
    "Tuner": (["trainer/tune.py", "trainer/models/cnn.py"], ["trainer/run.py", "trainer/export.py"]),
    "Trainer": (
        ["components/trainer.py", "trainer/run.py", "trainer/export.py", "trainer/models/cnn.py"],
        ["trainer/to_npz.py", "trainer/tune.py", "trainer/preprocessing.py", "components/report/make.py"],
    ),
    "Evaluator": (
        ["components/evaluator.py", "components/checks.py", "components/verdict.py"],
        ["trainer/export.py", "components/report/component.py"],
    ),
    "ServingCheck": (
        ["components/serving_check/component.py", "components/serving_check/client.py", "components/verdict.py"],
        ["trainer/export.py", "components/evaluator.py", "components/checks.py", "trainer/reference.py"],
    ),
    "BulkInferrer": (
        [
            "components/bulk/component.py",
            "components/bulk/table.py",
            "components/record_check.py",
            "ingest/bulk_input.py",
        ],
        ["serving/tables.py", "trainer/export.py", "components/evaluator.py", "components/pushing.py"],
    ),
    "ServingSkew": (
        ["components/serving_skew/compare.py", "components/sections.py", "ingest/kept.py", "components/photos.py"],
        ["components/evaluator.py", "serving/keeping.py", "trainer/export.py"],
    ),
    "Edge": (
        ["components/edge/component.py", "components/edge/runtimes.py", "trainer/models/cnn.py"],
        ["components/evaluator.py", "components/checks.py", "trainer/export.py"],
    ),
    "Report": (
        [
            "components/report/component.py",
            "components/report/make.py",
            "components/report/pushed.py",
            "components/report/templates/data.html",
        ],
        ["lineage/cli.py", "lineage/pages/style.css", "trainer/run.py", "components/checks.py"],
    ),
}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """The nodes of a pipeline that has all of them."""
    folder = tmp_path_factory.mktemp("run")
    config = Config(
        output=folder,
        data={"directory": folder, "schema_file": ROOT / "schemas" / "flowers.pbtxt"},
        pusher={"directory": folder},
        bulk={"data": folder},
        serving_skew={"kept": folder},
        edge={"formats": ["onnx"]},
        tuner={"trials": 1, "search": {"trainer.batch_size": [1]}},
    )
    return create_pipeline(config, local_environment(config)).components


def test_the_nodes_that_run_code_of_this_project_follow_it(nodes):
    files = {node.id: json.loads(node.exec_properties[CODE]) for node in nodes if CODE in node.exec_properties}
    assert set(NODES) <= set(files)
    assert not {"StatisticsGen", "ExampleValidator", "ImportSchemaGen"} & set(files)  # TFX's own executors
    for node, (inside, outside) in NODES.items():
        assert set(inside) <= set(files[node]), node
        assert not set(outside) & set(files[node]), node
    report = next(node for node in nodes if node.id == "Report")
    assert report.exec_properties["code"] == source_code.digest(code_of(nodes))
    assert set(code_of(nodes)) == {name for each in files.values() for name in each}


def test_an_edit_changes_the_keys_of_the_nodes_that_run_the_file(nodes, tmp_path, monkeypatch):
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "errors.py", tmp_path)
    monkeypatch.setattr(source_code, "ROOT", tmp_path)
    keys = {node.id: source_code.files_of_node(node) for node in nodes if node.id in NODES}
    for edited in sorted({file for inside, outside in NODES.values() for file in (*inside, *outside)}):
        with (tmp_path / edited).open("a") as file:
            file.write("\n")
        after = {node.id: source_code.files_of_node(node) for node in nodes if node.id in NODES}
        changed = {node for node in NODES if after[node] != keys[node]}
        assert changed >= {node for node, (inside, _) in NODES.items() if edited in inside}, edited
        assert not changed & {node for node, (_, outside) in NODES.items() if edited in outside}, edited
        assert all(
            set(after[node].items()) - set(keys[node].items()) == {(edited, after[node][edited])} for node in changed
        )
        keys = after


def test_an_import_inside_a_function_and_a_new_file_count(tmp_path):
    for name, text in {"__init__": "", "a": "def f():\n    from trainer import b\n", "b": "import numpy\n"}.items():
        (tmp_path / "trainer").mkdir(exist_ok=True)
        (tmp_path / "trainer" / f"{name}.py").write_text(text)
    assert list(source_code.files_of(["trainer.a"], tmp_path)) == [
        "trainer/__init__.py",
        "trainer/a.py",
        "trainer/b.py",
    ]
    (tmp_path / "trainer" / "table.json").write_text("{}")
    for backup in (".table.json.swp", "a.py~", "a.py.orig", "table.json.bak"):
        (tmp_path / "trainer" / backup).write_text("")
    assert "trainer/table.json" in source_code.files_of(["trainer.a"], tmp_path)
    assert len(source_code.files_of(["trainer.a"], tmp_path)) == 4
    assert source_code.files_of(["tfx.components.evaluator.executor"], tmp_path) == {}


def test_the_key_of_the_schema_follows_its_content(tmp_path):
    from components.schema_gen import schema_gen

    file = tmp_path / "schema.pbtxt"
    file.write_text("feature { name: 'a' }")
    before = dict(schema_gen(str(file)).exec_properties)
    file.write_text("feature { name: 'b' }")
    assert before != schema_gen(str(file)).exec_properties
