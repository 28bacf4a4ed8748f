import pytest
import yaml

from datasets.errors import UserError
from pipeline import settings
from pipeline.config import Config, Model


def test_every_preset_is_valid_and_has_its_header():
    assert {"sample", "flowers-convnet", "flowers-squeezenet", "flowers-xception"} < set(settings.preset_names())
    assert {settings.load(name).model.name for name in settings.preset_names()} == set(
        Model.model_fields["name"].annotation.__args__
    )
    for name in settings.preset_names():
        config = settings.load(name)
        header = (settings.PRESETS / f"{name}.yaml").read_text().splitlines()[:5]
        assert config.name == name
        assert [line.partition(":")[0] for line in header[1:]] == ["# Source", "# Command", "# Expect", "# Time"]


def test_presets_state_only_differences():
    default = Config().model_dump(mode="json")

    def same(preset, defaults, where):
        for key, value in preset.items():
            if isinstance(value, dict):
                yield from same(value, defaults[key], f"{where}.{key}")
            elif value == defaults.get(key):
                yield f"{where}.{key}"

    for name in settings.preset_names():
        preset = yaml.safe_load((settings.PRESETS / f"{name}.yaml").read_text())
        assert list(same(preset, default, name)) == []


def test_the_last_word_wins(tmp_path):
    file = tmp_path / "Mine.yaml"
    file.write_text("trainer: {epochs: 3, batch_size: 8}")
    config = settings.load("flowers-convnet", file, {"trainer.epochs": 5})
    assert (config.name, config.trainer.epochs, config.trainer.batch_size) == ("mine", 5, 8)
    assert config.trainer.learning_rate.decay == 0.93  # the preset's, untouched


def test_what_is_shown_can_be_read_back(tmp_path):
    file = tmp_path / "shown.yaml"
    config = settings.load("flowers-xception")
    file.write_text(settings.to_yaml(config))
    assert settings.load(None, file) == config


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Config().trainer.epochs = 3  # type: ignore[misc]


def test_all_faults_are_reported_at_once_with_the_valid_choices():
    changes = {
        "trainer.epoch": 5,
        "trainer.batch_size": "many",
        "data.image_size": 9,
        "model.name": "vgg",
        "evaluator.min_accuracy": 1.5,
        "data.classes": ["daisy", "daisy"],
        "data.pattern": "../*.tfrec",
    }
    with pytest.raises(UserError) as error:
        settings.load("sample", None, changes)
    lines = str(error.value).splitlines()
    assert lines[0] == "7 settings are not valid:"
    assert "  trainer.epoch: unknown key; did you mean 'epochs'? valid here: epochs, frozen_epochs" in str(error.value)
    assert any(line.startswith("  model.name: Input should be 'softmax', 'mlp', ") for line in lines)
    assert any(line.startswith("  trainer.batch_size: ") and "valid integer" in line for line in lines)
    assert any(line.startswith("  data.image_size: ") and "greater than or equal to 16" in line for line in lines)
    assert any(line.startswith("  data.classes: each class is to be named once") for line in lines)
    assert any(line.startswith("  data.pattern: a pattern is relative") for line in lines)


def test_settings_that_do_not_agree_are_named():
    with pytest.raises(UserError) as error:
        settings.load(
            "sample", None, {"model.weights": "imagenet", "trainer.augment": ["saturation"], "data.channels": 1}
        )
    assert "model.weights: no ImageNet weights to fetch for convnet, only for xception; give a file" in str(error.value)
    assert "trainer.augment: saturation needs data.normalize 'range' and data.channels 3" in str(error.value)


def test_settings_that_do_not_agree_are_named_beside_wrong_ones():
    changes = {"model.weights": "imagenet", "trainer.epochs": 0, "trainer.learning_rate": 0.1, "extra": 1}
    changes |= {"trainer.augment": ["blur"], "data.channels": 1}
    with pytest.raises(UserError) as error:
        settings.load("sample", None, changes)
    assert "5 settings are not valid" in str(error.value)
    assert (
        "trainer.learning_rate: a section, whose keys are schedule, start, peak, ramp_epochs, decay; received 0.1"
        in str(error.value)
    )
    assert "model.weights: no ImageNet weights to fetch for convnet" in str(error.value)
    assert "trainer.augment: saturation" not in str(error.value)  # what it was to be is not known


def test_what_the_tuner_tries_has_to_be_valid(tmp_path):
    search = {
        "trainer.learning_rate.peak": [1e-3, -1],
        "trainer.rate": [1],
        "data.classes": [1],
        "model.alpha": [0.5, 1],
    }
    search |= {"trainer.epochs": [3], "trainer.batch_size": [64, 128]}
    with pytest.raises(UserError) as error:
        settings.load("sample", None, {"tuner.search": search, "tuner.trials": 2, "tuner.epochs": 2})
    assert "4 settings are not valid" in str(error.value)
    assert "expected keys of model and trainer but model.weights, trainer.epochs" in str(error.value)
    assert "trainer.learning_rate.peak: Input should be greater than 0; received -1" in str(error.value)
    assert "trainer.rate: Extra inputs are not permitted" in str(error.value)
    assert "received 'data.classes'" in str(error.value)
    with pytest.raises(UserError, match="tuner.search: name values to try"):
        settings.load("sample", None, {"tuner.trials": 2})


def test_the_tuners_trials_train_as_the_training_does():
    tuner = {"tuner.trials": 2, "tuner.epochs": 2, "tuner.search": {"model.alpha": [0.5, 1]}}
    settings.load("sample", None, tuner)
    ramp = {"trainer.learning_rate": {"ramp_epochs": 2}}
    with pytest.raises(UserError, match=r"tuner.epochs: more than the 2 of trainer.learning_rate.ramp_epochs"):
        settings.load("sample", None, tuner | ramp)
    for other in ({"trainer.warm_start": True}, {"trainer.frozen_epochs": 1}):
        with pytest.raises(UserError, match=r"tuner.trials: trials train all layers from model.weights; 0 with"):
            settings.load("sample", None, tuner | other)


def test_the_tuners_values_keep_their_types():
    search = {"trainer.batch_size": [64, 128], "model.alpha": [1, 0.5], "model.name": ["mlp", "softmax"]}
    search["trainer.ema"] = ["1e-3"]  # to YAML 1.1 this is no number
    assert settings.load("sample", None, {"tuner.search": search}).tuner.search == {
        "trainer.batch_size": (64, 128),
        "model.alpha": (1.0, 0.5),
        "model.name": ("mlp", "softmax"),
        "trainer.ema": (0.001,),
    }


@pytest.mark.parametrize("steps", [[9, 2], [0, 0]])
def test_steps_to_profile_are_in_order(steps):
    with pytest.raises(UserError, match="the first step is 1 or more, the last no less"):
        settings.load("sample", None, {"trainer.profile_steps": steps})


@pytest.mark.parametrize("text", ["trainer.epochs", "=5", "trainer.epochs=[1,"])
def test_a_change_that_cannot_be_read(text):
    with pytest.raises(ValueError, match=r"expected KEY=VALUE|is not YAML"):
        settings.parse_change(text)


@pytest.mark.parametrize(("content", "says"), [("- a", "is to hold sections"), ("a: [", "is not YAML")])
def test_a_settings_file_that_cannot_be_read(tmp_path, content, says):
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=says):
        settings.load(None, file)
