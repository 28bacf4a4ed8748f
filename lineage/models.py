"""`models`: each model with its figures, the gate's word, and where it is pushed; `--served`: the one in service."""

from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from rich.console import Console

from ingest.paths import is_folder
from lineage import text
from lineage.history import Artifact, Execution, Graph, artifact
from lineage.reading import around, touching


def list_models(store: mlmd.MetadataStore, served: bool) -> list[dict[str, Any]]:
    """Returns all models, the latest first, or those alone that are in service.

    In service is what TensorFlow Serving takes from a folder: the version with the highest number.
    """
    models = [artifact(each) for each in store.get_artifacts_by_type("Model")]
    graph = around(store, {event.execution_id for event in touching(store, [each.id for each in models])})
    judged: dict[int, list[Execution]] = {}
    for execution in graph.executions.values():
        for number in execution.inputs.get("model", []):
            judged.setdefault(number, []).append(execution)
    found = [_row(graph, model, judged.get(model.id, [])) for model in models]
    return sorted((row for row in found if row["served"] or not served), key=lambda row: row["id"], reverse=True)


def _row(graph: Graph, model: Artifact, readers: list[Execution]) -> dict[str, Any]:
    """Returns a model's line; `readers` are those that took it from the cache too."""
    maker = graph.makers.get(model.id)
    evaluation, blessing = (_latest(graph, readers, channel) for channel in ("evaluation", "blessing"))
    pushed = [place for each in readers if (place := _pushed(graph, each))]
    return {
        "id": model.id,
        "uri": model.uri,
        "deleted": not model.live,
        "pipeline": maker.pipeline if maker else None,
        "run": maker.run if maker else None,
        "created": model.created,
        "accuracy": evaluation.facts.get("accuracy") if evaluation else None,
        "val_accuracy": model.facts.get("val_accuracy"),
        "parameters": model.facts.get("parameters"),
        "judged_in": max((each.run for each in readers if each.node == "Evaluator"), default=None),
        "blessed": bool(blessing.facts["blessed"]) if blessing and "blessed" in blessing.facts else None,
        "refused": evaluation.facts.get("refused") if evaluation else None,
        "pushed": sorted(set(pushed)),
        "served": any(map(_in_service, pushed)),
    }


def _latest(graph: Graph, readers: list[Execution], channel: str) -> Artifact | None:
    numbers = [number for each in readers if each.node == "Evaluator" for number in each.outputs.get(channel, [])]
    return graph.artifacts[max(numbers)] if numbers else None


def _pushed(graph: Graph, execution: Execution) -> str | None:
    for number in execution.outputs.get("pushed_model", []):
        return graph.artifacts[number].facts.get("pushed_destination")
    return None


def _in_service(place: str) -> bool:
    folder = Path(place)
    if "://" in place or not is_folder(folder):
        return False
    try:
        versions = [int(each.name) for each in folder.parent.iterdir() if each.name.isdecimal()]
    except OSError:  # folders that can be entered but not listed
        return False
    return folder.name.isdecimal() and int(folder.name) == max(versions)


def print_models(console: Console, rows: list[dict[str, Any]]) -> None:
    """Prints a line a model, and below it why it was refused and where it is pushed."""
    table: list[list[Any]] = [["id", "pipeline", "run", "made", "accuracy", "parameters", "gate", ""]]
    for row in rows:
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.4f}"
        parameters = "" if row["parameters"] is None else f"{row['parameters']:,}"
        word = {True: "blessed", False: "refused", None: "not judged"}[row["blessed"]]
        notes = [f"refused in run {row['judged_in']}: {row['refused']}"] * (row["blessed"] is False)
        notes += [f"pushed to {text.relative_path(place)}" for place in row["pushed"]] + ["in service"] * row["served"]
        made = text.when(row["created"])
        last = "; ".join(notes + ["deleted"] * row["deleted"])
        table.append([row["id"], row["pipeline"], row["run"], made, accuracy, parameters, word, last])
    text.lines(console, table, ["bold", *("green" if row["served"] else None for row in rows)])
