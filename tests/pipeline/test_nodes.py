"""Mistakes in the list of nodes and in the table of families are named before a node runs."""

import json

import pytest

from components import pusher, sections, statistics_gen
from components.stage import Stage
from errors import UserError
from pipeline import nodes, pipeline
from pipeline.config import Config
from pipeline.local import bulk
from trainer import families


def _create() -> None:
    config = Config.model_validate({"data": {"directory": "/data"}})
    pipeline.create_pipeline(config, pipeline.local_environment(config))


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        ("Trainer.model", "expected an output of an earlier entry of NODES, received 'Trainer.model'"),
        ("ImportExampleGen.exmples", "received 'ImportExampleGen.exmples'; did you mean 'ImportExampleGen.examples'"),
    ],
)
def test_an_entry_reads_only_outputs_of_earlier_entries(monkeypatch, channel, message):
    entry = (Stage("Audit", ("statistics",)), lambda wiring: statistics_gen.statistics_gen(wiring[channel], None))
    monkeypatch.setattr(nodes, "NODES", nodes.NODES.copy())
    monkeypatch.setattr(pipeline, "NODES", nodes.NODES)
    nodes.NODES.insert(1, entry)
    with pytest.raises(UserError, match=message):
        _create()


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Stage("Pusher", ("pushed_model",)), "expected a different name for each node, received Pusher twice"),
        (
            Stage("Audit", ("section",)),
            "the record of Audit in components/: expected outputs of pushed_model; received",
        ),
    ],
)
def test_a_record_has_a_name_and_outputs_of_its_own(monkeypatch, stage, message):
    def push(wiring):
        return pusher.pusher(
            wiring["Trainer.model"], wiring["Evaluator.blessing"], wiring["ServingCheck.blessing"], "/pushed"
        )

    monkeypatch.setattr(pipeline, "NODES", [*nodes.NODES[:-1], (stage, push), nodes.NODES[-1]])
    with pytest.raises(UserError, match=message):
        _create()


def test_a_builder_that_cannot_be_imported_is_named_with_its_row(monkeypatch):
    row = families.FAMILIES["convnet"]._replace(builder="trainer.models.convnett.build")
    monkeypatch.setitem(families.FAMILIES, "convnet", row)
    with pytest.raises(UserError, match="the row convnet of trainer/families.py: expected a function's path, received"):
        _create()


def test_a_section_has_rows_of_one_length(tmp_path):
    with pytest.raises(ValueError, match="section 'Audit': expected rows of 2 values, received \\[3\\]"):
        sections.write(str(tmp_path), "Audit", "", ["what", "n"], [["a", 1], [3]])
    assert not list(tmp_path.iterdir())


def test_a_section_has_pictures_of_one_kind(tmp_path):
    for uri in ("https://a.b/c.jpg", "data:image/svg+xml;base64,AA==", 'data:image/jpeg;base64,AA" onerror="x'):
        with pytest.raises(ValueError, match="section 'Audit': expected pictures as data:image/jpeg;base64"):
            sections.write(str(tmp_path), "Audit", "", ["what"], [["a"]], pictures=[[uri]])
    assert not list(tmp_path.iterdir())


def test_the_data_is_reviewed_if_there_are_embeddings():
    def names(**settings):
        config = Config.model_validate({"data": {"directory": "/data"}, **settings})
        return [node.id for node in pipeline.create_pipeline(config, pipeline.local_environment(config)).components]

    assert "DataReview" not in names()
    with_embeddings = names(embeddings={"trunks": ["efficientnet_lite0"]})
    assert with_embeddings.index("DataReview") > with_embeddings.index("Embeddings")


def test_the_command_of_the_review_names_a_file_with_the_settings_of_its_run():
    """Other settings have another file, so that the command of an older report stays right."""

    def command(epochs: int) -> str:
        config = Config.model_validate(
            {
                "data": {"directory": "/data", "image_size": 224},
                "embeddings": {"trunks": [{"name": "efficientnet_lite0", "weights": "imagenet"}]},
                "trainer": {"epochs": epochs},
                "output": "/out",
                "name": "mine",
            }
        )
        created = pipeline.create_pipeline(config, pipeline.local_environment(config))
        (review,) = (node for node in created.components if node.id == "DataReview")
        assert str(pipeline.settings_file(config)) in review.exec_properties["command"]
        return review.exec_properties["command"]

    assert command(3) == command(3) != command(4)
    assert command(3).startswith("python local_runner.py --config /out/logs/mine-")


def test_photos_are_predicted_with_the_pushed_model_if_there_are_any():
    def made(only=(), **settings):
        config = Config.model_validate({"data": {"directory": "/data", "features": "tf-slim"}, "bulk": settings})
        created = pipeline.create_pipeline(config, pipeline.local_environment(config), only=only)
        return {node.id: node for node in created.components}

    assert not {"BulkInferrer", "ServedModel"} & set(made())
    nodes = made(data="/photos")
    assert "ServedModel" not in nodes
    assert nodes["BulkInferrer"].inputs["pushed_model"].producer_component_id == "Pusher"
    assert nodes["BulkInferrer"].exec_properties["bulk_data"] == "/photos"
    assert json.loads(nodes["BulkInferrer"].exec_properties["features"])["image"] == "image/encoded"
    alone = made(only=bulk.PART.nodes, data="/photos")
    assert list(alone) == ["ServedModel", "BulkInferrer"]
    assert alone["BulkInferrer"].inputs["pushed_model"].producer_component_id == "ServedModel"


def test_kept_answers_are_compared_after_the_data_gate_if_there_is_a_folder():
    def made(**settings):
        config = Config.model_validate({"data": {"directory": "/data"}, "serving_skew": settings})
        created = pipeline.create_pipeline(config, pipeline.local_environment(config))
        return {node.id: node for node in created.components}

    assert "ServingSkew" not in made()
    nodes = made(kept="/kept")
    assert {node.id for node in nodes["ServingSkew"].upstream_nodes} == {"ImportExampleGen", "DataGate"}
    assert "ServingSkew" in {node.id for node in nodes["Report"].upstream_nodes}
    assert nodes["ServingSkew"].exec_properties["kept_answers"] == "/kept"


def test_infra_validator_replaces_the_serving_check():
    def made(**settings):
        config = Config.model_validate({"data": {"directory": "/data"}, "serving_check": settings})
        created = pipeline.create_pipeline(config, pipeline.local_environment(config))
        return {node.id: node for node in created.components}

    nodes = made(server="docker")
    assert type(nodes["ServingCheck"]).__name__ == "InfraValidator"
    assert json.loads(nodes["ServingCheck"].exec_properties["request_spec"])["tensorflow_serving"] == {
        "signature_names": ["serve_examples"]
    }
    assert nodes["Pusher"].inputs["infra_blessing"].producer_component_id == "ServingCheck"
    settings = json.loads(made(largest_batch=8)["ServingCheck"].exec_properties["settings"])
    assert settings == {"largest_batch": 8, "max_latency_ms": None, "max_memory_mb": None}
