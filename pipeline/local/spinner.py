"""A spinner for long operations."""

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner


def spinner(console: Console, text: str) -> Live:
    """Returns a spinner like rich's `Console.status` that does not redirect standard error.

    rich would replace `sys.stderr` by a writer to the terminal. A logger that is set up meanwhile, such as absl, would
    keep this writer, so the log of the whole run would go to the terminal.
    """
    return Live(
        Spinner("dots", text, style="status.spinner"),
        console=console,
        refresh_per_second=12.5,
        transient=True,
        redirect_stderr=False,
    )
