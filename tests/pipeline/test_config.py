"""Rules between settings, and settings whose values have a form of their own."""

import pytest

from errors import UserError
from pipeline import settings

LITE = {"embeddings.trunks": ["efficientnet_lite0"]}


def test_settings_that_do_not_agree_are_named():
    with pytest.raises(UserError) as error:
        settings.load(
            "sample",
            None,
            {"model.weights": "imagenet", "trainer.augment": ["flip", "saturation", "contrast"], "data.channels": 1},
        )
    assert "model.weights: no ImageNet weights to download for convnet, only for efficientnet_lite0," in str(
        error.value
    )
    assert (
        "trainer.augment: saturation needs data.normalize 'range' and data.channels 3; received 'range' and 1"
        in str(error.value)
    )
    assert "contrast" not in str(error.value)


def test_disagreements_are_reported_with_other_errors():
    changes = {"model.weights": "imagenet", "trainer.epochs": 0, "trainer.learning_rate": 0.1, "extra": 1}
    changes |= {"trainer.augment": ["blurr"], "data.channels": 1}
    with pytest.raises(UserError) as error:
        settings.load("sample", None, changes)
    assert "5 settings are not valid" in str(error.value)
    assert (
        "learning_rate: expected a section with the keys schedule, start, peak, ramp_epochs, decay; received 0.1"
        in str(error.value)
    )
    assert "model.weights: no ImageNet weights to download for convnet" in str(error.value)
    assert "trainer.augment: saturation" not in str(error.value)  # cannot be checked, because data.normalize is unknown


def test_operations_on_other_ranges_of_pixels_are_refused():
    changes = dict([settings.parse_change("trainer.augment=[blur, {contrast: {strength: 0.1}}, hue]")])
    settings.load("sample", None, changes)
    with pytest.raises(UserError) as error:
        settings.load("sample", None, changes | {"data.normalize": "mean-deviation"})
    assert "2 settings are not valid" in str(error.value)
    assert "contrast needs data.normalize 'range' and data.channels 1 or 3; received 'mean-deviation' and 3" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"model.name": ["convnet", "probe"]}, "model.name: expected no probe, .*; received .'convnet', 'probe'"),
        ({"model.head": ["probe"]}, "expected keys of model and trainer except .*; received 'model.head'"),
        ({"trainer.minutes": [1]}, "expected keys of model and trainer except .*; received 'trainer.minutes'"),
    ],
)
def test_the_tuner_does_not_try_what_reads_the_embeddings(search, says):
    with pytest.raises(UserError, match=f"tuner.search: {says}"):
        settings.load("sample", None, {"tuner.search": search, "tuner.trials": 2, "tuner.epochs": 2})


def test_what_the_tuner_tries_has_to_be_valid(tmp_path):
    search = {
        "trainer.learning_rate.peak": [1e-3, -1],
        "trainer.rate": [1],
        "trainer.ema": [],
        "data.classes": [1],
        "model.options.alpha": [0.5, 1],
    }
    search |= {"trainer.epochs": [3], "trainer.batch_size": [64, 128]}
    with pytest.raises(UserError) as error:
        settings.load("sample", None, {"tuner.search": search, "tuner.trials": 2, "tuner.epochs": 2})
    assert "5 settings are not valid" in str(error.value)
    assert "trainer.ema: expected at least one value, received none" in str(error.value)
    assert "expected keys of model and trainer except model.weights, model.head, trainer.epochs" in str(error.value)
    assert "trainer.learning_rate.peak: expected a number above 0; received -1" in str(error.value)
    assert "trainer.rate: Extra inputs are not permitted" in str(error.value)
    assert "received 'data.classes'" in str(error.value)
    with pytest.raises(UserError, match="tuner.search: expected values, for"):
        settings.load("sample", None, {"tuner.trials": 2})


def test_the_tuners_trials_train_as_the_training_does():
    tuner = {"tuner.trials": 2, "tuner.epochs": 2, "tuner.search": {"model.options.alpha": [0.5, 1]}}
    settings.load("sample", None, tuner)
    ramp = {"trainer.learning_rate": {"ramp_epochs": 2}}
    with pytest.raises(UserError, match=r"tuner.epochs: expected more than trainer.learning_rate.ramp_epochs \(2\)"):
        settings.load("sample", None, tuner | ramp)
    for other in ({"trainer.warm_start": True}, {"trainer.frozen_epochs": 1}):
        with pytest.raises(UserError, match=r"tuner.trials: expected 0 with"):
            settings.load("sample", None, tuner | other)


def test_limits_of_the_serving_check_need_its_own_process():
    for limit in ("max_latency_ms", "max_memory_mb"):
        with pytest.raises(UserError, match="serving_check.server: expected process together with .*received docker"):
            settings.load("sample", None, {"serving_check.server": "docker", f"serving_check.{limit}": 500})
    assert settings.load("sample", None, {"serving_check.server": "docker"}).serving_check.max_latency_ms is None


def test_the_tuners_values_keep_their_types():
    search = {"trainer.batch_size": [64, 128], "model.options.alpha": [1, 0.5], "model.name": ["mlp", "dense"]}
    search["trainer.ema"] = ["1e-3"]  # YAML 1.1 does not parse this as a number
    assert settings.load("sample", None, {"tuner.search": search}).tuner.search == {
        "trainer.batch_size": (64, 128),
        "model.options.alpha": (1.0, 0.5),
        "model.name": ("mlp", "dense"),
        "trainer.ema": (0.001,),
    }


def test_each_family_has_its_own_options():
    config = settings.load("flowers-mobilenet")
    assert config.model.options.model_dump() == {"alpha": 0.35}
    assert config.recipe.model_dump(mode="json")["model"]["options"] == {"alpha": 0.35}
    assert config.recipe.changed({"model.name": "mlp"}).model.options.model_dump() == {"alpha": 0.35}
    assert settings.load("mnist-cnn").recipe.changed({"model.name": "softmax"}).model.options.model_dump() == {}
    assert settings.parse_change("model.options.alpha=0.5") == ("model.options.alpha", 0.5)
    for change, says in {
        "model.name=xception": r"model.options: xception has no options; received {'alpha': 0.35}",
        "model.options.aplha=2": "model.options: mobilenet_v2 has the options alpha; received",
        "model.options.alpha=5": "model.options.alpha: expected a number .*4; received 5",
        "model.options=5": "model.options: mobilenet_v2 has the options alpha; received 5",
    }.items():
        with pytest.raises(UserError, match=f"1 setting is not valid:\n  {says}"):
            settings.load("flowers-mobilenet", None, dict([settings.parse_change(change)]))


def test_null_replaces_the_options_of_a_preset_by_the_defaults():
    changes = dict([settings.parse_change("model.options=null")])
    assert settings.load("flowers-mobilenet", None, changes).model.options.model_dump() == {"alpha": 1.0}
    changes["model.name"] = "softmax"
    assert settings.load("flowers-mobilenet", None, changes).model.options.model_dump() == {}


def test_options_are_searched_with_each_model_that_is_searched():
    search = {"model.name": ["cnn", "mlp"], "model.options.alpha": [0.5, 1]}
    settings.load("mnist-cnn", None, {"tuner.search": search})
    search["model.name"].append("softmax")
    with pytest.raises(UserError, match="tuner.search: model.options.alpha: softmax has no options; received 0.5"):
        settings.load("mnist-cnn", None, {"tuner.search": search})


def test_the_threshold_of_sure_has_one_goal():
    goals = {"serving.sure_accuracy": 0.98, "serving.sure_coverage": 0.9}
    with pytest.raises(UserError, match="serving.sure_accuracy: expected null together with serving.sure_coverage"):
        settings.load(changes=goals)
    for key, value in goals.items():
        assert key.partition(".")[2] in settings.load(changes={key: value}).recipe.serving.model_dump(exclude_none=True)


@pytest.mark.parametrize("steps", [[9, 2], [0, 0]])
def test_steps_to_profile_are_in_order(steps):
    with pytest.raises(UserError, match="expected a first step of 1 or more"):
        settings.load("sample", None, {"trainer.profile_steps": steps})


@pytest.mark.parametrize(
    "pattern", ["**/*.tfrec", "**", "a**.tfrec", "{SPAN}/*", "a\\*", "/x/*", "../*", "a//b", "a/", "."]
)
def test_a_pattern_that_would_be_read_in_several_ways_is_refused(pattern):
    with pytest.raises(UserError, match=r"data.pattern: expected .* for example \*"):
        settings.load(changes={"data.pattern": pattern})


def test_imagenet_weights_get_their_preprocessing():
    changes = {"model.name": "xception", "model.weights": "imagenet", "data.normalize": "mean-deviation"}
    changes["data.image_size"] = 96
    with pytest.raises(UserError, match="data.normalize: expected 'range' for xception's ImageNet weights"):
        settings.load(changes=changes)
    settings.load(changes=changes | {"model.weights": None})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model.name": "probe"}, "embeddings.trunks: expected a trunk for a probe, for example"),
        ({"model.name": "probe", **LITE, "model.weights": "imagenet"}, "model.weights: expected none for a probe"),
        ({"model.head": "probe", **LITE}, "model.head: expected embeddings.trunks to be the model alone"),
        ({"model.name": "probe", **LITE, "trainer.warm_start": True}, "trainer.warm_start false for a last layer"),
        (
            {"model.name": "probe", **LITE, "data.image_size": 16},
            "embeddings.trunks.0.name: .* needs data.image_size of 32",
        ),
        ({"embeddings.trunks": [{"name": "convnet"}]}, "embeddings.trunks.0.weights: no ImageNet weights to download"),
        ({"embeddings.trunks": ["lite"]}, "embeddings.trunks.0.name: unknown model; .* received 'lite'"),
        ({"trainer.minutes": 3}, "trainer.minutes: expected model.head probe"),
    ],
)
def test_probes_and_trunks_that_do_not_fit(changes, says):
    with pytest.raises(UserError, match=says):
        settings.load(changes=changes)


def test_the_recipe_has_the_embeddings_only_if_the_model_reads_them():
    assert settings.load(changes=LITE).recipe.embeddings.trunks == ()  # so that they do not train the model again
    probe = settings.load(changes={"model.name": "probe", **LITE})
    assert [trunk.weights for trunk in probe.recipe.embeddings.trunks] == ["imagenet"]
    tuned = {"model.name": "efficientnet_lite0", "model.weights": "imagenet", "model.head": "probe"}
    assert settings.load(changes={**tuned, **LITE}).model.reads_embeddings
