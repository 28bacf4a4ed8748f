"""Reads YAML with PyYAML's SafeLoader, but rejects duplicate keys, which SafeLoader drops silently."""

from typing import Any

import yaml

from errors import quoted, shortened


class NotYaml(ValueError):
    """The text is not valid YAML, or a key is duplicate or not a string."""


class _Loader(yaml.SafeLoader):
    """A SafeLoader that rejects duplicate keys (yaml/pyyaml#165)."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Composes a mapping and checks its keys, before merge keys (`<<`) add others."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                received = key.value if isinstance(key, yaml.ScalarNode) else f"a {key.id}"
                raise NotYaml(
                    f"line {line}: expected a string as key, received {shortened(received) or 'nothing'}; quote it"
                )
            if key.value in lines:
                raise NotYaml(
                    f"duplicate key {quoted(key.value)} in lines {lines[key.value]} and {line}; remove one of them"
                )
            lines[key.value] = line
        return node


for _kind in ("set", "omap", "pairs", "binary"):  # not allowed; for example, the order of a set is not deterministic
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_undefined)  # type: ignore[type-var]


def load(text: str) -> Any:
    """Returns the parsed YAML.

    Raises:
      NotYaml: when the text is not YAML, or a key is duplicate or not a string.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except NotYaml:
        raise
    except (AttributeError, LookupError, TypeError):  # for `!!bool x`
        raise NotYaml("a value does not match its YAML tag, such as !!int or !!bool; remove the tag") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: for 2024-13-45
        raise NotYaml(_reason(error)) from None


def load_text(text: str) -> Any:
    """Returns the parsed YAML with all scalars as strings, for example `no` and `1e3`.

    Raises:
      NotYaml: when the text is not YAML.
    """
    try:
        return yaml.load(text, yaml.BaseLoader)  # noqa: S506 (it creates lists, dictionaries and strings only)
    except (yaml.YAMLError, RecursionError) as error:
        raise NotYaml(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Returns PyYAML's error, which has six lines, as one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return shortened(f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(error))
