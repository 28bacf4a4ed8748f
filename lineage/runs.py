"""`runs`: what ran, how long, and what came of it; `show`: one run, node by node."""

import json
import time
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from ml_metadata.proto.metadata_store_pb2 import Context
from rich.console import Console

from components.report.sources import REPORT_NODE
from lineage import text
from lineage.history import OUTPUTS, Artifact, Execution, Run, facts
from lineage.metadata import interrupted_in, is_alive
from lineage.reading import contexts, maker_of, pipeline_of, run_contexts, runs, touching
from trainer.features import CHECKS

_STYLES = {"failed": "red", "refused": "red", "stale": "yellow", "interrupted": "yellow", "pushed": "green"}
STATES = ("pushed", "refused", "complete", "failed", "interrupted", "running", "stale")
_LAST = {"log": "its last log line", "store": "its last write to ML Metadata"}


def list_runs(store: mlmd.MetadataStore, limit: int, pipeline: str | None, state: str | None) -> list[dict[str, Any]]:
    """Returns the latest runs, at most `limit`, of one pipeline or state where they are given."""
    found: list[dict[str, Any]] = []
    there = _may_be(store, contexts(store), pipeline, state)
    if not (pipeline or state):
        there = there[:limit]
    for run in runs(store, there):
        row = _row(run)
        if pipeline in (None, row["pipeline"]) and state in (None, row["state"]):
            found.append(row)
        if len(found) == limit:
            break
    return found


def _may_be(store: mlmd.MetadataStore, there: list[Context], pipeline: str | None, state: str | None) -> list[Context]:
    """Leaves out most runs that are not of a pipeline or a state, without reading them; `list_runs` tells the rest."""
    if pipeline:
        there = [each for each in there if pipeline_of(each) in ("", pipeline)]
    if state == "refused":
        unblessed = [each.id for each in store.get_artifacts_by_type("ModelBlessing") if _refuses(each)]
        executions = {event.execution_id for event in touching(store, unblessed) if event.type in OUTPUTS}
        ids = {each.id for each in run_contexts(store, executions).values()}
        return [each for each in there if each.id in ids]
    return [each for each in there if _says(each, state)]


def _refuses(blessing: metadata_store_pb2.Artifact) -> bool:
    return "blessed" in blessing.custom_properties and not blessing.custom_properties["blessed"].int_value


def _says(context: Context, state: str | None) -> bool:
    """Whether the runner's own words allow a state; another runner's context has none, and allows all."""
    said = facts(context)
    if "process" not in said:
        return True
    if state in ("running", "stale"):
        return "ended" not in said
    if state == "interrupted":
        return interrupted_in(said) is not None
    return state != "failed" or "failed" in said or "ended" not in said


def state_of(run: Run) -> str:
    """Returns one of STATES; a run that was killed between two nodes is stale too.

    A report that failed does not decide: by then the model is pushed or refused, as the runner's exit code says too.
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
    blessing = run.output("Evaluator", "blessing")
    if blessing and "blessed" in blessing.facts and run.node("Pusher"):
        return "pushed" if blessing.facts["blessed"] else "refused"
    return "complete" if "ended" in run.facts or "process" not in run.facts else _unfinished(run)


def _unfinished(run: Run) -> str:
    return "stale" if is_alive(run.facts["process"]) is False else "running"


def ended(run: Run) -> tuple[float, str]:
    """Returns when the run ended, and what says so: 'store', 'clock' for a run that goes on, or 'log'.

    The store does not know when a process was killed. Its last log line is later than its last write to the store: a
    training writes a line at the end of each epoch.
    """
    state = state_of(run)
    if state == "running":
        return time.time(), "clock"
    last = max((each.ended for each in run.executions), default=run.started)
    written = _written(run.facts.get("log", "")) if state == "stale" else None
    return (written, "log") if written and written > last else (last, "store")


def _written(log: str) -> float | None:
    """Returns when the log was last written to, where it is on this machine."""
    try:
        return Path(log).stat().st_mtime if log else None
    except (OSError, ValueError):
        return None


def pushed_to(run: Run) -> str | None:
    """Returns the folder that the run's model was pushed to, if it was."""
    pushed = run.output("Pusher", "pushed_model")
    return (pushed.facts.get("pushed_destination") or None) if pushed else None


def _row(run: Run) -> dict[str, Any]:
    evaluation, report = run.output("Evaluator", "evaluation"), run.output(REPORT_NODE, "report")
    last, source = ended(run)
    return {
        "id": run.id,
        "run": run.name,
        "pipeline": run.pipeline,
        "started": run.started,
        "seconds": round(last - run.started, 3),
        "until": source,
        "state": state_of(run),
        "accuracy": evaluation.facts.get("accuracy") if evaluation else None,
        "pushed": pushed_to(run),
        "report": report.id if report else None,
        "error": reason(run),
    }


def reason(run: Run) -> str | None:
    """Returns why a run failed or its model was refused, if it was: what a node says may have several lines."""
    if state_of(run) == "refused":
        evaluation = run.output("Evaluator", "evaluation")
        return evaluation.facts.get("refused") if evaluation else None
    interrupted = interrupted_in(run.facts)
    if interrupted:
        return f"interrupted in {interrupted}" if run.node(interrupted) else f"interrupted {interrupted}"
    return f"{run.facts['failed']}: {run.facts['error']}" if "failed" in run.facts else None


def print_runs(console: Console, rows: list[dict[str, Any]]) -> None:
    """Prints a line a run."""
    table: list[list[Any]] = [["id", "pipeline", "started", "took", "state", "accuracy", "pushed to, or why not"]]
    for row in rows:
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
        last, took = row["pushed"] or _first_line(row["error"] or ""), text.duration(row["seconds"])
        started, last = text.when(row["started"]), text.relative_path(last)
        table.append([row["id"], row["pipeline"], started, took, row["state"], accuracy, last])
    text.lines(console, table, ["bold", *(_STYLES.get(row["state"]) for row in rows)])


def _first_line(reason: str) -> str:
    first, *others = reason.splitlines() or [""]
    return first + " …" * bool(others)


def show_run(store: mlmd.MetadataStore, run: Run) -> dict[str, Any]:
    """Returns a run with its nodes in order, what each read and wrote, and the sizes of that on disk."""
    nodes = [_node(store, run, each) for each in run.executions]
    settings = {key: run.facts.get(key) for key in ("command", "code", "log")}
    return {**_row(run), **settings, "refused": refused(run), "nodes": nodes}


def refused(run: Run) -> list[dict[str, Any]]:
    """Returns the checks of the gate that refused the run's model: `{what, value, floor}`, where they are here."""
    if state_of(run) != "refused":
        return []
    keys = ("what", "value", "floor")
    return [{key: each.get(key) for key in keys} for each in checks(run) if not each.get("passed", True)]


def checks(run: Run) -> list[dict[str, Any]]:
    """Returns the gate's checks as `components.checks` writes them; none where they are not on this machine."""
    return read_json(run.output("Evaluator", "evaluation"), CHECKS, [])


def read_json(artifact: Artifact | None, name: str, otherwise: Any) -> Any:
    """Returns what a file in an artifact's folder holds; `otherwise` where it cannot be read on this machine."""
    if artifact is None or "://" in artifact.uri:
        return otherwise
    try:
        content = (Path(artifact.uri) / name).read_bytes()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return otherwise
    return json.loads(content)


def _node(store: mlmd.MetadataStore, run: Run, execution: Execution) -> dict[str, Any]:
    """Returns a node; where it came from the cache, with the run that made its outputs."""
    source = maker_of(store, execution) if execution.state == "cached" else None
    failed = run.facts.get("failed") == execution.node
    return {
        "node": execution.node,
        "execution": execution.id,
        "state": "failed" if failed and execution.state == "stale" else execution.state,  # TFX left it running
        "from_run": source.run if source else None,
        "seconds": round((ended(run)[0] if execution.state == "stale" else execution.ended) - execution.started, 3),
        "error": run.facts.get("error") if failed else None,
        "inputs": {key: [run.artifacts[each].uri for each in ids] for key, ids in execution.inputs.items()},
        "outputs": {key: [_output(run.artifacts[each]) for each in ids] for key, ids in execution.outputs.items()},
    }


def _output(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "type": artifact.type,
        "uri": artifact.uri,
        "bytes": text.size_of(artifact.uri),
        "deleted": not artifact.live,
    }


def print_run(console: Console, run: dict[str, Any]) -> None:
    """Prints a run: its line, then each node with what it put out."""
    print_runs(console, [run])
    known = [[key, run[key] or "not known"] for key in ("run", "command", "code", "log")]
    known += [["killed", f"duration up to {_LAST[run['until']]}"]] * (run["state"] == "stale")
    text.lines(console, known, ["dim"] * len(known))
    text.lines(console, [refusal(each) for each in run["refused"]], ["red"] * len(run["refused"]))
    for node in run["nodes"]:
        state = f"cached from run {node['from_run']}" if node["from_run"] else node["state"]
        head = [f"{node['node']:<19}", f"{state:<19}", text.duration(node["seconds"])]
        text.lines(console, [head], [_STYLES.get(node["state"], "bold")])
        if node["error"]:
            for line in node["error"].splitlines():
                text.lines(console, [[line]], ["red"], indent=2)
        outputs = [(channel, each) for channel, some in node["outputs"].items() for each in some]
        text.lines(console, [_cells(*output) for output in outputs], indent=2)


def refusal(check: dict[str, Any]) -> list[str]:
    """Returns a check that refused the model, for a line of a table."""
    value = "no examples in the eval split" if check["value"] is None else f"{check['value']:.6g}"
    return ["refused", check["what"], value, f"at least {check['floor']:.6g}"]


def _cells(channel: str, output: dict[str, Any]) -> list[Any]:
    size = "deleted" if output["deleted"] else text.size(output["bytes"])
    return [output["id"], output["type"], channel, size, text.relative_path(output["uri"])]
