"""The table of operations, and the setting that names them."""

import re

import pytest
from pydantic import ValidationError

from tests.conftest import ROOT
from trainer.augmentation.table import OPERATIONS
from trainer.settings import Recipe, Trainer


def test_numbers_are_never_changed():
    """A changed number gives other batches for the same seed."""
    assert {name: operation.number for name, operation in OPERATIONS.items()} == {
        "flip": 0,
        "saturation": 1,
        "mixup": 2,
        "resized_crop": 3,
        "brightness": 4,
        "contrast": 5,
        "hue": 6,
        "rotation": 7,
        "blur": 8,
        "cutout": 9,
        "cutmix": 10,
        "randaugment": 11,
    }


def test_an_operation_is_a_name_or_a_name_with_options():
    chosen = Trainer(augment=["flip", {"rotation": {"degrees": 5}}, {"cutout": None}, "cutmix"]).augment
    assert [(each.name, each.options.model_dump()) for each in chosen] == [
        ("flip", {}),
        ("rotation", {"degrees": 5.0}),
        ("cutout", {"size": 0.5}),
        ("cutmix", {"alpha": 1.0, "probability": 0.5}),
    ]


def test_a_recipe_keeps_the_options():
    recipe = Recipe(trainer=Trainer(augment=["flip", {"blur": {"sigma": 3}}]))
    stored = recipe.model_dump(mode="json")
    assert stored["trainer"]["augment"] == ["flip", {"blur": {"sigma": 3.0, "probability": 0.5}}]
    assert Recipe.model_validate(stored) == recipe
    assert recipe.changed({"trainer.epochs": 3}).trainer.augment == recipe.trainer.augment
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("augment", "says"),
    [
        (["flipp"], "unknown operation; did you mean 'flip'\\? expected one of: flip, resized_crop"),
        ([3], "expected the name of an operation, or its name and options as {NAME: {OPTION: VALUE}}"),
        ([{"flip": {}, "blur": {}}], "expected the name of an operation"),
        ([{"flip": {"degrees": 3}}], "flip has no options"),
        ([{"rotation": 5}], "rotation has the options degrees"),
        ([{"blur": {"sigmas": 5}}], "blur has the options sigma, probability"),
        ([{"rotation": {"degrees": 200}}], "augment.0.degrees\n *Value error, expected a number from 0 to 180"),
        (["flip", "flip"], "expected each operation only once"),
    ],
)
def test_wrong_operations_are_named(augment, says):
    with pytest.raises(ValidationError, match=says):
        Trainer(augment=augment)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_option_has_a_range_and_a_line_in_the_docs(name):
    options = OPERATIONS[name].options
    row = re.search(rf"^\| `{name}` .*", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert row
    for option, field in options.model_fields.items():
        assert f"`{option}` {field.default:.3g}" in row[0]
        limits = {type(each).__name__ for each in field.metadata}
        assert limits & {"Gt", "Ge"} and limits & {"Lt", "Le"}, option
