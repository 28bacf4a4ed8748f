"""A store of many runs: contexts are read per execution for few executions, and per context for many."""

import json
from pathlib import Path

import ml_metadata as mlmd
import pytest

from lineage import metadata, reading
from lineage.__main__ import main
from testing.many_runs import fill
from tests.conftest import PACKAGES, ROOT

RUNS, NODES = 30, 12


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    fill(mlmd.MetadataStore(metadata.connection_config(str(folder / metadata.SQLITE))), RUNS)
    return folder


@pytest.fixture
def ask(output, capsys):
    def call(*words: object):
        assert main([*map(str, words), "--store", str(output), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def test_each_run_has_all_its_nodes(ask):
    rows = ask("runs", "--limit", 1000)
    assert len(rows) == RUNS
    for row in (rows[0], rows[RUNS // 2], rows[-1]):
        nodes = [node["node"] for node in ask("show", row["id"])["nodes"]]
        assert nodes == [f"Node{number}" for number in range(NODES)]
    assert len(ask("runs", "--state", "complete", "--limit", 1000)) == RUNS


def test_both_ways_to_read_contexts_agree(output):
    store = mlmd.MetadataStore(metadata.connection_config(str(output / metadata.SQLITE)))
    whole = reading.read_all(store).executions  # more than reading._FEW
    one_by_one = [each for run in reading.read_runs(store, reading.run_contexts(store), 1) for each in run.executions]
    assert len(whole) == RUNS * NODES > reading._FEW
    assert sorted(one_by_one) == list(whole.values())


def test_no_filter_query_which_ml_metadata_1_21_does_not_support():
    """ML Metadata 1.21 raises UnimplementedError for `filter_query`; 1.16 supports it."""
    files = [file for folder in (*PACKAGES, "benchmarks", "testing") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    assert [file for file in files if "filter_query=" in (text := file.read_text()) or ".filter_query" in text] == []


def test_each_model_is_listed(ask):
    models = ask("models")
    assert len(models) == len({model["run"] for model in models}) == RUNS


def test_artifacts_of_another_store_are_not_deleted(ask, output):
    kept = output / "artifacts" / "flowers" / "Node5" / "model" / "7"
    kept.mkdir(parents=True)
    (kept / "weights").write_text("of a run in another store")
    found = ask("gc", "--older-than", 0, "--delete")
    assert found["folders"] == []
    assert (kept / "weights").exists()
