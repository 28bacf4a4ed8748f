"""`runs`: lists runs with duration and result; `show`: shows one run node by node."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from components import judged_split
from components.report.sources import REPORT_NODE
from lineage import text
from lineage.history import Artifact, Execution, Facts, Run
from lineage.metadata import interrupted_in, is_alive
from lineage.source import Source
from trainer.features import CHECKS

_STYLES = {"failed": "red", "refused": "red", "stale": "yellow", "interrupted": "yellow", "pushed": "green"}
STATES = ("pushed", "refused", "complete", "failed", "interrupted", "running", "stale")
BLESSINGS = ("Evaluator.blessing", "ServingCheck.blessing")  # a model is pushed if none is refused
_LAST_SIGN = {"log": "its last log line", "store": "its last write to ML Metadata"}


def list_runs(source: Source, limit: int, pipeline: str | None, state: str | None) -> list[dict[str, Any]]:
    """Returns the latest runs, at most `limit`; only those of a pipeline or in a state, if given."""
    found: list[dict[str, Any]] = []
    for run in source.runs(None if pipeline or state else limit, pipeline, state):
        row = _row(run)
        if pipeline in (None, row["pipeline"]) and state in (None, row["state"]):
            found.append(row)
        if len(found) == limit:
            break
    return found


def state_of(run: Run) -> str:
    """Returns one of STATES. A run that was killed between two nodes is stale.

    A failed report does not change the state: the model is already pushed or refused, as the exit code says.
    """
    if interrupted_in(run.facts) is not None:
        return "interrupted"
    failed = run.facts.get("failed")
    states = {each.state for each in run.executions if each.node != failed}
    if failed not in (None, REPORT_NODE) or "failed" in states:
        return "failed"
    for state in ("stale", "running"):
        if state in states:
            return state
    if "state" in run.facts:  # a run on a cluster that has not ended
        return str(run.facts["state"])
    blessings = [blessing for channel in BLESSINGS if (blessing := run.output(channel))]
    verdict = is_blessed(blessings)
    if verdict is not None and run.node("Pusher"):
        return "pushed" if verdict else "refused"
    if "ended" in run.facts or "process" not in run.facts:
        return "complete"
    return "stale" if is_alive(run.facts["process"]) is False else "running"


def is_blessed(blessings: Iterable[Artifact]) -> bool | None:
    """Returns whether all blessings are given; None if none has a verdict. Runs of older versions have only one."""
    verdicts = [each.facts["blessed"] for each in blessings if "blessed" in each.facts]
    return all(verdicts) if verdicts else None


def refused_because(verdicts: Iterable[Artifact | None]) -> str | None:
    """Returns why the gate refused a model, from the Evaluator's evaluation and ServingCheck's blessing.

    '' is the reason of a blessed model; None if there is no evaluation.
    """
    found = [each.facts["refused"] for each in verdicts if each and "refused" in each.facts]
    return next(filter(None, found), found[0] if found else None)


def ended(run: Run) -> tuple[float | None, str]:
    """Returns the end of the run and its source: 'store', 'log', or 'clock' for a run that is still running.

    The store does not record when a process was killed. The last log line is a better estimate than the last write to
    the store, because a training logs every epoch.
    """
    state = state_of(run)
    if state == "running":
        return time.time(), "clock"
    known = [each.ended for each in run.executions if each.ended is not None]
    last = max(known, default=run.facts.get("finished", run.started))
    logged = _last_write(run.facts.get("log", "")) if state == "stale" else None
    return (logged, "log") if logged and logged > (last or 0) else (last, "store")


def _last_write(log: str) -> float | None:
    """Returns the modification time of the log, or None if it is not on this machine."""
    try:
        return Path(log).stat().st_mtime if log else None
    except (OSError, ValueError):
        return None


def pushed_to(run: Run) -> str | None:
    """Returns the folder that the run's model was pushed to, or None."""
    pushed = run.output("Pusher.pushed_model")
    return (pushed.facts.get("pushed_destination") or None) if pushed else None


def judged_of(evaluation: Artifact | None) -> str | None:
    """Returns the split that an evaluation judged; None without an evaluation."""
    return judged_split.recorded(evaluation.facts.get(judged_split.PROPERTY)) if evaluation else None


def _row(run: Run) -> dict[str, Any]:
    evaluation, report = run.output("Evaluator.evaluation"), run.output(f"{REPORT_NODE}.report")
    last, source = ended(run)
    return {
        "id": run.id,
        "run": run.name,
        "pipeline": run.pipeline,
        "started": run.started,
        "seconds": _duration(run.started, last),
        "end_source": source,
        "state": state_of(run),
        "accuracy": evaluation.facts.get("accuracy") if evaluation else None,
        "judged_split": judged_of(evaluation),
        "pushed": pushed_to(run),
        "report": report.id if report else None,
        "error": reason(run),
    }


def reason(run: Run) -> str | None:
    """Returns why the run failed or its model was refused, or None; a node's error may have several lines."""
    if state_of(run) == "refused":
        return refused_because([run.output("Evaluator.evaluation"), run.output("ServingCheck.blessing")])
    interrupted = interrupted_in(run.facts)
    if interrupted:
        return f"interrupted in {interrupted}" if run.node(interrupted) else f"interrupted {interrupted}"
    return ": ".join(run.facts[key] for key in ("failed", "error") if run.facts.get(key)) or None


def _duration(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 3)


def print_runs(console: Console, rows: list[dict[str, Any]]) -> None:
    """Prints a row for each run."""
    table: list[list[Any]] = [["id", "pipeline", "started", "duration", "state", "accuracy", "pushed to, or reason"]]
    for row in rows:
        accuracy = accuracy_of(row)
        started, duration = text.format_time(row["started"]), text.format_duration(row["seconds"])
        last = text.relative_path(row["pushed"] or _first_line(row["error"] or ""))
        table.append([row["id"], row["pipeline"], started, duration, row["state"], accuracy, last])
    text.print_table(console, table, ["bold", *(_STYLES.get(row["state"]) for row in rows)])


def accuracy_of(row: dict[str, Any]) -> str:
    """Returns the accuracy of a run or a model with its split, for example '0.9478 test'; '' if there is none."""
    return "" if row["accuracy"] is None else f"{row['accuracy']:.4f} {row['judged_split']}"


def _first_line(reason: str) -> str:
    first, *others = reason.splitlines() or [""]
    return first + " …" * bool(others)


def show_run(source: Source, run: Run) -> dict[str, Any]:
    """Returns a run with its nodes in order, and each node's inputs and outputs with their sizes."""
    nodes = [_node(source, run, each) for each in run.executions]
    recorded = {key: run.facts.get(key) for key in ("command", "code", "log")}
    recorded |= {"provenance": provenance(run.facts), "artifacts_unknown": run.facts.get("artifacts_unknown")}
    return {**_row(run), **recorded, "refused": _failed_checks(run), "nodes": nodes}


def provenance(facts: Facts) -> str | None:
    """Returns how the data of a run were made (data.provenance), given the runner's record; None if it is unknown."""
    data = text.json_object(facts.get("settings")).get("data")
    return str(data.get("provenance") or "") or None if isinstance(data, dict) else None


def _failed_checks(run: Run) -> list[dict[str, Any]]:
    """Returns the checks that refused the run's model; see `components.verdict`."""
    if state_of(run) != "refused":
        return []
    keys = ("what", "value", "floor")
    return [
        {key: each.get(key) for key in keys} | {"upper": each.get("upper", False), "problem": each.get("problem", "")}
        for each in gate_checks(run)
        if not each.get("passed", True)
    ]


def gate_checks(run: Run) -> list[dict[str, Any]]:
    """Returns the checks that Evaluator and ServingCheck wrote; empty if they are not on this machine."""
    channels = ("Evaluator.evaluation", "ServingCheck.blessing")
    found = [read_json(run.output(channel), CHECKS, []) for channel in channels]
    return [each for checks in found if isinstance(checks, list) for each in checks if _is_check(each)]


def _is_check(found: Any) -> bool:
    """Returns whether this has the form that `components.verdict` writes, and not another program."""
    if not (
        isinstance(found, dict) and isinstance(found.get("what"), str) and isinstance(found.get("floor"), int | float)
    ):
        return False
    return isinstance(found.get("value"), int | float | None)


def read_json(artifact: Artifact | None, name: str, default: Any) -> Any:
    """Returns the content of a JSON file in an artifact's folder; `default` if it cannot be read on this machine."""
    if artifact is None or "://" in artifact.uri:
        return default
    try:
        content = (Path(artifact.uri) / name).read_bytes()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return default
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return default


def _node(source: Source, run: Run, execution: Execution) -> dict[str, Any]:
    """Returns a node; for a cached node, `from_run` is the run that made its outputs."""
    maker = source.maker_of(execution) if execution.state == "cached" else None
    failed = run.facts.get("failed") == execution.node
    unknown, inputs, outputs = run.facts.get("artifacts_unknown"), execution.inputs.items(), execution.outputs.items()
    return {
        "node": execution.node,
        "execution": execution.id,
        "state": "failed" if failed and execution.state == "stale" else execution.state,  # TFX left it RUNNING
        "from_run": maker.run if maker else None,
        "seconds": _duration(execution.started, ended(run)[0] if execution.state == "stale" else execution.ended),
        "error": run.facts.get("error") if failed else None,
        "inputs": None if unknown else {key: [run.artifacts[each].uri for each in ids] for key, ids in inputs},
        "outputs": None if unknown else {key: [_output(run.artifacts[each]) for each in ids] for key, ids in outputs},
    }


def _output(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "type": artifact.type,
        "uri": artifact.uri,
        "bytes": text.size_of(artifact.uri),
        "deleted": artifact.deleted,
    }


def print_run(console: Console, run: dict[str, Any]) -> None:
    """Prints a run's row, then each node with its outputs."""
    print_runs(console, [run])
    known = [[key, run[key] or "unknown"] for key in ("run", "command", "code", "log")]
    known += [["data", run["provenance"]]] * (run["provenance"] is not None)
    known += [["artifacts", f"unknown: {run['artifacts_unknown']}"]] * bool(run["artifacts_unknown"])
    if run["state"] == "stale":
        known.append(["killed", f"duration up to {_LAST_SIGN[run['end_source']]}"])
    text.print_table(console, known, ["dim"] * len(known))
    refused = [refusal(each, run["judged_split"]) for each in run["refused"]]
    text.print_table(console, refused, ["red"] * len(refused))
    for node in run["nodes"]:
        state = f"cached from run {node['from_run']}" if node["from_run"] else node["state"]
        head = [f"{node['node']:<19}", f"{state:<19}", text.format_duration(node["seconds"])]
        text.print_table(console, [head], [_STYLES.get(node["state"], "bold")])
        for line in (node["error"] or "").splitlines():
            text.print_table(console, [[line]], ["red"], indent=2)
        outputs = [(channel, each) for channel, some in (node["outputs"] or {}).items() for each in some]
        text.print_table(console, [_cells(*output) for output in outputs], indent=2)


def refusal(check: dict[str, Any], split: str) -> list[str]:
    """Returns a failed check on the judged split as the cells of a table row."""
    if check["problem"]:
        return ["refused", check["what"], check["problem"]]
    value = f"no examples in the {split} split" if check["value"] is None else f"{check['value']:.6g}"
    return ["refused", check["what"], value, f"{'limit' if check['upper'] else 'floor'} {check['floor']:.6g}"]


def _cells(channel: str, output: dict[str, Any]) -> list[Any]:
    size = "deleted" if output["deleted"] else text.format_size(output["bytes"])
    return [output["id"], output["type"], channel, size, text.relative_path(output["uri"])]
