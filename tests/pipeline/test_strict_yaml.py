"""Rejects settings files that YAML would silently misread, and names the line."""

import pytest

from errors import UserError
from pipeline import settings


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- a", "expected sections of settings in"),
        ("0", "expected sections of settings in"),
        ("a: [", "is not YAML: line 1, column 5: "),
        (
            "data: {image_size: 64}\nmodel:\n  name: cnn\ndata:\n  channels: 1",
            "'data' in lines 1 and 4",
        ),
        ("trainer:\n  epochs: 3\n  seed: 1\n  epochs: 4", "'epochs' in lines 2 and 4"),
        ("trainer:\n  learning_rate: {peak: 1, peak: 2}", "'peak' in lines 2 and 2"),
        ("tuner: {search: {trainer.ema: [0.1], 'trainer.ema': [0.2]}}", "duplicate key 'trainer.ema'"),
        ("name: mine\n~: 1", "line 2: expected a string as key, received ~; quote it"),
        ("? \n: 1", "line 1: expected a string as key, received nothing"),
        ("null: 1", "expected a string as key, received null"),
        ("trainer: {yes: 1}", "expected a string as key, received yes"),
        ("? [a, b]\n: 1", "expected a string as key, received a sequence"),
        ("name: 2024-13-45", "is not YAML: month must be in 1..12"),
        ("name: 2024", r"name: expected text; received 2024 \(quote it\)"),
        ("data: {classes: [yes, no]}", r"data.classes.0: expected text; received True \(quote it\)"),
        ("data: {classes: !!set {rose, tulip}}", "could not determine a constructor for the tag .*set"),
        ("name: !!binary eA==", "could not determine a constructor for the tag .*binary"),
        ("name: !!timestamp x", "a value does not match its YAML tag"),
        ('name: !!int ""', "a value does not match its YAML tag"),
        ("name: !!bool x", "a value does not match its YAML tag"),
        ("? !!str [a]\n: 1", "a value does not match its YAML tag"),
        ("trainer: &a {learning_rate: *a}", "settings? (is|are) not valid"),
    ],
)
def test_a_settings_file_that_cannot_be_read(tmp_path, content, says):
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=says):
        settings.load(None, file)


def test_a_merge_key_may_be_overridden(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ntrainer: &short {epochs: 3, seed: 1}\ntuner:\n  trials: 0\n")
    assert settings.load(None, file).trainer.seed == 1
    file.write_text("name: mine\ntrainer:\n  <<: {epochs: 3, seed: 1}\n  epochs: 4\n")
    config = settings.load(None, file)
    assert (config.trainer.epochs, config.trainer.seed) == (4, 1)
