"""`models`: lists models with their figures, the gate's result and the pushed folder; `--served`: those in service."""

from pathlib import Path
from typing import Any

from rich.console import Console

from ingest.paths import is_folder
from lineage import text
from lineage.history import Artifact, Execution, Graph, Id
from lineage.runs import accuracy_of, is_blessed, judged_of, refused_because
from lineage.source import Source


def list_models(source: Source, served: bool) -> list[dict[str, Any]]:
    """Returns all models, latest first, or only the models in service if `served` is true.

    The model in service is the version with the highest number in its folder: TensorFlow Serving loads that version.
    """
    models, graph = source.models()
    readers: dict[Id, list[Execution]] = {}
    for execution in graph.executions.values():
        for number in execution.inputs.get("model", []):
            readers.setdefault(number, []).append(execution)
    rows = [_row(graph, model, readers.get(model.id, [])) for model in models]
    found = [row for row in rows if row["served"] or not served]
    return sorted(found, key=lambda row: (row["created"], row["id"]), reverse=True)


def _row(graph: Graph, model: Artifact, readers: list[Execution]) -> dict[str, Any]:
    """Returns a model's row; unlike `graph.readers`, `readers` include cached executions."""
    maker = graph.makers.get(model.id)
    evaluations = sorted((each for each in readers if each.node == "Evaluator"), key=lambda each: each.started or 0)
    evaluation, blessing = (_latest(graph, evaluations, channel) for channel in ("evaluation", "blessing"))
    served = _latest(graph, [each for each in readers if each.node == "ServingCheck"], "blessing")
    pushed = [folder for each in readers if (folder := _pushed(graph, each))]
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
        "pushed": sorted(set(pushed)),
        "served": any(map(_in_service, pushed)),
    }


def _latest(graph: Graph, executions: list[Execution], channel: str) -> Artifact | None:
    found = [graph.artifacts[number] for each in executions for number in each.outputs.get(channel, [])]
    return max(found, key=lambda each: (each.created, each.id), default=None)


def _pushed(graph: Graph, execution: Execution) -> str | None:
    for number in execution.outputs.get("pushed_model", []):
        return graph.artifacts[number].facts.get("pushed_destination")
    return None


def _in_service(uri: str) -> bool:
    folder = Path(uri)
    if "://" in uri or not is_folder(folder):
        return False
    try:
        versions = [int(each.name) for each in folder.parent.iterdir() if each.name.isdecimal()]
    except OSError:  # the parent folder has x permission but no r permission
        return False
    return folder.name.isdecimal() and int(folder.name) == max(versions)


def print_models(console: Console, rows: list[dict[str, Any]]) -> None:
    """Prints a row for each model; the last column has the gate's reason, the pushed folders and the model's state."""
    table: list[list[Any]] = [["id", "pipeline", "run", "created", "accuracy", "parameters", "gate", ""]]
    for row in rows:
        parameters = "" if row["parameters"] is None else f"{row['parameters']:,}"
        gate = {True: "blessed", False: "refused", None: "not evaluated"}[row["blessed"]]
        notes = [f"refused in run {row['evaluated_in']}: {row['refused']}"] * (row["blessed"] is False)
        notes += [f"pushed to {text.relative_path(folder)}" for folder in row["pushed"]]
        notes += ["in service"] * row["served"] + ["deleted"] * bool(row["deleted"])
        created = text.format_time(row["created"])
        figures = [accuracy_of(row), parameters]
        table.append([row["id"], row["pipeline"], row["run"], created, *figures, gate, "; ".join(notes)])
    text.print_table(console, table, ["bold", *("green" if row["served"] else None for row in rows)])
