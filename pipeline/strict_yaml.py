"""Reads YAML as PyYAML's SafeLoader does, but refuses what it drops silently: keys that are written twice."""

from typing import Any

import yaml

from errors import quoted, shortened


class NotYaml(ValueError):
    """A text that is not YAML, or whose keys are not distinct texts."""


class _Loader(yaml.SafeLoader):
    """SafeLoader keeps the last of several equal keys (yaml/pyyaml#165)."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Composes a mapping whose keys are distinct texts, before merge keys (`<<`) add others to it."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                received = key.value if isinstance(key, yaml.ScalarNode) else f"a {key.id}"
                raise NotYaml(
                    f"line {line}: expected a key that is text, received {shortened(received) or 'nothing'}; quote it"
                )
            if key.value in lines:
                raise NotYaml(f"{quoted(key.value)} is written twice, in lines {lines[key.value]} and {line}; keep one")
            lines[key.value] = line
        return node


for _kind in ("set", "omap", "pairs", "binary"):  # a set has another order in each process
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_undefined)  # type: ignore[type-var]


def load(text: str) -> Any:
    """Returns what a text of YAML holds, as `yaml.safe_load` does.

    Raises:
      NotYaml: when it is not YAML, or a mapping's keys are not distinct texts.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except NotYaml:
        raise
    except (AttributeError, LookupError, TypeError):  # PyYAML raises these for `!!bool x`
        raise NotYaml("a value does not match its YAML tag, such as !!int or !!bool; remove the tag") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # PyYAML raises ValueError for 2024-13-45
        raise NotYaml(_reason(error)) from None


def load_text(text: str) -> Any:
    """Returns a list of YAML whose items are all text: `no` and `1e3` too.

    Raises:
      NotYaml: when it is not YAML.
    """
    try:
        return yaml.load(text, yaml.BaseLoader)  # noqa: S506 (it makes lists, mappings and text only)
    except (yaml.YAMLError, RecursionError) as error:
        raise NotYaml(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Returns an error as one line, where PyYAML writes six."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return shortened(f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(error))
