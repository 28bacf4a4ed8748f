"""What may be said when a compiled pipeline is submitted, without compiling it again."""

from typing import Any, NamedTuple

from datasets.errors import UserError
from pipeline import settings
from pipeline.config import Config
from trainer.features import CHANGEABLE, THRESHOLDS, UNSET


class Parameter(NamedTuple):
    """A parameter of the compiled pipeline.

    Attributes:
      kind: its type.
      setting: the setting that it stands for, and whose value is its default.
      takers: the nodes that take it, and what they call it.
    """

    kind: type[str] | type[int] | type[float]
    setting: str
    takers: dict[str, str]


def _value(config: Config, setting: str) -> Any:
    value: Any = config
    for part in setting.split("."):
        value = getattr(value, part)
    return value


def _kind(setting: str) -> type[int] | type[float]:
    return type(_value(Config(), setting))


PARAMETERS = {
    "data": Parameter(
        str, "data.directory", {"ImportExampleGen": "input_base", "DataGate": "directory", "Report": "data"}
    ),
    **{
        name: Parameter(_kind(setting), setting, {"Trainer": name, "Report": name})
        for name, setting in CHANGEABLE.items()
    },
    **{name: Parameter(float, f"evaluator.{name}", {"Evaluator": name, "Report": name}) for name in THRESHOLDS},
}


def defaults(config: Config) -> dict[str, Any]:
    """Returns each parameter's value by the settings; UNSET for a threshold that is null."""
    values = {name: _value(config, parameter.setting) for name, parameter in PARAMETERS.items()}
    return {name: UNSET if value is None else PARAMETERS[name].kind(value) for name, value in values.items()}


def settings_of(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings, by dotted key, that parameters of these values stand for: the reverse of `defaults`."""
    return {PARAMETERS[name].setting: None if value == UNSET else value for name, value in values.items()}


def read(texts: list[str]) -> dict[str, Any]:
    """Returns the values of 'NAME=VALUE' texts.

    Raises:
      UserError: naming all that are no parameters, or that their setting does not take.
    """
    values, problems = {}, []
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in PARAMETERS or not equals:
            problems.append(f"--parameter: expected NAME=VALUE of {', '.join(PARAMETERS)}; received {text!r}")
            continue
        parameter = PARAMETERS[name]
        try:
            config = settings.load(changes={parameter.setting: value})
            values[name] = parameter.kind(_value(config, parameter.setting))
        except UserError as error:
            problems.append(f"--parameter: {error}")
    if problems:
        raise UserError("\n".join(problems))
    return values
