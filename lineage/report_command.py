"""`report`: the report of a run made again, or made at last for one that did not come to it."""

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from components.report.sources import NODES, REPORT, RERUN_COMMAND, Sources
from errors import UserError, shortened
from ingest.quiet import chatter_to
from lineage import text
from lineage.history import Run
from lineage.runs import pushed_to, reason
from trainer.features import SET_ASIDE

_NAMES = {
    "data_blessing": "blessing",
    "base_model": "model",
    "baseline_model": "model",
    "baseline_examples": "examples",
}


def report(run: Run, to: Path | None) -> dict[str, Any]:
    """Writes report.html and report.json of a run into a folder; `report-ID` where none is given.

    Raises:
      UserError: when the store does not know the run's settings, an artifact is damaged, or the folder cannot be
        written.
    """
    if "settings" not in run.facts:
        raise UserError(f"run {run.id} has no settings in the store, so no report: it is of another runner")
    settings, evaluation = json.loads(run.facts["settings"]), run.output("Evaluator", "evaluation")
    sources = Sources(
        settings=settings,
        code=run.facts.get("code", ""),
        command=RERUN_COMMAND,
        pushed_to=pushed_to(run) or "",
        failed=reason(run) or "",
        set_aside=str(evaluation.facts.get(SET_ASIDE, "")) if evaluation else "",
        root=str(Path(settings["output"]) / "artifacts" / run.pipeline),
        **_folders(run),
    )
    folder = (to or Path(f"report-{run.id}")).expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; give another folder (--to)") from None
    with chatter_to(Path(os.devnull), also_terminal=False):
        import tensorflow as tf

        from components.report.make import make

        try:
            make(sources, str(folder))
        except (OSError, ValueError, tf.errors.OpError) as error:
            why = shortened(" ".join(str(error).split()))
            raise UserError(f"cannot make the report of run {run.id} in {folder}: {why}") from None
    return {"run": run.id, "report": str(folder / REPORT)}


def _folders(run: Run) -> dict[str, Any]:
    found = {name: run.output(node.name, _NAMES.get(name, name)) for node in NODES for name in node.writes}
    return {name: artifact.uri for name, artifact in found.items() if artifact}


def print_report(console: Console, answer: dict[str, Any]) -> None:
    """Prints where it is."""
    console.print(text.safe(answer["report"]), soft_wrap=True)
