"""The parameters of a compiled pipeline: settings that a submission can change without compiling again."""

from typing import Any, NamedTuple

from errors import UserError, quoted
from lineage.remote.spec import SETTINGS
from pipeline import settings
from pipeline.config import Config
from storage import uris
from trainer.features import FLOORS, THRESHOLDS, UNSET, setting_value


class Parameter(NamedTuple):
    """A parameter of the compiled pipeline.

    Attributes:
      kind: its type.
      setting: the setting that the parameter replaces. The setting's value is the parameter's default.
    """

    kind: type[str] | type[int] | type[float]
    setting: str


def _value(config: Config, setting: str) -> Any:
    value: Any = config
    for part in setting.split("."):
        value = getattr(value, part)
    return value


def _kind(setting: str) -> type[int] | type[float]:
    return type(_value(Config(), setting))


PARAMETERS = {
    name: Parameter(str if name == "data" else float if name in THRESHOLDS else _kind(setting), setting)
    for name, setting in SETTINGS.items()
}


def defaults(config: Config) -> dict[str, Any]:
    """Returns the parameters' values in the settings; UNSET for a floor that is null."""
    return {name: _of_setting(name, config) for name in PARAMETERS}


def _of_setting(name: str, config: Config) -> Any:
    value = _value(config, PARAMETERS[name].setting)
    if value is None:
        return UNSET if name in FLOORS else None
    return PARAMETERS[name].kind(uris.without_slash(value) if isinstance(value, str) else value)


def settings_of(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings (dotted key to value) for the parameters' values; the reverse of `defaults`."""
    return {PARAMETERS[name].setting: setting_value(name, value) for name, value in values.items()}


def read(texts: list[str]) -> dict[str, Any]:
    """Returns the values of 'NAME=VALUE' texts; a floor may be UNSET.

    Raises:
      UserError: naming all unknown parameters and invalid values.
    """
    values, problems = {}, []
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in PARAMETERS or not equals:
            problems.append(f"--parameter: expected NAME=VALUE of {', '.join(PARAMETERS)}; received {quoted(text)}")
            continue
        try:
            given = None if name in FLOORS and _is_unset(value) else value
            values[name] = _of_setting(name, settings.load(changes={PARAMETERS[name].setting: given}))
        except UserError as error:
            problems.append(f"--parameter: {error}")
    if problems:
        raise UserError("\n".join(problems))
    return values


def _is_unset(text: str) -> bool:
    try:
        return float(text) == UNSET
    except ValueError:
        return False
