"""The record of a node: its name, outputs, figure on the terminal and parameters on a cluster.

Each module of `components` defines its record, STAGE, after the function that returns the node. `pipeline.nodes` lists
all records.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from components.artifacts import Artifacts  # imports TFX


def _no_figure(outputs: "Artifacts", properties: dict[str, Any]) -> str:
    return ""


class Stage(NamedTuple):
    """Describes a node to the other packages of the project.

    Attributes:
      name: the node's id. An output is called 'NAME.OUTPUT' everywhere, for example 'Trainer.model'.
      outputs: the outputs that other nodes or the report read.
      figure: returns the key figure for the node's line on the terminal, from the node's outputs and execution
        properties.
      parameters: the pipeline parameters (`pipeline.cluster.parameters`) that the node accepts, each with the execution
        property that it sets.
      prints: whether the node prints its progress itself; the terminal then shows no spinner.
    """

    name: str
    outputs: tuple[str, ...]
    figure: Callable[["Artifacts", dict[str, Any]], str] = _no_figure
    parameters: Mapping[str, str] = {}
    prints: bool = False


def plural(count: int, noun: str, many: str = "") -> str:
    """Returns the count with its noun, for example '1 epoch' and '7 epochs'; `many` is an irregular plural."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
