"""Prints a run to the terminal: one line for each node."""

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lineage.text import safe
from pipeline.config import Config
from pipeline.local.dag_runner import NodeResult
from pipeline.local.figures import figure
from pipeline.local.spinner import spinner

_TALKS = ("Trainer", "Tuner")  # Keras shows its own progress there


class NodeLines:
    """Prints one line a node with its state, its time and a key figure, and keeps the results."""

    def __init__(self, console: Console, config: Config):
        self.results: dict[str, NodeResult] = {}
        self._console, self._config = console, config
        self._spinner: Live | None = None

    def started(self, node: str) -> None:
        """Shows that a node runs."""
        if node not in _TALKS:
            self._spinner = spinner(self._console, f"{node} …")
            self._spinner.start()

    def finished(self, result: NodeResult) -> None:
        """Prints the node's line."""
        self.stop()
        self.results[result.node] = result
        state = ("cached", "cyan") if result.cached else ("done  ", "green")
        line = Text.assemble(state, f" {result.node:<19} {result.seconds:6.1f} s  ")
        self._console.print(line.append_text(safe(figure(result, self._config))), soft_wrap=True)

    def failed(self, node: str) -> None:
        """Prints the line of the node that failed."""
        self.stop()
        self._console.print(Text.assemble(("failed", "red"), f" {node}"))

    def stop(self) -> None:
        """Takes the spinner away."""
        if self._spinner:
            self._spinner.stop()
            self._spinner = None
