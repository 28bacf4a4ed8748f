"""A part of the pipeline that a command runs alone."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from pipeline.config import Config

if TYPE_CHECKING:
    from pipeline.local.dag_runner import NodeResult


class Part(NamedTuple):
    """A part of the pipeline.

    Attributes:
      nodes: the names of the nodes.
      data: returns the folder that the nodes read, given the settings.
      finish: is called after the nodes with the settings, the output, the results by node and the run's log; prints
        what the command is for, and returns the exit code.
    """

    nodes: tuple[str, ...]
    data: Callable[[Config], object]
    finish: "Callable[[Config, Console, dict[str, NodeResult], Path], int]"
