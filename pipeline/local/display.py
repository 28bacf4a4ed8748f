"""Prints a run to the terminal: one line for each node."""

from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.text import Text
from tfx.dsl.components.base.base_node import BaseNode

from lineage.text import safe
from pipeline.local.dag_runner import NodeResult
from pipeline.local.spinner import spinner
from pipeline.nodes import NODES


class NodeLines:
    """Prints a line with the state, duration and key figure of each node, and stores the results."""

    def __init__(self, console: Console, nodes: Iterable[BaseNode]):
        self.results: dict[str, NodeResult] = {}
        self._console = console
        self._properties = {node.id: node.exec_properties for node in nodes}
        self._stages = {stage.name: stage for stage, _ in NODES}
        self._spinner: Live | None = None

    def started(self, node: str) -> None:
        """Shows a spinner while the node runs."""
        if not self._stages[node].prints:
            self._spinner = spinner(self._console, f"{node} …")
            self._spinner.start()

    def finished(self, result: NodeResult) -> None:
        """Prints the node's line."""
        self.stop()
        self.results[result.node] = result
        state = ("cached", "cyan") if result.cached else ("done  ", "green")
        line = Text.assemble(state, f" {result.node:<19} {result.seconds:6.1f} s  ")
        figure = self._stages[result.node].figure(result.outputs, self._properties[result.node])
        self._console.print(line.append_text(safe(figure)), soft_wrap=True)

    def failed(self, node: str) -> None:
        """Prints the line of a failed node."""
        self.stop()
        self._console.print(Text.assemble(("failed", "red"), f" {node}"))

    def stop(self) -> None:
        """Removes the spinner."""
        if self._spinner:
            self._spinner.stop()
            self._spinner = None
