"""The nodes of the pipeline: one module or package each, which returns a configured TFX node."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Returns an artifact type by the name that TFX uses, `components.DataBlessing`. TFX is imported only then."""
    if name[0].isupper():
        from components import artifacts

        return getattr(artifacts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
