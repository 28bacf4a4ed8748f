"""A run of another program may have any value under the names that this project uses: no command may fail."""

from pathlib import Path
from typing import Any

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from lineage import serve, store
from lineage.__main__ import main
from tests.helpers import stubs
from tests.helpers.kubeflow_runs import KubeflowRuns
from tests.helpers.stored_runs import Stored, key
from tests.helpers.stores import Store, set_facts
from tests.helpers.vertex_runs import serving_vertex

NODES = {  # with the output that the commands read
    "ImportExampleGen": "examples",
    "StatisticsGen": "statistics",
    "Embeddings": "embeddings",
    "Trainer": "model",
    "Evaluator": "evaluation",
    "Pusher": "pushed_model",
    "Report": "report",
}
TYPES = {"model": "Model", "pushed_model": "PushedModel", "examples": "Examples"}
OF_ARTIFACTS = ("accuracy", "blessed", "deployed_model", "devices", "endpoint", "endpoint_model", "epochs",
                "input_fingerprint", "judged_split", "parameters", "pushed",
                "pushed_destination", "refused", "val_accuracy")  # fmt: skip
OF_EXECUTIONS = ("code_files", "custom_config", "input_base", "input_files", "pixels", "settings")
OF_RUNS = ("code", "command", "ended", "error", "failed", "interrupted", "log", "pipeline", "process", "settings")
VALUES = ["high", "", 3, -0.5, "{", "[1]", "null", '{"data": 3, "recipe": 1, "trainer": []}', "/a\0b"]
COMMANDS = [["runs"], ["show", "latest"], ["models"]]
PAGES = ["/", "/runs/1", "/models", "/diff?before=1&after=latest", "/reports"]
FILES = ["checks.json", "report.json", "Split-train/FeatureStats.pb"]
ODD = statistics_pb2.DatasetFeatureStatisticsList(datasets=[{"features": [{"name": "label"}]}]).SerializeToString()
CONTENTS = [
    b"",
    b"{",
    b"[1]",
    b'[{"what": 1}]',
    b'[{"what": "a", "value": "b", "floor": []}]',
    b'{"data": {"splits": 3}}',
    ODD,
]


def _write(output: Path, value: object, files: bytes = b"", **of_runs: object) -> list[int]:
    """Writes two runs in which each fact has the same value, and each file the same content; returns the artifacts."""
    made, to = [], Store(output, "foreign")
    for number in (1, 2):
        run = to.run(f"2026-11-0{number}T10:00:00", {})
        (context,) = to.store.get_contexts_by_id([run])
        set_facts(context, dict.fromkeys(OF_RUNS, value) | of_runs)
        to.store.put_contexts([context])
        inputs: dict[str, list[int]] = {}
        for node, output_name in NODES.items():
            folder = output / node / str(number)
            (folder / "Split-train").mkdir(parents=True)
            for name in FILES:
                (folder / name).write_bytes(files)
            kinds = {output_name: TYPES.get(output_name, output_name)}
            kinds |= {"blessing": "ModelBlessing"} if node == "Evaluator" else {}
            facts = dict.fromkeys(OF_ARTIFACTS, value)
            outputs = {channel: [to.artifact(kind, folder, **facts)] for channel, kind in kinds.items()}
            execution = to.execution(run, node, inputs, outputs)
            (stored,) = to.store.get_executions_by_id([execution])
            set_facts(stored, dict.fromkeys(OF_EXECUTIONS, value))
            to.store.put_executions([stored])
            inputs = outputs if node == "Trainer" else inputs
            made += [each for ids in outputs.values() for each in ids]
    return made


def _ask_everything(place: object, first: str, artifacts: list[Any]) -> None:
    traces = [["lineage", str(artifacts[node])] for node in (0, 2, 4, -1)]  # not all: it takes long
    traces.append(["lineage", str(artifacts[3]), "--forward"])  # of the model
    for words in [*COMMANDS, ["diff", first, "latest"], *traces]:
        assert main([*words, "--store", str(place)]) == 0, words
        assert main([*words, "--json", "--store", str(place)]) == 0, words


@pytest.mark.parametrize(("value", "content"), [*((each, b"") for each in VALUES), *((0, each) for each in CONTENTS)])
def test_values_and_files_of_another_form(tmp_path, value, content):
    artifacts = _write(tmp_path, value, content)
    _ask_everything(tmp_path, "1", artifacts)
    assert main(["why", "Trainer", "--store", str(tmp_path)]) == 0
    client = serve.make_app(lambda: store.open_store(str(tmp_path)), tmp_path, {"localhost"}).test_client()
    for page in [*PAGES, *(f"/artifacts/{each}" for each in artifacts)]:
        assert client.get(page).status_code == 200, page


@pytest.mark.parametrize("service", ["kubeflow", "vertex"])
def test_values_of_another_form_on_a_cluster(tmp_path, monkeypatch, service):
    artifacts = _write(tmp_path, "high", pipeline="foreign", settings='{"trainer": {"epochs": 3}}', code="c0de")
    (tmp_path / "token").write_text(stubs.TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    stored = Stored(tmp_path)
    names = [key("artifact", each) for each in artifacts]
    if service == "kubeflow":
        with stubs.serving(KubeflowRuns(stored)) as server:
            _ask_everything(server.url, key("run", 1), names)
    else:
        with serving_vertex(stored, monkeypatch) as (address, _):
            _ask_everything(address, key("run", 1), names)
