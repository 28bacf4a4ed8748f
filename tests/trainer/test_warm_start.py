"""A warm start loads the latest blessed model's weights; the last layer only if the classes are equal."""

import json

import numpy as np
import pytest

from ingest.sample import CLASSES
from pipeline.config import Config
from trainer import class_names, models, weights
from trainer.recipe import model_of

CLASSES_FILE = f"Format-Serving/{class_names.FILE}"


@pytest.mark.parametrize(("earlier", "kept"), [(CLASSES, True), (CLASSES[::-1], False), (None, False)])
def test_a_warm_start_takes_the_last_layer_only_of_the_same_classes(earlier, kept, tmp_path, capsys):
    model = models.build("cnn", (16, 16, 3), 5)
    weights.save(model, tmp_path / "model.weights.h5")
    if earlier:
        (tmp_path / CLASSES_FILE).parent.mkdir(parents=True)
        (tmp_path / CLASSES_FILE).write_text(json.dumps(earlier))
    made = Config(model={"name": "cnn"}, data={"image_size": 16, "classes": CLASSES})
    started = model_of(made.recipe, str(tmp_path / "Format-Serving"))
    same = [np.array_equal(*pair) for pair in zip(model.get_weights(), started.get_weights(), strict=True)]
    assert all(same[:-2])
    assert same[-2] == kept  # the kernel of the last layer
    assert "layers loaded" in capsys.readouterr().out


def test_a_warm_start_with_nothing_but_the_last_layer_starts_anew(tmp_path):
    weights.save(models.build("softmax", (16, 16, 3), 3), tmp_path / "model.weights.h5")
    made = Config(model={"name": "softmax"}, data={"image_size": 16, "classes": CLASSES})
    assert model_of(made.recipe, str(tmp_path / "Format-Serving")).count_params() == (16 * 16 * 3 + 1) * 5
