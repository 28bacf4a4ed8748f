"""The node Embeddings: what it records about its features."""

from tfx.types import standard_artifacts
from tfx.types.artifact_utils import encode_split_names

from components import embeddings as node
from components.artifacts import EmbeddingTable
from testing import graphs
from tests.helpers import records
from trainer import embeddings
from trainer.settings import Embeddings


def test_the_origin_names_what_the_features_depend_on(tmp_path):
    graphs.build(tmp_path / "graph", [records.jpeg()], image_size=32)
    records.write(tmp_path / "examples" / "Split-train" / "data-00000-of-00001", [records.example()])
    examples, graph = standard_artifacts.Examples(), standard_artifacts.TransformGraph()
    output = EmbeddingTable()
    for artifact, name in ((examples, "examples"), (graph, "graph"), (output, "output")):
        artifact.uri = str(tmp_path / name)
    examples.split_names = encode_split_names(["train"])
    (tmp_path / "output").mkdir()
    settings = Embeddings(trunks=[{"name": "efficientnet_lite0", "layer": "block0_project_bn"}])  # small
    inputs = {"examples": [examples], "transform_graph": [graph]}
    properties = {"settings": settings.model_dump_json(), "pixels": '{"image_size": 32}'}
    node.Executor().Do(inputs, {"embeddings": [output]}, properties)
    assert embeddings.read(output.uri, "train").features.shape == (1, 16)
    origin = embeddings.read_origin(output.uri)
    assert origin == {"trunks": settings.model_dump(mode="json")["trunks"], "pixels": {"image_size": 32}}
    assert embeddings.read_origin(str(tmp_path)) is None
