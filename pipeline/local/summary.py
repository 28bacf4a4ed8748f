"""Prints the summary of a run: training, checks, verdict, and the locations of outputs.

Names, paths and error texts are data, so they are passed to rich as `Text`, never as markup.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import judged_split
from components.pusher import pushed_to
from components.stage import plural
from components.trainer import history
from components.verdict import Check, Evaluation
from ingest.paths import exists
from ingest.sources import is_drawn
from lineage import pushed
from lineage.text import safe
from pipeline.config import Config
from pipeline.local.dag_runner import NodeResult
from storage.aliases import CHAMPION
from trainer.intervals import places

_UNDECIDED = "† The floor is inside the 95 % interval, so another {} split of this size may give the other result."
_COMPUTED = (
    "The accuracy floor is computed from the {} split and is above the share of its largest class. "
    "The setting evaluator.min_accuracy replaces it."
)
_LESS_ACCURATE = (
    "This model is from an earlier run (cached). It replaces one that is more accurate on the same photos, by {:.4f}."
)


def show(
    console: Console,
    config: Config,
    results: dict[str, NodeResult],
    evaluation: Evaluation,
    locations: Mapping[str, object],
) -> None:
    """Prints the summary.

    Args:
      console: the output.
      config: the settings of the run.
      results: the result of each node, by name.
      evaluation: the checks and the verdict of Evaluator and ServingCheck.
      locations: paths and addresses to print, by caption.
    """
    console.print()
    console.print(_trained(config, results["Trainer"]), soft_wrap=True)
    console.print(_table(evaluation))
    notes = [_UNDECIDED.format(evaluation.split)] * any(check.undecided for check in evaluation.checks)
    notes += [_COMPUTED.format(evaluation.split)] * (config.evaluator.min_accuracy is None)
    notes += [check.comparison for check in evaluation.checks]
    notes += [f"{check.what}: {check.problem}" for check in evaluation.checks if check.problem]
    notes += _older(evaluation, results["Trainer"], results["Pusher"])
    epochs = history(results["Trainer"].outputs)["epochs"]
    for note in filter(None, [*notes, judged_split.notice(evaluation.split, epochs)]):
        console.print(safe(note), style="dim", soft_wrap=True)
    console.print(_verdict(evaluation, results["Pusher"]), soft_wrap=True)
    if evaluation.blessed and (note := still_served(config, pushed_to(results["Pusher"].outputs))):
        console.print(safe(note), soft_wrap=True)
    for caption, location in locations.items():
        console.print(Text(f"{caption:<12} ").append_text(safe(location)), soft_wrap=True)


def still_served(config: Config, folder: str) -> str:
    """Returns a note if another version than the pushed one is the champion, with the command to change it; else ''."""
    version = pushed.parted(folder)
    found = pushed.look(version[0]) if version else None
    champion = found.aliases.get(CHAMPION) if found else None
    if not version or champion in (None, version[1]):
        return ""
    command = ["python", "-m", "lineage", "promote", folder, "--store", str(config.metadata.url or config.output)]
    if config.metadata.password_file:
        command += ["--password-file", str(config.metadata.password_file)]
    return (
        f"Version {champion} is still served, because it is the champion. To serve version {version[1]}: "
        f"{shlex.join(command)}"
    )


def _trained(config: Config, trainer: NodeResult) -> Text:
    record = history(trainer.outputs)
    drawn = isinstance(config.data.directory, Path) and is_drawn(config.data.directory)
    drawings = " The data are drawings, not photos." if drawn else ""
    speed = f", {record['images_per_second']:,.0f} images/s" if record["epochs"] else ""  # a probe reads features
    return Text.assemble(
        "Trained in an earlier run (cached): " if trainer.cached else "Trained ",
        (record["recipe"]["model"]["name"], "bold"),
        f" ({record['parameters']:,} parameters) {_how(record)} on ",
        safe(record["devices"]),
        f": {record['seconds']:.0f} s{speed}.{drawings}\nValidation accuracy: {_accuracies(record)}",
    )


def _how(record: dict[str, Any]) -> str:
    if not record["epochs"]:
        return "by fitting its last layer to the embeddings"
    return f"for {plural(record['epochs'], 'epoch')}"


def _accuracies(record: dict[str, Any]) -> str:
    if not record["epochs"]:
        return f"{record['val_accuracy']:.4f}."
    last = record["history"]["val_accuracy"][-5:]
    exported = record["best_epoch"] or "0, the fitted last layer"
    return (
        f"best {record['val_accuracy']:.4f} (epoch {exported}, exported), mean of the last "
        f"{plural(len(last), 'epoch')} {sum(last) / len(last):.4f}."
    )


def _table(evaluation: Evaluation) -> Table:
    table = Table(f"check on the {evaluation.split} split", "value", "95 % interval", "floor", "")
    for check in evaluation.checks:
        mark = Text("passed", style="green") if check.passed else Text("refused", style="red")
        table.add_row(safe(check.what), *_numbers(check), mark.append(" †" * check.undecided))
    return table


def _numbers(check: Check) -> tuple[str, str, str]:
    """Returns the value, its interval and the floor, with enough decimals to distinguish the value from the floor."""
    if check.value is None:
        return "none" if check.problem else "no examples", "", f"{'≤ ' * check.upper}{check.floor:.4f}"
    decimals = places(check.what, check.value, check.floor)
    interval = "" if check.low is None else f"{check.low:.4f} to {check.high:.4f}"
    return f"{check.value:.{decimals}f}", interval, f"{'≤ ' * check.upper}{check.floor:.{decimals}f}"


def _older(evaluation: Evaluation, trainer: NodeResult, pusher: NodeResult) -> list[str]:
    """Returns a note if a cached model is pushed in place of a better one, which a rerun of older settings does."""
    if not (evaluation.blessed and trainer.cached and not pusher.cached):
        return []
    losses = [-(check.value or 0) for check in evaluation.checks if check.pairs]
    return [_LESS_ACCURATE.format(loss) for loss in losses if loss > 0]


def _verdict(evaluation: Evaluation, pusher: NodeResult) -> Text:
    if not evaluation.blessed:
        refused = ("Refused by the gate", "red")
        return Text.assemble(refused, ": nothing was pushed; earlier pushed models are unchanged.")
    blessed = ("Blessed", "green")
    folder = pushed_to(pusher.outputs)
    if not exists(folder):
        deleted = " in an earlier run, but this folder no longer exists."
        return Text.assemble(blessed, "; pushed to ", safe(folder), deleted)
    return Text.assemble(blessed, " and pushed to ", safe(folder), " in an earlier run (cached)" * pusher.cached)
