"""The nodes of the pipeline: each module or package has a function that returns one configured TFX node."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Returns an artifact type such as `components.DataBlessing` when TFX looks it up. Imports TFX only then."""
    if name[0].isupper():
        from components import artifacts

        return getattr(artifacts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
