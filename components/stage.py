"""The record of a pipeline's node: what it is called, writes, shows on the terminal, and takes on a cluster.

Each module of `components` has one, STAGE, beside the function that returns the node. `pipeline.nodes` lists them.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from components.artifacts import Artifacts  # imports TFX


def _no_figure(outputs: "Artifacts", properties: dict[str, Any]) -> str:
    return ""


class Stage(NamedTuple):
    """What the rest of the project knows of a node.

    Attributes:
      name: the node's id. An output is called 'NAME.OUTPUT' everywhere, as in 'Trainer.model'.
      outputs: the outputs that other nodes or the report read.
      figure: returns the key figure for the node's line on the terminal, from its outputs and execution properties.
      parameters: the pipeline's parameters (`pipeline.cluster.parameters`) that the node takes, and the execution
        property that each one sets.
      prints: whether the node prints its own progress, so that no spinner may run beside it.
    """

    name: str
    outputs: tuple[str, ...]
    figure: Callable[["Artifacts", dict[str, Any]], str] = _no_figure
    parameters: Mapping[str, str] = {}
    prints: bool = False


def plural(count: int, noun: str, many: str = "") -> str:
    """Returns the count with its noun, as in '1 epoch' and '7 epochs'."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
