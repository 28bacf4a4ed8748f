"""The parameters of a compiled pipeline: their names, types and values."""

import pytest

from errors import UserError
from pipeline import settings
from pipeline.cluster import parameters


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epoch=3", "expected NAME=VALUE of data, epochs, .*received 'epoch=3'"),
        ("epochs", "expected NAME=VALUE"),
        ("epochs=many", "trainer.epochs: expected a whole number of 1 or more; received 'many'"),
        ("epochs=0", "trainer.epochs: expected a whole number of 1 or more; received"),
        ("min_accuracy=2", "evaluator.min_accuracy: expected a fraction from 0 to 1"),
    ],
)
def test_unknown_and_invalid_parameters(text, says):
    with pytest.raises(UserError, match=says):
        parameters.read([text])


def test_parameters_have_the_types_of_their_settings():
    given = parameters.read(["epochs=3", "learning_rate=0.01", "data=gs://bkt/other"])
    assert given == {"epochs": 3, "learning_rate": 0.01, "data": "gs://bkt/other"}
    assert parameters.read([]) == {}


def test_a_null_floor_is_minus_one_because_parameters_are_numbers():
    config = settings.load(changes={"evaluator.min_accuracy": None, "evaluator.min_class_recall": 0.3})
    values = parameters.defaults(config)
    assert (values["min_accuracy"], values["min_class_recall"]) == (-1.0, 0.3)
    assert values["data"] is None  # only floors use -1


def test_minus_one_computes_a_floor_and_is_an_error_elsewhere():
    given = parameters.read(["min_accuracy=-1", "min_class_recall=-1.0"])
    assert given == {"min_accuracy": -1.0, "min_class_recall": -1.0}
    assert set(parameters.settings_of(given).values()) == {None}
    others = {"epochs": -1, "batch_size": -1, "learning_rate": -1.0, "max_accuracy_drop": -1.0}
    assert list(parameters.settings_of(others).values()) == [-1, -1, -1.0, -1.0]
    for text in ("epochs=-1", "max_accuracy_drop=-1"):
        with pytest.raises(UserError, match="expected a (whole number of 1|fraction from 0 to 1).*; received '-1'"):
            parameters.read([text])
    assert parameters.read(["data=-1"]) == {"data": "-1"}
