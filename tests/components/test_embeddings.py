"""The node Embeddings: what it records about its features."""

import pytest
from tfx.types import standard_artifacts
from tfx.types.artifact_utils import encode_split_names

from components import embeddings as node
from components.artifacts import EmbeddingTable
from errors import UserError
from testing import graphs
from tests.helpers import records
from trainer import embeddings, models, weights
from trainer.settings import Embeddings


def _run(folder, trunks, photos=1):
    """Runs the node on equal photos; returns its output."""
    graphs.build(folder / "graph", [records.jpeg()], image_size=32)
    path = folder / "examples" / "Split-train" / "data-00000-of-00001"
    records.write(path, [records.example() for _ in range(photos)])
    examples, graph = standard_artifacts.Examples(), standard_artifacts.TransformGraph()
    output = EmbeddingTable()
    for artifact, name in ((examples, "examples"), (graph, "graph"), (output, "output")):
        artifact.uri = str(folder / name)
    examples.split_names = encode_split_names(["train"])
    (folder / "output").mkdir()
    settings = Embeddings(trunks=trunks)
    inputs = {"examples": [examples], "transform_graph": [graph]}
    properties = {"settings": settings.model_dump_json(), "pixels": '{"image_size": 32}'}
    node.Executor().Do(inputs, {"embeddings": [output]}, properties)
    return output


def test_the_origin_names_what_the_features_depend_on(tmp_path):
    trunks = [{"name": "efficientnet_lite0", "layer": "block0_project_bn"}]  # small
    output = _run(tmp_path, trunks)
    assert embeddings.read(output.uri, "train").features.shape == (1, 16)
    origin = embeddings.read_origin(output.uri)
    expected = Embeddings(trunks=trunks).model_dump(mode="json")["trunks"]
    assert origin == {"trunks": expected, "pixels": {"image_size": 32}}
    assert embeddings.read_origin(str(tmp_path)) is None


def test_features_that_are_not_finite_are_an_error_that_names_the_trunk(tmp_path):
    model = models.build("convnet", (32, 32, 3), 1)
    for variable in model.weights:
        variable.assign(variable * 1e4)
    weights.save(model, tmp_path / "large.npz")  # features above the limit of float16
    trunks = [
        {"name": "efficientnet_lite0", "layer": "block0_project_bn"},
        {"name": "convnet", "weights": str(tmp_path / "large.npz")},
    ]
    says = "embeddings.trunks: expected finite features, received NaN or Inf from convnet for 3 of 3 photos"
    with pytest.raises(UserError, match=says):
        _run(tmp_path, trunks, photos=3)
