"""`report`: the report of a run made again, or made at last for one that did not come to it."""

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from components.report.sources import REPORT, REPORT_NODE, RERUN_COMMAND, NodeOutputs, Sources
from errors import UserError, shortened
from ingest.quiet import chatter_to
from lineage import text
from lineage.history import Run
from lineage.runs import pushed_to, reason
from trainer.features import SET_ASIDE


def report(run: Run, to: Path | None) -> dict[str, Any]:
    """Writes report.html and report.json of a run into a folder; `report-ID` where none is given.

    Raises:
      UserError: when the store does not know the run's settings, an artifact is damaged, or the folder cannot be
        written.
    """
    if "settings" not in run.facts:
        raise UserError(f"run {run.id} has no settings in the store, so no report: it is of another runner")
    settings, evaluation = json.loads(run.facts["settings"]), run.output("Evaluator.evaluation")
    sources = Sources(
        settings=settings,
        nodes=_nodes(run),
        code=run.facts.get("code", ""),
        command=RERUN_COMMAND,
        pushed_to=pushed_to(run) or "",
        failed=reason(run) or "",
        set_aside=str(evaluation.facts.get(SET_ASIDE, "")) if evaluation else "",
        root=str(Path(settings["output"]) / "artifacts" / run.pipeline),
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


def _nodes(run: Run) -> list[NodeOutputs]:
    """Returns the run's nodes, but the report, with what they read and wrote."""
    names: dict[int, str] = {}
    nodes = []
    for each in run.executions:
        if each.node != REPORT_NODE:
            reads = dict.fromkeys(names[number] for ids in each.inputs.values() for number in ids if number in names)
            folders = {output: run.artifacts[ids[0]].uri for output, ids in each.outputs.items() if ids}
            nodes.append(NodeOutputs(each.node, list(reads), folders))
            for output, ids in each.outputs.items():
                names = dict.fromkeys(ids, f"{each.node}.{output}") | names
    return nodes


def print_report(console: Console, answer: dict[str, Any]) -> None:
    """Prints where it is."""
    console.print(text.safe(answer["report"]), soft_wrap=True)
