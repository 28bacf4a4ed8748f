import re

import pytest
import yaml
from pydantic import BaseModel

from errors import UserError
from ingest.sources import data_sources
from pipeline import settings
from pipeline.config import Config
from trainer.families import FAMILIES


def test_every_preset_is_valid_and_has_its_header():
    assert {"sample", "flowers-convnet", "flowers-squeezenet", "flowers-xception"} < set(settings.preset_names())
    assert {settings.load(name).model.name for name in settings.preset_names()} == set(FAMILIES)
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


def test_later_sources_override_earlier_ones(tmp_path):
    file = tmp_path / "Mine.yaml"
    file.write_text("{name: mine, trainer: {epochs: 3, batch_size: 8}}")
    config = settings.load("flowers-convnet", file, {"trainer.epochs": 5})
    assert (config.name, config.trainer.epochs, config.trainer.batch_size) == ("mine", 5, 8)
    assert config.trainer.learning_rate.decay == 0.93  # the preset's value


def test_a_settings_file_has_to_name_its_runs(tmp_path):
    """Otherwise two files with the same name in different folders would share cache, baseline and pushes (issue 11)."""
    file = tmp_path / "My settings.yaml"
    file.write_text("trainer: {epochs: 3}\n")
    with pytest.raises(
        UserError, match="1 setting is not valid:\n  name: missing in .* --set name=my-settings$"
    ) as error:
        settings.load("flowers-convnet", file)
    ((key, value),) = [settings.parse_change(str(error.value).rpartition("--set ")[2])]
    assert settings.load(None, file, {key: value}).name == "my-settings"
    (line,) = re.findall("Add the line '(.+)', or", str(error.value))
    file.write_text(f"{line}\n{file.read_text()}")
    assert settings.load(None, file).name == "my-settings"


def test_what_is_shown_can_be_read_back(tmp_path):
    file = tmp_path / "shown.yaml"
    config = settings.load("flowers-xception")
    file.write_text(settings.to_yaml(config))
    assert settings.load(None, file) == config


def test_a_changed_section_is_validated():
    recipe = settings.load("mnist-cnn").recipe
    longer = recipe.changed({"trainer.epochs": 30, "trainer.learning_rate.peak": 0.1})
    assert (longer.trainer.epochs, longer.trainer.learning_rate.peak) == (30, 0.1)
    assert longer.changed({"trainer.epochs": 12, "trainer.learning_rate.peak": 4e-3}) == recipe
    for change, says in ({"trainer.epochs": 0}, "greater than"), ({"trainer.epoch": 1}, "Extra inputs"):
        with pytest.raises(ValueError, match=says):
            recipe.changed(change)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Config().trainer.epochs = 3  # type: ignore[misc]


def test_all_faults_are_reported_at_once_with_the_valid_choices():
    changes = {
        "trainer.epoch": 5,
        "trainer.batch_size": "many",
        "data.image_size": 9,
        "model.name": "convent",
        "model.options.alpha": 2,
        "data.source": "flower",
        "evaluator.min_accuracy": 1.5,
        "data.classes": ["daisy", "daisy"],
        "data.pattern": "../*.tfrec",
    }
    with pytest.raises(UserError) as error:
        settings.load("sample", None, changes)
    lines = str(error.value).splitlines()
    assert lines[0] == "8 settings are not valid:"
    assert "  trainer.epoch: unknown key; did you mean 'epochs'? expected one of: epochs, frozen_epochs" in str(
        error.value
    )
    for key, kind, meant, valid in (
        ("model.name", "model", "convnet", FAMILIES),
        ("data.source", "source", "flowers", data_sources()),
    ):
        said = f"  {key}: unknown {kind}; did you mean '{meant}'? expected one of: {', '.join(valid)}; received"
        assert said in str(error.value)
    assert any(line.startswith("  trainer.batch_size: ") and "valid integer" in line for line in lines)
    assert any(line.startswith("  data.image_size: ") and "greater than or equal to 16" in line for line in lines)
    assert any(line.startswith("  data.classes: expected each class only once") for line in lines)
    assert any(line.startswith("  data.pattern: expected a pattern relative") for line in lines)


def test_settings_that_do_not_agree_are_named():
    with pytest.raises(UserError) as error:
        settings.load(
            "sample", None, {"model.weights": "imagenet", "trainer.augment": ["saturation"], "data.channels": 1}
        )
    assert "model.weights: no ImageNet weights to download for convnet, only for xception" in str(error.value)
    assert "trainer.augment: saturation needs data.normalize 'range' and data.channels 3" in str(error.value)


def test_disagreements_are_reported_with_other_errors():
    changes = {"model.weights": "imagenet", "trainer.epochs": 0, "trainer.learning_rate": 0.1, "extra": 1}
    changes |= {"trainer.augment": ["blur"], "data.channels": 1}
    with pytest.raises(UserError) as error:
        settings.load("sample", None, changes)
    assert "5 settings are not valid" in str(error.value)
    assert (
        "learning_rate: expected a section with the keys schedule, start, peak, ramp_epochs, decay; received 0.1"
        in str(error.value)
    )
    assert "model.weights: no ImageNet weights to download for convnet" in str(error.value)
    assert "trainer.augment: saturation" not in str(error.value)  # cannot be checked, because data.normalize is unknown


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
    assert "expected keys of model and trainer except model.weights, trainer.epochs" in str(error.value)
    assert "trainer.learning_rate.peak: Input should be greater than 0; received -1" in str(error.value)
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
        "model.options.alpha=5": "model.options.alpha: .* less than or equal to 4; received 5",
        "model.options=5": "model.options: .*; received 5",
    }.items():
        with pytest.raises(UserError, match=f"1 setting is not valid:\n  {says}"):
            settings.load("flowers-mobilenet", None, dict([settings.parse_change(change)]))


def test_options_are_searched_with_each_model_that_is_searched():
    search = {"model.name": ["cnn", "mlp"], "model.options.alpha": [0.5, 1]}
    settings.load("mnist-cnn", None, {"tuner.search": search})
    search["model.name"].append("softmax")
    with pytest.raises(UserError, match="tuner.search: model.options.alpha: softmax has no options; received 0.5"):
        settings.load("mnist-cnn", None, {"tuner.search": search})


@pytest.mark.parametrize("steps", [[9, 2], [0, 0]])
def test_steps_to_profile_are_in_order(steps):
    with pytest.raises(UserError, match="expected a first step of 1 or more"):
        settings.load("sample", None, {"trainer.profile_steps": steps})


def _fields(section=Config, prefix=""):
    """Returns the key, type and default of every setting."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


TEXTS = {  # key: whether the setting may be null
    "name": False, "output": False,
    "data.source": True, "data.directory": True, "data.pattern": False, "data.schema_file": False,
    "data.split": False, "data.resize": False, "data.normalize": False,
    "model.name": False, "model.weights": True, "model.weights_match": False, "model.weights_sha256": True,
    "trainer.learning_rate.schedule": False, "trainer.precision": False,
    "pusher.directory": True, "beam.runner": False,
    "cluster.project": True, "cluster.region": True, "cluster.pipeline_root": True, "cluster.service_account": True,
    "cluster.endpoint": True, "cluster.namespace": True, "cluster.image": True, "cluster.trainer": False,
    "metadata.url": True, "metadata.password_file": True,
}  # fmt: skip
NOT_YAML = [
    "no",
    "1e3",
    "007",
    "[a, b]",
    "{a",
    "*",
    "*.tfrecord",
    "&x",
    "@x",
    "!x",
    "a: b",
    "a #b",
    "#",
    "~",
    "'a'",
    "%",
]


def test_the_settings_that_are_text():
    strings = {key for key, field in _fields() if settings._is_text(field.annotation)}
    assert strings == set(TEXTS)
    texts = {key for key, field in _fields() if settings._is_list_of_text(field.annotation)}
    assert texts == {"data.classes", "trainer.augment", "beam.args"}


@pytest.mark.parametrize("key", TEXTS)
def test_text_is_used_unchanged(key):
    for text in NOT_YAML:
        assert settings.parse_change(f"{key}={text}") == (key, text)
    assert settings.parse_change(f"{key} = null") == (key, None if TEXTS[key] else "null")
    if TEXTS[key]:
        assert settings.parse_change(f"{key}=") == (key, None)
    else:
        with pytest.raises(ValueError, match=f"{key}: expected text after the =, received none"):
            settings.parse_change(f"{key}=")


def test_list_items_are_text_and_other_types_are_yaml():
    assert settings.parse_change("data.classes=[no, 1e3, null, a b]") == ("data.classes", ["no", "1e3", "null", "a b"])
    assert settings.parse_change("trainer.epochs=5") == ("trainer.epochs", 5)
    assert settings.parse_change("trainer.profile_steps=null") == ("trainer.profile_steps", None)
    assert settings.parse_change("trainer.learning_rate={peak: 0.1}") == ("trainer.learning_rate", {"peak": 0.1})
    with pytest.raises(UserError, match=r"'': unknown key; expected one of: name, output, data"):
        settings.load(changes=dict([settings.parse_change(".=1")]))
    with pytest.raises(UserError, match=r"data.patern: unknown key; did you mean 'pattern'\?"):
        settings.load(changes=dict([settings.parse_change("data.patern=*.tfrecord")]))


@pytest.mark.parametrize(
    "text",
    ["trainer.epochs", "=5", "trainer.epochs=[1,", "trainer.epochs=2024-13-45", "trainer={epochs: 1, epochs: 2}"],
)
def test_a_change_that_cannot_be_read(text):
    with pytest.raises(ValueError, match=r"expected KEY=VALUE|is not YAML") as error:
        settings.parse_change(text)
    assert "\n" not in str(error.value)


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


@pytest.mark.parametrize("key", ["output", "data.directory", "data.schema_file", "model.weights", "pusher.directory"])
def test_a_path_with_a_nul_byte_is_refused(key):
    with pytest.raises(UserError, match=f"{key}: expected text without NUL bytes"):
        settings.load("sample", None, {key: "a\0b"})


LONG = "x" * 5000


@pytest.mark.parametrize(
    "change",
    [
        f"trainer.epochs={LONG}",
        f"trainer.epochs=[{LONG}",
        f"trainer.epochs={{{LONG}: 1, {LONG}: 2}}",
        f"trainer.epochs={{2: {{{'2' * 5000}: 1}}}}",
        f"trainer.epochs=!{LONG} 1",
        f"trainer.{LONG}=1",
        f"{LONG}=1",
        LONG,
        f"trainer={LONG}",
        f"name={LONG}",
        f"data.pattern={{{LONG}",
        f"tuner.search={{{LONG}: [1]}}",
        f"tuner.search={{trainer.{LONG}: []}}",
        f"tuner.search={{trainer.ema: [{LONG}]}}",
    ],
)
def test_an_error_shortens_a_long_value(change):
    with pytest.raises((UserError, ValueError)) as error:
        settings.load(changes=dict([settings.parse_change(change)]))
    assert "…" in str(error.value)
    assert max(map(len, str(error.value).splitlines())) < 1000
    with pytest.raises(UserError, match="unknown preset 'x+…; expected one of"):
        settings.load(LONG)
