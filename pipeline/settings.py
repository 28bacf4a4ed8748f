"""Builds the settings from a preset, a file and the command line, and reports all errors at once."""

from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from errors import UserError, choices, quoted, shortened
from ingest.names import safe_name
from ingest.paths import is_file, is_folder
from pipeline import strict_yaml
from pipeline.config import SINGLE_SETTINGS, Config
from pipeline.rules import disagreements
from pipeline.settings_paths import from_folder
from trainer.section import Section, merge, with_changes

PRESET = "preset"  # the key of a settings file for the preset that the file changes
PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """Returns the valid names for `--preset`."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset_summary(name: str) -> str:
    """Returns the first line of a preset's header: its description."""
    return (PRESETS / f"{name}.yaml").read_text().splitlines()[0].lstrip("# ")


def load(preset: str | None = None, file: Path | None = None, changes: dict[str, Any] | None = None) -> Config:
    """Returns the settings of a preset, overridden by a file, then by single changes (dotted key to value).

    Without `preset`, the file's key PRESET names one. Relative paths in the file are resolved from its folder, other
    relative paths from the current folder.

    Raises:
      UserError: naming every unknown key, wrong type and value out of range, with the valid choices.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    from_file = from_folder(_read_yaml(file), file.absolute().parent) if file else {}
    named = from_file.pop(PRESET, None)
    if preset or named is not None or not file:
        name = preset or ("sample" if named is None else named)
        values = _read_preset(name, "" if preset or not file else f" in {file}")
    if file:
        values = merge(values, from_file)
        if "name" not in {**from_file, **(changes or {})}:
            problems.append(_missing_name(file))
    values = with_changes(values, changes or {})
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems += [line for detail in error.errors() for line in _explain(dict(detail))]
        problems += _disagreements(values, {detail["loc"] for detail in error.errors()})
    if problems:
        count = f"{len(problems)} setting{'s are' if len(problems) > 1 else ' is'} not valid:"
        raise UserError("\n  ".join([count, *problems]))
    return config


def _disagreements(values: dict[str, Any], wrong: set[tuple[int | str, ...]]) -> list[str]:
    """Returns the broken rules between valid settings; `wrong` contains the locations of the other settings."""
    if () in wrong:  # the rules on combinations have already run, because each value was valid
        return []
    valid = values
    if ("model", "name") in wrong:  # the options belong to the unknown family
        wrong = wrong | {("model", "options")}
    for loc in wrong:
        valid = _without(valid, loc[:2])
    config = Config.model_validate(valid, context=SINGLE_SETTINGS)
    keys = {".".join(map(str, loc[:2])) for loc in wrong}
    return [text for concerned, text in disagreements(config) if not concerned & keys]


def _without(settings: dict[str, Any], loc: Sequence[Any]) -> dict[str, Any]:
    key, *rest = loc
    others = {name: value for name, value in settings.items() if name != key}
    return {**others, key: _without(settings[key], rest)} if rest else others


def parse_change(text: str) -> tuple[str, Any]:
    """Returns the key and the value of a text such as `trainer.epochs=5`.

    The value of a text setting is used unchanged; `null` and an empty value are None if the setting is optional. The
    items of a list of text are unchanged too. All other values are parsed as YAML.

    Raises:
      ValueError: without a `=`, when the value is not YAML, or when a required text is empty.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise ValueError(f"expected KEY=VALUE, for example trainer.epochs=5; received {quoted(text)}")
    kind = _kind(key)
    if kind is None:
        return key, value  # `load` reports unknown keys
    if _is_text(kind):
        return key, _text(key, value, NoneType in get_args(kind))
    try:
        return key, (strict_yaml.load_text if _is_list_of_text(kind) else strict_yaml.load)(value)
    except strict_yaml.NotYaml as error:
        raise ValueError(f"the value of {key} is not YAML: {quoted(value)}: {error}") from None


def _text(key: str, value: str, optional: bool) -> str | None:
    if optional and value in ("", "null"):
        return None
    if not value:
        raise ValueError(f"{key}: expected text after the =, received none")
    return value


def _kind(key: str) -> Any:
    """Returns the type of the setting with this dotted key, or None if the key is unknown."""
    kind: Any = Config
    for part in key.split("."):
        if kind is Section:  # its fields depend on another setting
            return Any
        fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
        kind = fields[part].annotation if part in fields else None
    return kind


def _is_text(kind: Any) -> bool:
    """Returns whether all values of a type, except None, are text or paths."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _is_text(parts[0])
    if origin is Literal:
        return all(isinstance(part, str) for part in parts)
    if origin in (Union, UnionType):
        return all(part is NoneType or _is_text(part) for part in parts)
    return kind in (str, Path)


def _is_list_of_text(kind: Any) -> bool:
    return get_origin(kind) is tuple and all(part is ... or _is_text(part) for part in get_args(kind))


def to_yaml(config: Config) -> str:
    """Returns the settings as YAML for `--config`."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _read_preset(name: str, where: str = "") -> dict[str, Any]:
    if name not in preset_names():
        raise UserError(f"unknown preset {quoted(name)}{where}; {choices(str(name), preset_names())}")
    return {"name": name, **_read_yaml(PRESETS / f"{name}.yaml")}


def _read_yaml(path: Path) -> dict[str, Any]:
    if is_folder(path):
        inside = path / "settings.yaml"  # as `python -m ingest photos` names it
        advice = f"give {inside}" if is_file(inside) else "give a file"
        raise UserError(f"expected a settings file (--config), received the folder {path}; {advice}")
    try:
        content = strict_yaml.load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the settings file {path}: {error}") from None
    except strict_yaml.NotYaml as error:
        raise UserError(f"the settings file {path} is not YAML: {error}") from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise UserError(f"expected sections of settings in {path}, received {type(content).__name__}")
    return content


def _missing_name(file: Path) -> str:
    name = safe_name(file.stem)
    return (
        f"name: missing in {file}; the cache, the baseline and pushed models are stored by name. "
        f"Add the line 'name: {name}', or give --set name={name}"
    )


# what a setting of each type expects, by the beginning of pydantic's name of the error
_TYPES = {
    "bool_": "true or false",
    "float_": "a number",
    "int_": "a whole number",
    "string_type": "text",
    "tuple_": "a list, such as [one, two]",
}


def _explain(detail: dict[str, Any]) -> list[str]:
    where = shortened(".".join(str(part) for part in detail["loc"])) or "''"
    received = quoted(detail["input"])
    if not detail["loc"]:  # a rule on a combination of settings, whose lines name the keys
        return str(detail["ctx"]["error"]).splitlines()
    if detail["type"] == "model_type":
        keys = ", ".join(_keys(list(detail["loc"])))
        return [f"{where}: expected a section with the keys {keys}; received {received}"]
    if detail["type"] != "extra_forbidden":
        hint = " (quote it)" if detail["type"] == "string_type" and isinstance(detail["input"], int | float) else ""
        expected = next((f"expected {words}" for name, words in _TYPES.items() if detail["type"].startswith(name)), "")
        message = expected or detail["msg"].removeprefix("Value error, ")
        return [f"{where}: {message}; received {received}{hint}"]
    *parents, key = detail["loc"]
    return [f"{where}: unknown key; {choices(str(key), _keys(parents))}"]


def _keys(parents: list[Any]) -> list[str]:
    """Returns the keys of a section; an int in its location is the index of a list's member."""
    section: Any = Config
    for part in parents:
        section = get_args(section)[0] if isinstance(part, int) else section.model_fields[part].annotation
    return list(section.model_fields)
