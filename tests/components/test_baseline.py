"""LatestPushedModel finds the same baseline as the Resolver, which asks ML Metadata."""

from pathlib import Path

import ml_metadata as mlmd
import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx.types import artifact_utils, channel_utils
from tfx.types.standard_artifacts import Examples, InfraBlessing, Model, ModelBlessing, PushedModel, TransformGraph
from tfx.utils import path_utils

from components import baseline, pushing
from components.artifacts import EmbeddingTable, PhotoTable
from components.pusher import pusher as pusher_node
from tests.helpers.baselines import latest_pushed

INPUT, OUTPUT = metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.OUTPUT


class History:
    """Writes models to a store and to folders as runs do: trained, blessed or refused, pushed."""

    def __init__(self, folder: Path):
        self.folder, self.pushed = folder, str(folder / "pushed")
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = str(folder / "metadata.sqlite")
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = mlmd.MetadataStore(config)
        self.models: list[Model] = []

    def train(self) -> Model:
        number = len(self.models)
        examples, model = self._stored(Examples(), f"examples-{number}"), self._stored(Model(), f"model-{number}")
        self._execute("ImportExampleGen", [], [examples, self._stored(PhotoTable(), f"table-{number}")])
        graph = self._stored(TransformGraph(), f"graph-{number}")
        self._execute("Embeddings", [examples, graph], [self._stored(EmbeddingTable(), f"embeddings-{number}")])
        self._execute("Trainer", [examples], [model])
        layer = tf.Module()
        layer.number = tf.Variable(len(self.models))
        tf.saved_model.save(layer, path_utils.serving_model_dir(model.uri))
        self.models.append(model)
        return model

    def evaluate(self, model: Model, verdict: str, second: int, monkeypatch) -> None:
        """Writes the verdict: + is blessed, - refused by the Evaluator, s by ServingCheck, o + in an older version."""
        blessing, served = ModelBlessing(), InfraBlessing()
        blessing.set_int_custom_property("blessed", int(verdict != "-"))
        served.set_int_custom_property("blessed", int(verdict == "+"))
        blessing.set_int_custom_property("current_model_id", model.id)
        self._stored(blessing, f"blessing-{second}")
        if verdict != "o":
            self._execute("ServingCheck", [model, blessing], [self._stored(served, f"served-{second}")])
        channels = [channel_utils.as_channel([each]) for each in (model, blessing, served)]
        node = pusher_node(*channels, self.pushed)
        push = PushedModel()
        push.uri = str(self.folder / f"push-{second}")
        monkeypatch.setattr(pushing.time, "time_ns", lambda: 1000 * second)  # the version is in microseconds
        inputs = {"model": [model], "model_blessing": [blessing]}
        inputs |= {"infra_blessing": [served]} if verdict != "o" else {}
        pushing.Executor().Do(inputs, {"pushed_model": [push]}, node.exec_properties)

    def _execute(self, node: str, read, written) -> None:
        kind = self.store.put_execution_type(metadata_store_pb2.ExecutionType(name=node))
        events = [
            metadata_store_pb2.Event(artifact_id=artifact.id, type=direction)
            for artifacts, direction in ((read, INPUT), (written, OUTPUT))
            for artifact in artifacts
        ]
        self.store.put_execution(metadata_store_pb2.Execution(type_id=kind), [(None, each) for each in events], [])

    def _stored(self, artifact, name: str):
        artifact.uri = str(self.folder / name)
        artifact.mlmd_artifact.type_id = self.store.put_artifact_type(artifact.artifact_type, can_add_fields=True)
        (artifact.id,) = self.store.put_artifacts([artifact.mlmd_artifact])
        return artifact

    def by_metadata(self, candidate: Model) -> dict[str, list]:
        """Returns what the Resolver of a local run finds in the store."""
        inputs = {"candidate": [candidate]}
        kinds = {"model": Model, "model_blessing": ModelBlessing, "examples": Examples, "table": PhotoTable}
        kinds |= {"embeddings": EmbeddingTable}
        for key, kind in kinds.items():
            found = self.store.get_artifacts_by_type(kind.TYPE_NAME)
            (kind_in_store,) = self.store.get_artifact_types_by_id([found[0].type_id]) if found else [None]
            inputs[key] = [artifact_utils.deserialize_artifact(kind_in_store, each) for each in found]
        return baseline.LatestOtherBlessedModelStrategy().resolve_artifacts(self.store, inputs)


def _number(model: Model) -> int:
    return int(tf.saved_model.load(path_utils.serving_model_path(model.uri)).number)


@pytest.mark.parametrize(
    ("verdicts", "candidate_number", "expected"),
    [
        ("", None, None),
        ("-", None, None),
        ("+", None, 0),
        ("++", None, 1),
        ("+-", None, 0),
        ("+-+-", None, 2),
        ("+", 0, None),
        ("++", 1, 0),
        ("++", 0, 1),
        ("+-+", 1, 2),
        ("+s", None, 0),
        ("s", None, None),
        ("os", None, 0),
    ],
)
def test_the_latest_pushed_model_is_the_latest_blessed_one(verdicts, candidate_number, expected, tmp_path, monkeypatch):
    """`verdicts`: see `History.evaluate`. The candidate is a new model or one of these models."""
    history = History(tmp_path)
    for second, sign in enumerate(verdicts, start=99):  # 100 > 99, but not as text
        history.evaluate(history.train(), sign, second, monkeypatch)
    candidate = history.train() if candidate_number is None else history.models[candidate_number]
    resolved = history.by_metadata(candidate)
    by_metadata = [_number(model) for model in resolved.get("model", [])]
    for key in ("examples", "table", "embeddings"):
        assert [Path(each.uri).name for each in resolved[key]] == [f"{key}-{number}" for number in by_metadata]
    latest = latest_pushed(history.pushed, candidate, str(tmp_path / "latest"))
    by_folder = [] if baseline.is_placeholder(latest) else [_number(latest)]
    assert by_metadata == by_folder == ([] if expected is None else [expected])


@pytest.mark.parametrize("storage", ["local", "bucket"])
def test_folders_that_are_not_versions_are_ignored(storage, tmp_path):
    history = History(tmp_path)
    first, candidate = history.train(), history.train()
    pushed = str(tmp_path / "pushed") if storage == "local" else f"ram://{tmp_path.name}/pushed"
    for name in ("7", "800.part", "latest", "-9"):
        _copy(path_utils.serving_model_dir(first.uri), f"{pushed}/{name}")
    tf.io.gfile.makedirs(f"{pushed}/900/variables")  # Pusher was killed
    with tf.io.gfile.GFile(f"{pushed}/1000", "w") as file:
        file.write("a file")
    latest = latest_pushed(f"{pushed}/", candidate, f"{pushed}-latest")
    assert _number(latest) == 0
    assert latest.get_string_custom_property("pushed_destination") == f"{pushed}/7"


def _copy(source: str, target: str) -> None:
    for folder, _, names in tf.io.gfile.walk(source):
        tf.io.gfile.makedirs(folder.replace(source, target))
        for name in names:
            tf.io.gfile.copy(f"{folder}/{name}", f"{folder}/{name}".replace(source, target))


def test_without_a_pushed_model_there_is_a_placeholder(tmp_path):
    history = History(tmp_path)
    latest = latest_pushed(history.pushed, history.train(), str(tmp_path / "latest"))
    (placeholder,) = Path(latest.uri).iterdir()
    assert placeholder.read_text() == f"{history.pushed} contains no other model yet\n"
