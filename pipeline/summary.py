"""The end of a run: what was trained, how good it is, whether it passed, and where everything is."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from components.checks import Evaluation
from datasets.sample import is_drawn
from pipeline import figures
from pipeline.config import Config
from pipeline.dag_runner import NodeResult


def show(
    console: Console,
    config: Config,
    results: dict[str, NodeResult],
    evaluation: Evaluation,
    places: Mapping[str, object],
) -> None:
    """Prints the summary.

    Args:
      console: where it is printed.
      config: the settings of the run.
      results: what became of each node.
      evaluation: what Evaluator measured and decided.
      places: what else to name, such as the log, by its caption.
    """
    record = figures.history(results["Trainer"].outputs)
    console.print()
    console.print(_trained(config, record), highlight=False, soft_wrap=True)
    console.print(_checks(evaluation))
    console.print(_verdict(evaluation, results["Pusher"]), highlight=False, soft_wrap=True)
    for caption, place in places.items():
        console.print(f"{caption:<12} {place}", highlight=False, markup=False, soft_wrap=True)


def _trained(config: Config, record: dict) -> str:
    drawn = isinstance(config.data.directory, Path) and is_drawn(config.data.directory)
    drawings = " The data are drawings, not photos." if drawn else ""
    reached = record["history"]["val_accuracy"]
    last = reached[-5:]
    epochs = figures.plural(record["epochs"], "epoch")
    return (
        f"Trained [bold]{record['recipe']['model']['name']}[/] ({record['parameters']:,} parameters) for {epochs} "
        f"on {record['devices']}: {record['seconds']:.0f} s, {record['images_per_second']:,.0f} images/s.{drawings}\n"
        f"Validation accuracy: best {max(reached):.4f} (epoch {record['best_epoch']}, exported), mean of the last "
        f"{len(last)} epochs {sum(last) / len(last):.4f}."
    )


def _checks(evaluation: Evaluation) -> Table:
    table = Table("check on the eval split", "value", "at least", "", title_justify="left")
    for check in evaluation.checks:
        mark = "[green]passed[/]" if check.passed else "[red]refused[/]"
        table.add_row(check.what, _four(check.value), f"{check.floor:.4f}", mark)
    return table


def _four(value: float | None) -> str:
    return "no examples" if value is None else f"{value:.4f}"


def _verdict(evaluation: Evaluation, pusher: NodeResult) -> str:
    if not evaluation.blessed:
        return "[red]Refused by the gate[/]: nothing was pushed, and what was pushed before stays as it is."
    pushed = pusher.outputs["pushed_model"][0].get_string_custom_property("pushed_destination")
    if not Path(pushed).exists():
        return f"[green]Blessed[/]; it was pushed to {pushed} in an earlier run, and is no longer there."
    return f"[green]Blessed[/] and pushed to {pushed}"
