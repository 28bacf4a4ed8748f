"""The spinner that shows that something runs."""

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner


def spinner(console: Console, text: str) -> Live:
    """Returns rich's `Console.status`, but leaves standard error alone.

    rich would replace `sys.stderr` by a writer to the terminal, and what logs for the first time then, such as absl,
    would keep that writer: a whole run's log would be on the terminal.
    """
    return Live(
        Spinner("dots", text, style="status.spinner"),
        console=console,
        refresh_per_second=12.5,
        transient=True,
        redirect_stderr=False,
    )
