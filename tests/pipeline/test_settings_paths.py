"""Paths in a settings file: relative ones are resolved from the file's folder."""

from pathlib import Path
from typing import get_args

import pytest

from errors import UserError
from pipeline import schema_file, settings
from pipeline.config import Config
from pipeline.settings_paths import PATHS
from trainer.section import with_changes


def load(folder: Path, text: str, **changes: object) -> Config:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(f"name: mine\n{text}")
    return settings.load(None, folder / "mine.yaml", changes)


def value(config: Config, key: str) -> object:
    for part in key.split("."):
        config = getattr(config, part)
    return config


def test_every_setting_that_is_a_path_is_listed():
    sections = {"": Config, **{name: field.annotation for name, field in Config.model_fields.items()}}
    paths = {
        f"{section}.{name}".lstrip(".")
        for section, kind in sections.items()
        for name, field in getattr(kind, "model_fields", {}).items()
        if Path in (field.annotation, *get_args(field.annotation))
    }
    assert paths | {"model.weights"} == set(PATHS)  # model.weights is a path or 'imagenet'


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "{folder}/a"),
        ("./a/b", "{folder}/a/b"),
        ("../a [1]", "{folder}/../a [1]"),
        ("/a", "/a"),
        ("~/a", "{home}/a"),
        ("~no such user/a", "{folder}/~no such user/a"),
    ],
)
def test_a_path_is_resolved_from_the_folder_of_the_file(tmp_path, monkeypatch, key, text, expected):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    for given in (Path("in"), tmp_path / "in"):
        nested = with_changes({}, {key: text})
        config = load(given, settings.yaml.safe_dump(nested))
        assert str(value(config, key)) == expected.format(folder=tmp_path / "in", home="/home/me")


def test_other_values_are_unchanged(tmp_path):
    text = "data: {directory: gs://b/a, schema_file: gs://b/s, classes: [., a]}\n"
    text += "model: {name: xception, weights: imagenet}"
    config = load(tmp_path, text)
    assert (config.data.directory, config.data.schema_file, config.model.weights) == (
        "gs://b/a",
        "gs://b/s",
        "imagenet",
    )
    assert config.data.classes == (".", "a")
    assert config.output == Path("runs")


def test_a_curated_schema_is_found_unless_the_folder_has_a_file_of_this_name(tmp_path):
    text = "data: {schema_file: mnist.pbtxt}"
    assert (
        schema_file.check_schema(load(tmp_path, text).data.schema_file, list("0123456789"))
        == schema_file.SCHEMAS / "mnist.pbtxt"
    )
    (tmp_path / "mnist.pbtxt").touch()
    assert load(tmp_path, text).data.schema_file == tmp_path / "mnist.pbtxt"
    assert load(tmp_path, "data: {schema_file: none.pbtxt}").data.schema_file == tmp_path / "none.pbtxt"


def test_flags_are_relative_to_the_current_folder(tmp_path):
    config = load(tmp_path, "output: out\ndata: {directory: a}", **{"output": "b", "data.directory": "c"})
    assert (config.output, config.data.directory) == (Path("b"), Path("c"))


def test_a_file_that_is_moved_with_its_folder(tmp_path, monkeypatch):
    load(tmp_path / "a", "data: {directory: .}")
    (tmp_path / "a").rename(tmp_path / "b")
    assert settings.load(None, tmp_path / "b" / "mine.yaml").data.directory == tmp_path / "b"


@pytest.mark.parametrize("text", ["data: [a]", "data: null", "data: {directory: [a]}", "output: 1"])
def test_values_of_other_types_are_refused_by_name(tmp_path, text):
    with pytest.raises(UserError, match="(data|data.directory|output)[.:]"):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("model: {name: mobilenet_v2, weights: ''}", "model.weights"),
        ("embeddings: {trunks: [{name: mobilenet_v2, weights: ''}]}", "embeddings.trunks.0.weights"),
    ],
)
def test_empty_weights_are_no_path(tmp_path, text, key):
    with pytest.raises(UserError, match=f"{key}: expected 'imagenet' or the path of a weights file; received ''"):
        load(tmp_path, text)
