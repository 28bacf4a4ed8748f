"""What a run needs is checked before it starts: the schema and the weights."""

import re

import h5py
import keras
import numpy as np
import pytest
from tfx import types
from tfx.types.standard_artifacts import Examples, TransformGraph

import errors
from components import embeddings
from errors import UserError
from pipeline import schema_file, settings
from pipeline.local import local_settings
from tests.helpers import records
from trainer import models
from trainer.weights import save

CLASSES = settings.load().data.classes
OF_IMAGE = "shape { dim { size: 1 } }\n  image"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            (OF_IMAGE, "image"),
            "image: expected type: BYTES presence { min_fraction: 1.0 } shape { dim { size: 1 } },",
        ),
        ((OF_IMAGE, "value_count { min: 1 max: 1 }\n  image"), "image: expected .* received .* value_count"),
        ((OF_IMAGE, OF_IMAGE.replace("1", "2")), "image: expected .* size: 1 } }, received .* size: 2 } }"),
        (("shape { dim { size: 1 } }\n  int", "int"), "class: expected type: INT"),
        (("presence { min_fraction: 1.0 min_count: 1 }\n  shape", "shape"), "image: expected"),
        (("BYTES\n  presence { min_f", "INT\n  presence { min_f"), "image: expected type: BYTES"),
        (('name: "image"', 'name: "photo"'), "image: expected one feature with this name, received 0"),
        (('name: "label"\n  type: BYTES', 'name: "label"'), "label: expected a type"),
        (("value_count { min: 2 max: 2 }", "shape { dim { size: 2 } }"), "size: a shape needs presence"),
    ],
)
def test_a_schema_that_would_fail_in_transform(tmp_path, change, says):
    text = (schema_file.SCHEMAS / "flowers.pbtxt").read_text()
    assert change[0] in text
    schema = tmp_path / "mine.pbtxt"
    schema.write_text(text)
    assert schema_file.check_schema(schema, CLASSES) == schema
    schema.write_text(text.replace(*change, 1))
    with pytest.raises(UserError, match=f"(?s)Transform cannot use the schema .*mine.pbtxt .*{says}"):
        schema_file.check_schema(schema, CLASSES)


@pytest.mark.parametrize("inline", [False, True])
def test_the_names_in_the_schema_are_those_of_the_settings(tmp_path, inline):
    """The flowers' names in a copied schema were reported by the data gate, after StatisticsGen."""
    text = (schema_file.SCHEMAS / "flowers.pbtxt").read_text()
    if inline:
        domain = re.search("string_domain ({.*?})", text, re.DOTALL)
        own = f"string_domain {domain[1]}".replace('name: "label"', "")
        text = text.replace(domain[0], "").replace('domain: "label"', own)
    schema = tmp_path / "mine.pbtxt"
    schema.write_text(text)
    assert schema_file.check_schema(schema, CLASSES[::-1]) == schema
    expected = "names of data.classes in the string_domain of label, received daisy, .* Change them to a, b, c, d, e "
    with pytest.raises(UserError, match=expected):
        schema_file.check_schema(schema, list("abcde"))


@pytest.fixture
def prepare(tmp_path, cache, monkeypatch):
    """Prepares a run on a few photos with the given weights and settings."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    folder = records.folder(tmp_path / "data")

    def call(weights, **changes):
        given = {"data.image_size": 71, "data.directory": str(folder), "trainer.batch_size": 4}
        given |= {"model.weights": str(weights), "output": str(tmp_path / "out")}
        return local_settings.resolve(settings.load(changes=given | changes))

    return call


def _saved(path, **changes):
    config = settings.load(changes={"data.image_size": 71} | changes)
    model = models.of_recipe(config.recipe)
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


def test_docker_is_needed_for_infra_validator(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    folder = records.folder(tmp_path / "data")
    changes = {"data.directory": str(folder), "trainer.batch_size": 4, "output": str(tmp_path / "out")}
    config = settings.load(changes=changes | {"serving_check.server": "docker"})
    with pytest.raises(UserError, match="serving_check.server: cannot reach Docker: .*; start Docker, or use process"):
        local_settings.resolve(config)
    assert not (tmp_path / "out").exists()


def test_a_keras_file_is_taken_as_weights(prepare, tmp_path):
    config = prepare(_saved(tmp_path / "m.keras"), **{"model.weights_match": "whole"})
    assert config.model.weights == str(tmp_path / "m.keras")
    assert config.output.is_dir()
    assert keras.layers.Dense(1).name == "dense"  # the Trainer's layers have the names that they have in a new process


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"model.options.alpha": 0.5},
            "does not fit the model: .* load only .*: --set model.weights_match=matching",
        ),
        ({"model.name": "softmax"}, "does not fit the model"),
        ({"model.weights_match": "whole", "data.classes": ["a", "b"], "data.schema_file": "two.pbtxt"}, "logits"),
    ],
)
def test_weights_that_do_not_fit_start_nothing(prepare, tmp_path, monkeypatch, changes, says):
    monkeypatch.chdir(tmp_path)
    text = (schema_file.SCHEMAS / "flowers.pbtxt").read_text()
    text = re.sub("string_domain {.*?}", "", text, flags=re.DOTALL)
    (tmp_path / "two.pbtxt").write_text(text.replace("max: 4", "max: 1"))
    weights = _saved(tmp_path / "m.weights.h5")
    with pytest.raises(UserError, match=says):
        prepare(weights, **changes)
    assert not (tmp_path / "out").exists()


def test_damaged_weights_start_nothing(prepare, tmp_path):
    weights = tmp_path / "m.npz"
    np.savez(weights, **{"conv2d/kernel": np.zeros((3, 3))})
    weights.write_bytes(weights.read_bytes()[:-30])
    with pytest.raises(UserError, match="m.npz cannot be read"):
        prepare(weights)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["mobilenet_v2", "xception"])
def test_truncated_weights_of_keras_2_start_nothing(prepare, tmp_path, name):
    weights = tmp_path / "m.h5"
    with h5py.File(weights, "w") as file:
        file.attrs["layer_names"] = ["conv1"]
        file.create_dataset("conv1/kernel:0", data=np.zeros((3, 3, 3, 32)))
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"the weights file .*m\.h5 cannot be read: .*truncated file"):
        prepare(weights, **{"model.name": name})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "says"),
    [(OSError(13, "Permission denied", "/a/b"), "cannot read or write /a/b: Permission denied"),
     (OSError("truncated file"), "truncated file")],
)  # fmt: skip
def test_an_error_of_the_system_names_its_file_where_it_has_one(error, says):
    problems: list[str] = []
    with errors.collect_errors(problems):
        raise error
    assert problems == [says]


def test_weights_of_keras_applications_see_what_they_were_trained_on(prepare, real_data):
    file = real_data / "weights" / "mobilenet_v2_0.35_224_imagenet_notop.h5"
    changes = {"model.name": "mobilenet_v2", "model.options.alpha": 0.35}
    assert prepare(file, **changes).model.weights == str(file.resolve())
    with pytest.raises(UserError, match=r"data.normalize: expected range, .*\(--set data.normalize=range\)"):
        prepare(file, **changes, **{"data.normalize": "mean-deviation"})


def test_edits_are_checked_before_the_run(prepare, tmp_path, monkeypatch):
    weights = _saved(tmp_path / "m.keras")
    monkeypatch.chdir(tmp_path)
    edits = {"data.edits": "edits.csv", "model.weights_match": "whole"}
    with pytest.raises(UserError, match=r"cannot read the edits .*edits.csv \(data.edits\): No such file"):
        prepare(weights, **edits)
    (tmp_path / "edits.csv").write_text("name,label\na.jpg,dasy\n")
    with pytest.raises(UserError, match="edits.csv: unknown class 'dasy'; did you mean 'daisy'"):
        prepare(weights, **edits)
    with pytest.raises(UserError, match="data.edits: expected a path on this machine, received gs://b/edits.csv"):
        prepare(weights, **edits | {"data.edits": "gs://b/edits.csv"})
    assert not (tmp_path / "out").exists()
    (tmp_path / "edits.csv").write_text("name,label\na.jpg,daisy\n")
    assert prepare(weights, **edits).data.edits == tmp_path / "edits.csv"


@pytest.mark.parametrize(
    ("trunk", "says"),
    [
        ({"weights": "no.npz"}, r"the weights file .*/no\.npz does not exist \(embeddings\.trunks\.1\.weights\)$"),
        ({"weights": "."}, r"the weights .* are a folder; expected a file: .*"),
        (
            {"weights": "m.npz", "weights_sha256": "0" * 64},
            r"is not the expected one: expected sha256:0{64} \(embeddings\.trunks\.1\.weights_sha256\), received",
        ),
        (
            {"weights": "m.npz", "options": {"alpha": 0.5}},
            r"embeddings\.trunks: the weights of mobilenet_v2: the weights file .*/m\.npz does not fit the model: .*",
        ),
    ],
)
def test_an_error_about_a_trunks_weights_names_its_setting(prepare, tmp_path, monkeypatch, trunk, says):
    monkeypatch.chdir(tmp_path)
    save(models.build("mobilenet_v2", (71, 71, 3), 5, alpha=0.35), tmp_path / "m.npz")
    trunks = [{"name": "efficientnet_lite0"}, {"name": "mobilenet_v2", "options": {"alpha": 0.35}} | trunk]
    with pytest.raises(UserError, match=says) as error:
        prepare(None, **{"model.name": "probe", "model.weights": None, "embeddings.trunks": trunks})
    assert not re.search(r"--weights|model\.weights", str(error.value))


def test_changed_weights_of_a_trunk_change_the_cache_key_of_the_node_embeddings(prepare, tmp_path):
    """TFX's cache key contains the node's properties and its inputs: the examples and the transform graph."""
    keys = []
    for seed in (1, 2, 1):
        keras.utils.set_random_seed(seed)
        save(models.build("convnet", (71, 71, 3), 1), tmp_path / "m.npz")
        trunks = [{"name": "convnet", "weights": str(tmp_path / "m.npz")}]
        config = prepare(None, **{"model.name": "probe", "model.weights": None, "embeddings.trunks": trunks})
        examples, graph = (types.Channel(type=kind) for kind in (Examples, TransformGraph))
        made = embeddings.embeddings(examples, graph, config.embeddings, {})
        assert set(made.inputs) == {"examples", "transform_graph"}
        keys.append(made.exec_properties)
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]
