"""The base class of all sections of settings, and the settings of the transform graph. Imports no TensorFlow."""

from collections.abc import Mapping
from dataclasses import astuple
from types import NoneType
from typing import Any, Literal, Self, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """A group of settings. It is immutable and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _without_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("expected text without NUL bytes")
        return value

    @field_validator("*", mode="wrap")
    @classmethod
    def _in_range(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        expected = _range_of(cls.model_fields[str(info.field_name)])
        if not expected:
            return handler(value)
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(f"expected {expected}") from None

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Returns a copy with changed values, given by dotted keys.

        Raises:
          pydantic.ValidationError: when a key is unknown or a value is not valid.
        """
        return type(self).model_validate(with_changes(self.model_dump(mode="json", exclude_defaults=True), values))


_LIMITS = {Ge: "of {} or more", Gt: "above {}", Le: "at most {}", Lt: "below {}"}


def _range_of(field: FieldInfo) -> str:
    """Returns the numbers that a field accepts, such as 'a fraction from 0 to 1'; '' if it has no limits."""
    limits = [each for each in field.metadata if type(each) in _LIMITS]  # the lower one is first
    numbers = [astuple(each)[0] for each in limits]
    if [type(each) for each in limits] == [Ge, Le]:
        text = "from {} to {}".format(*numbers)
    else:
        text = " and ".join(_LIMITS[type(each)].format(number) for each, number in zip(limits, numbers, strict=True))
    kinds = {field.annotation, *get_args(field.annotation)}
    noun = "a whole number" if int in kinds else "a fraction" if numbers[1:] == [1] else "a number"
    return f"{noun} {text}{', or null' if NoneType in kinds else ''}" if text else ""


def options_of(kind: type[Section], owner: str, value: Any) -> Section:
    """Returns the options of a row of a table, such as a model family, given as a mapping; None for the defaults.

    Raises:
      ValueError: naming `owner` and the options that it has.
    """
    names, value = list(kind.model_fields), {} if value is None else value
    if not isinstance(value, Section) and not (isinstance(value, Mapping) and set(value) <= set(names)):
        has = f"has the options {', '.join(names)}" if names else "has no options"
        raise ValueError(f"{owner} {has}")
    return kind.model_validate(value)


class Shape(Section):
    """The size of the photos that a model reads."""

    image_size: int = Field(default=192, ge=16, le=1024)
    channels: Literal[1, 3] = 3


class Pixels(Shape):
    """How the transform graph turns an encoded photo into pixels."""

    resize: Literal["fill-crop", "pad", "plain"] = "fill-crop"
    normalize: Literal["range", "mean-deviation"] = "range"


def with_changes(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested settings with changed values, by dotted keys. Mappings are merged, other values replaced.

    >>> with_changes({"trainer": {"epochs": 9, "seed": 0}}, {"trainer.epochs": 1})
    {'trainer': {'epochs': 1, 'seed': 0}}
    """
    result = dict(settings)
    for key, value in values.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        result = merge(result, value)
    return result


def merge(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested settings, updated with the values of `others`."""
    result = dict(settings)
    for key, value in others.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merge(result[key], value) if both else value
    return result
