"""`models`: lists models with their figures, the gate's result and the pushed folder; `--served`: those in service."""

import functools
from collections.abc import Callable
from typing import Any

from rich.console import Console

from lineage import pushed, text
from lineage.history import Artifact, Execution, Graph, Id
from lineage.runs import accuracy_of, is_blessed, judged_of, refused_because
from lineage.source import Source


def list_models(source: Source, served: bool) -> list[dict[str, Any]]:
    """Returns all models, latest first, or only the models in service if `served` is true.

    A version is in service if it is served by default, or has an alias. A version whose folder or aliases cannot be
    read may be in service, so it is returned, too. Buckets are only asked if `served` is true.
    """
    models, graph = source.models()
    look = functools.cache(pushed.look)
    readers: dict[Id, list[Execution]] = {}
    for execution in graph.executions.values():
        for number in execution.inputs.get("model", []):
            readers.setdefault(number, []).append(execution)
    rows = [_row(graph, model, readers.get(model.id, [])) for model in models]
    for row in rows:
        row |= _service(row["pushed"], look, served)
    found = [row for row in rows if not served or any(map(_may_be_in_service, row["service"]))]
    return sorted(found, key=lambda row: (row["created"], row["id"]), reverse=True)


def _row(graph: Graph, model: Artifact, readers: list[Execution]) -> dict[str, Any]:
    """Returns a model's row; unlike `graph.readers`, `readers` include cached executions."""
    maker = graph.makers.get(model.id)
    evaluations = sorted((each for each in readers if each.node == "Evaluator"), key=lambda each: each.started or 0)
    evaluation, blessing = (_latest(graph, evaluations, channel) for channel in ("evaluation", "blessing"))
    served = _latest(graph, [each for each in readers if each.node == "ServingCheck"], "blessing")
    folders = {folder for each in readers if (folder := _pushed(graph, each))}
    return {
        "id": model.id,
        "uri": model.uri,
        "deleted": model.deleted,
        "pipeline": maker.pipeline if maker else None,
        "run": maker.run if maker else None,
        "created": model.created,
        "accuracy": evaluation.facts.get("accuracy") if evaluation else None,
        "judged_split": judged_of(evaluation),
        "val_accuracy": model.facts.get("val_accuracy"),
        "parameters": model.facts.get("parameters"),
        "evaluated_in": evaluations[-1].run if evaluations else None,
        "blessed": is_blessed([each for each in (blessing, served) if each]),
        "refused": refused_because([evaluation, served]),
        "pushed": sorted(folders),
    }


def _service(folders: list[str], look: Callable[[str], pushed.Pushed | None], buckets: bool) -> dict[str, Any]:
    """Returns whether a model with these pushed folders is served by default, and its aliases; None if unknown.

    `service` has the same for each folder, and why it is unknown.
    """
    states = [_state(folder, look if buckets or "://" not in folder else lambda _: None) for folder in folders]
    served = {each["served"] for each in states}
    names = {name for each in states for name in each["aliases"]}
    unknown = None if None in served else False
    return {"served": True if True in served else unknown, "aliases": sorted(names), "service": states}


def _state(folder: str, look: Callable[[str], pushed.Pushed | None]) -> dict[str, Any]:
    version = pushed.parted(folder)
    found = look(version[0]) if version else None
    state: dict[str, Any] = {"folder": folder, "served": None, "aliases": [], "problem": ""}
    if not version or not found:
        return state
    if found.problem and (version[1] in found.versions or not found.versions):
        return state | {"problem": found.problem}
    return state | {"served": found.served == version[1], "aliases": found.names_of(version[1])}


def _may_be_in_service(state: dict[str, Any]) -> bool:
    return bool(state["served"] or state["aliases"] or state["problem"])


def described(state: dict[str, Any]) -> str:
    """Returns a pushed folder and its state, one of a row's `service`, as text."""
    place = text.relative_path(state["folder"])
    named = f" ({', '.join(state['aliases'])})" if state["aliases"] else ""
    if state["problem"]:
        return f"{place}: unknown whether it is in service, because {state['problem']}"
    if state["served"]:
        return f"{place}: in service{named}"
    return f"{place}: alias{named}" if named else place


def _latest(graph: Graph, executions: list[Execution], channel: str) -> Artifact | None:
    found = [graph.artifacts[number] for each in executions for number in each.outputs.get(channel, [])]
    return max(found, key=lambda each: (each.created, each.id), default=None)


def _pushed(graph: Graph, execution: Execution) -> str | None:
    for number in execution.outputs.get("pushed_model", []):
        return graph.artifacts[number].facts.get("pushed_destination")
    return None


def print_models(console: Console, rows: list[dict[str, Any]]) -> None:
    """Prints a row for each model; the last column has the gate's reason, the pushed folders and the model's state."""
    table: list[list[Any]] = [["id", "pipeline", "run", "created", "accuracy", "parameters", "gate", ""]]
    for row in rows:
        parameters = "" if row["parameters"] is None else f"{row['parameters']:,}"
        gate = {True: "blessed", False: "refused", None: "not evaluated"}[row["blessed"]]
        notes = [f"refused in run {row['evaluated_in']}: {row['refused']}"] * (row["blessed"] is False)
        notes += [f"pushed to {described(state)}" for state in row["service"]]
        notes += ["deleted"] * bool(row["deleted"])
        created = text.format_time(row["created"])
        figures = [accuracy_of(row), parameters]
        table.append([row["id"], row["pipeline"], row["run"], created, *figures, gate, "; ".join(notes)])
    text.print_table(console, table, ["bold", *("green" if row["served"] else None for row in rows)])
