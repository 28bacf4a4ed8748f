import re

import pytest
from pydantic import BaseModel

from errors import UserError
from ingest.sources import data_sources
from pipeline import settings
from pipeline.config import Config
from trainer.families import FAMILIES


def test_a_file_names_the_preset_that_it_changes(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("preset: digits\nname: mine\ntrainer: {epochs: 2}\n")
    config = settings.load(None, file)
    assert (config.name, config.model.name, config.trainer.epochs) == ("mine", "cnn", 2)
    assert settings.load("flowers-squeezenet", file).model.name == "squeezenet"
    file.write_text("preset: digit\nname: mine\n")
    with pytest.raises(UserError, match=f"unknown preset 'digit' in {file}; did you mean 'digits'"):
        settings.load(None, file)


def test_a_file_that_names_no_preset_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("preset: ''\nname: mine\n")
    with pytest.raises(UserError, match="unknown preset '' in .*mine.yaml; expected one of"):
        settings.load(file=tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("trunk", "says"),
    [
        (3, r"embeddings\.trunks\.0: expected a section with the keys name, options, .*; received 3"),
        ({"name": "xception", "layers": "x"}, r"trunks\.0\.layers: unknown key; did you mean 'layer'\?"),
        ({"name": "xception", "weights": ""}, r"trunks\.0\.weights: expected 'imagenet' or .* file; received ''"),
        (
            {"name": "efficientnet_lite0", "weights_sha256": "0" * 64},
            r"trunks\.0\.weights_sha256: expected none with embeddings\.trunks\.0\.weights 'imagenet', .*",
        ),
        ({"name": "probe", "weights": "x.npz"}, r"trunks\.0\.name: unknown model; expected .* mobilenet_v2; received"),
        (
            {"name": "xceptoin"},
            r"mean 'xception'\? expected one of: efficientnet_lite0, efficientnet_lite1, xception; "
            r"or, with a file of weights \(`weights`\), one of: softmax, mlp, .*, mobilenet_v2; received",
        ),
    ],
)
def test_a_wrong_member_of_a_list_of_sections(trunk, says):
    with pytest.raises(UserError, match=says):
        settings.load("flowers-probe", changes={"embeddings.trunks": [trunk]})


def test_later_sources_override_earlier_ones(tmp_path):
    file = tmp_path / "Mine.yaml"
    file.write_text("{name: mine, trainer: {epochs: 3, batch_size: 8}}")
    config = settings.load("flowers-convnet", file, {"trainer.epochs": 5})
    assert (config.name, config.trainer.epochs, config.trainer.batch_size) == ("mine", 5, 8)
    assert config.trainer.learning_rate.decay == 0.93  # the preset's value


def test_a_folder_names_the_settings_file_in_it(tmp_path):
    with pytest.raises(UserError, match=rf"received the folder {tmp_path}; give a file$"):
        settings.load(None, tmp_path)
    (tmp_path / "settings.yaml").write_text("name: a\n")
    with pytest.raises(UserError, match=rf"received the folder {tmp_path}; give {tmp_path}/settings.yaml$"):
        settings.load(None, tmp_path)


def test_a_settings_file_has_to_name_its_runs(tmp_path):
    """Otherwise two files with the same name in different folders would share cache, baseline and pushes."""
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
    assert settings.load(None, file) == config.model_copy(update={"output": tmp_path / "runs"})


def test_a_changed_section_is_validated():
    recipe = settings.load("mnist-cnn").recipe
    longer = recipe.changed({"trainer.epochs": 30, "trainer.learning_rate.peak": 0.1})
    assert (longer.trainer.epochs, longer.trainer.learning_rate.peak) == (30, 0.1)
    assert longer.changed({"trainer.epochs": 12, "trainer.learning_rate.peak": 4e-3}) == recipe
    for change, says in ({"trainer.epochs": 0}, "of 1 or more"), ({"trainer.epoch": 1}, "Extra inputs"):
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
    assert any(
        line.startswith("  trainer.batch_size: ") and "expected a whole number of 1 or more" in line for line in lines
    )
    assert any(
        line.startswith("  data.image_size: ") and "expected a whole number from 16 to 1024" in line for line in lines
    )
    assert any(line.startswith("  data.classes: expected each class only once") for line in lines)
    assert any(line.startswith("  data.pattern: expected a pattern relative") for line in lines)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": ""}, "expected the name of a feature for image, received ''"),
        ({"image": "photo", "class": "photo"}, "expected different names, received 'photo' for image and class; if"),
        ({"class": "x", "filename": "x"}, "expected different names, received 'x' for class and filename; if"),
    ],
)
def test_names_of_features_that_are_refused(changes, says):
    with pytest.raises(UserError, match="data.features") as error:
        settings.load(changes={f"data.features.{key}": name for key, name in changes.items()})
    assert says in str(error.value)


def test_a_default_name_of_a_feature_gives_way(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\ndata: {features: {image: photo, class: label}}")
    for config in (
        settings.load("sample", tmp_path / "mine.yaml"),
        settings.load("sample", None, {"data.features.image": "photo", "data.features.class": "label"}),
    ):
        assert config.data.features == {"image": "photo", "class": "label", "label": "", "filename": "filename"}


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
    "data.split": False, "data.provenance": False, "data.resize": False, "data.normalize": False,
    "model.name": False, "model.weights": True, "model.weights_match": False, "model.weights_sha256": True,
    "model.head": False, "data.edits": True, "trainer.balance": False,
    "trainer.learning_rate.schedule": False, "trainer.precision": False,
    "pusher.directory": True, "bulk.data": True, "serving_check.server": False, "serving_skew.kept": True,
    "beam.runner": False,
    "cluster.project": True, "cluster.region": True, "cluster.pipeline_root": True, "cluster.service_account": True,
    "cluster.endpoint": True, "cluster.namespace": True, "cluster.image": True, "cluster.trainer": False,
    "cluster.s3_endpoint": True, "cluster.s3_secret": True,
    "cluster.deployment.endpoint": True, "cluster.deployment.machine_type": False, "cluster.deployment.image": False,
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
    assert texts == {"data.classes", "embeddings.views", "edge.formats", "beam.args"}


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


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("evaluator.min_accuracy", 1.01, "expected a fraction from 0 to 1, or null; received 1.01"),
        ("evaluator.max_accuracy_drop", -0.1, "expected a fraction from 0 to 1; received -0.1"),
        ("data.eval_fraction", 0, "expected a fraction above 0 and below 1; received 0"),
        ("data.test_fraction", 1, "expected a fraction of 0 or more and below 1; received 1"),
        ("serving.sure_accuracy", "half", "expected a fraction above 0 and at most 1, or null; received 'half'"),
        ("trainer.ema", float("nan"), "expected a fraction of 0 or more and below 1; received nan"),
        ("trainer.seed", 2**32, "expected a whole number of 0 or more and below 4294967296; received"),
    ],
)
def test_a_number_out_of_its_range_is_refused_with_the_range(key, value, says):
    with pytest.raises(UserError, match=f"{key}: {says}"):
        settings.load("sample", None, {key: value})
