"""`report`: writes the report of a run again, also for a run that failed before the report."""

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from components import judged_split
from components.report.sources import REPORT, REPORT_NODE, RERUN_COMMAND, NodeOutputs, Sources
from errors import UserError, shortened
from ingest.logs import log_to_file
from lineage import text
from lineage.history import Run
from lineage.runs import judged_of, pushed_to, reason
from trainer.features import SET_ASIDE


def report(run: Run, to: Path | None) -> dict[str, Any]:
    """Writes report.html and report.json of a run to a folder, by default `report-ID`.

    Raises:
      UserError: when the store has no settings of the run, an artifact is damaged, or the folder cannot be written.
    """
    if "settings" not in run.facts:
        raise UserError(f"expected a run of local_runner.py; run {run.id} has no settings in the store; choose another")
    settings, evaluation = json.loads(run.facts["settings"]), run.output("Evaluator.evaluation")
    sources = Sources(
        settings=settings,
        nodes=_nodes(run),
        code=run.facts.get("code", ""),
        command=RERUN_COMMAND,
        pushed_to=pushed_to(run) or "",
        failed=reason(run) or "",
        judged=judged_split.recorded(judged_of(evaluation)),
        set_aside=str(evaluation.facts.get(SET_ASIDE, "")) if evaluation else "",
        root=str(Path(settings["output"]) / "artifacts" / run.pipeline),
    )
    folder = (to or Path(f"report-{run.id}")).expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; give another folder (--to)") from None
    with log_to_file(Path(os.devnull), also_terminal=False):
        import tensorflow as tf

        from components.report.make import make

        try:
            make(sources, str(folder))
        except (OSError, ValueError, tf.errors.OpError) as error:
            problem = shortened(" ".join(str(error).split()))
            raise UserError(f"cannot write the report of run {run.id} to {folder}: {problem}") from None
    return {"run": run.id, "report": str(folder / REPORT)}


def _nodes(run: Run) -> list[NodeOutputs]:
    """Returns the run's nodes, except the report, with their inputs and outputs."""
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
    """Prints the report's path."""
    console.print(text.safe(answer["report"]), soft_wrap=True)
