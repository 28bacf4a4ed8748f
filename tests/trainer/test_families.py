"""A row of the table of model families is all that validation, building, downloads and clusters need."""

import keras
import pytest
from pydantic import Field

from errors import UserError
from pipeline import settings
from pipeline.cluster import cluster_settings
from pipeline.local import local_settings
from tests.conftest import ROOT
from tests.helpers import records
from tests.pipeline.cluster.test_cluster_settings import SOUND
from trainer import models
from trainer.families import FAMILIES, Family, Weights
from trainer.models.head import logits
from trainer.section import Section
from trainer.settings import Recipe

URL = "https://storage.googleapis.com/a-bucket/tiny/tiny_notop.weights.h5"
CHANGES = {"model.name": "tiny", "model.options.units": 3, "data.image_size": 24, "data.channels": 1}


class Units(Section):
    units: int = Field(default=2, ge=1)


def build(input_shape: tuple[int, int, int], classes: int, units: int) -> keras.Model:
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(units, name="hidden")(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, logits(x, classes), name="tiny")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    row = Family("tests.trainer.test_families.build", Units, 24, (1,), "mean-deviation", Weights(URL, 1, "sha256:0"))
    monkeypatch.setitem(FAMILIES, "tiny", row)


def test_its_options_and_limits_are_validated():
    assert settings.load(changes=CHANGES).model.options == Units(units=3)
    for change, says in {
        ("model.options.alpha", 2): "model.options: tiny has the options units; received",
        ("model.options.units", 0): "model.options.units: expected a whole number of 1 or more; received 0",
        ("data.image_size", 23): "model.name: tiny needs data.image_size of 24 or more and data.channels 1",
        ("data.channels", 3): "model.name: tiny needs data.image_size of 24 or more and data.channels 1",
        ("model.weights", "imagenet"): "data.normalize: expected 'mean-deviation' for tiny's ImageNet weights",
        ("model.name", "tiy"): "did you mean 'tiny'. expected one of: .*, tiny; received 'tiy'",
    }.items():
        with pytest.raises(UserError, match=says):
            settings.load(changes=CHANGES | dict([change]))
    with pytest.raises(UserError, match="no ImageNet weights to download for cnn, only for .*xception, tiny; give"):
        settings.load(changes={"model.name": "cnn", "model.weights": "imagenet"})


def test_the_trainer_builds_it_from_the_stored_recipe():
    stored = settings.load(changes=CHANGES).recipe.model_dump(mode="json")
    assert stored["model"]["options"] == {"units": 3}
    assert models.of_recipe(Recipe.model_validate(stored)).count_params() == (24 * 24 + 1) * 3 + (3 + 1) * 5


def test_its_weights_are_taken_from_the_cache_here_and_from_the_bucket_on_a_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "tfx-photo-pipeline" / "weights" / "0" / "tiny_notop.weights.h5"
    changes = CHANGES | {"model.weights": "imagenet", "data.normalize": "mean-deviation"}
    here = {"data.directory": str(records.folder(tmp_path / "data")), "trainer.batch_size": 4}
    here |= {"output": str(tmp_path / "out")}
    file.parent.mkdir(parents=True)
    models.build("tiny", (24, 24, 1), 7, units=3).save_weights(file)
    assert local_settings.resolve(settings.load(changes=changes | here)).model.weights == str(file)
    with pytest.raises(UserError, match="does not fit the model"):
        local_settings.resolve(settings.load(changes=changes | here | {"model.options.units": 4}))
    config = cluster_settings.resolve(settings.load(changes=SOUND | changes), "vertex", ROOT, False, submitted=True)
    assert config.model.weights == "gs://a-bucket/tiny/tiny_notop.weights.h5"
