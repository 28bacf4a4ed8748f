"""`lineage`: what an artifact was made of, back to the data; `--forward`: all that was made of it."""

import json
from typing import Any

import ml_metadata as mlmd
from rich.console import Console
from rich.tree import Tree

from lineage import reading, source_code, text
from lineage.history import Artifact, Execution, Graph
from trainer.features import CODE

Node = dict[str, Any]


def trace(store: mlmd.MetadataStore, artifact: Artifact, forward: bool) -> Node:
    """Returns the artifact with what it was `made_by`, or what was `used_by`, as a tree.

    What stands in the tree twice is told once; its other places say `again`. What came from the cache is told where it
    was made.
    """
    graph = reading.trace(store, artifact.id, forward)
    return _artifact(graph, artifact.id, "used_by" if forward else "made_by", set())


def _artifact(graph: Graph, number: int, way: str, told: set[int]) -> Node:
    artifact = graph.artifacts[number]
    node: Node = {"id": number, "type": artifact.type, "uri": artifact.uri, "deleted": not artifact.live}
    node |= {key: artifact.facts[key] for key in _FACTS if artifact.facts.get(key) not in (None, "")}
    if number in told:
        return {**node, "again": True}
    told.add(number)
    if way == "used_by":
        executions = graph.readers.get(number, [])
    else:
        maker = graph.makers.get(number)
        executions = [maker] if maker else []
    return {**node, way: [_execution(graph, each, way, told) for each in executions]}


def _execution(graph: Graph, execution: Execution, way: str, told: set[int]) -> Node:
    node = {"execution": execution.id, "node": execution.node, "pipeline": execution.pipeline, "run": execution.run}
    node["state"] = execution.state
    if -execution.id in told:
        return {**node, "again": True, "artifacts": []}
    told.add(-execution.id)  # apart from the artifacts' ids
    channels = execution.outputs if way == "used_by" else execution.inputs
    artifacts = [
        {"channel": channel, **_artifact(graph, number, way, told)}
        for channel, ids in channels.items()
        for number in ids
    ]
    return {**node, **_settings(execution), "artifacts": artifacts}


_FACTS = ("input_fingerprint", "accuracy", "blessed", "refused", "pushed_destination", "val_accuracy", "devices")


def _settings(execution: Execution) -> dict[str, Any]:
    """Returns what a node was told: the code's digest, where the data lay, the recipe or what the model sees."""
    custom = execution.facts.get("custom_config")
    told = json.loads(custom) if isinstance(custom, str) and custom.startswith("{") else {}
    told = told.get("custom_config", told)  # ExampleGen's is a message in JSON
    told = told.get("value", told)
    told = {key: value for key, value in told.items() if key not in ("checkpoints", "devices")}
    older = told.pop("code", None)  # before issue 11, a digest of all code of the trainer
    code, data = _code(execution) or older, execution.facts.get("input_base")
    given = {"code": code, "data": data, "settings": told.get("recipe", told)}
    return {key: value for key, value in given.items() if value}


def _code(execution: Execution) -> str | None:
    files = execution.facts.get(CODE)
    return source_code.digest(json.loads(files)) if files else None


def print_tree(console: Console, node: Node) -> None:
    """Prints what `trace` returned."""
    console.width = 10_000  # a tree of rich's would cut paths
    console.print(_branch(Tree(_label(node)), node))


def _branch(tree: Tree, node: Node) -> Tree:
    for execution in [*node.get("made_by", []), *node.get("used_by", [])]:
        arrow = "used by" if "used_by" in node else "made by"
        state = "" if execution["state"] == "complete" else f", {execution['state']}"
        again = ", told above" if "again" in execution else ""
        line = f"{arrow} {execution['node']} in run {execution['run']} of {execution['pipeline']}{state}{again}"
        below = tree.add(text.safe(line))
        for key in ("code", "data"):
            if key in execution:
                below.add(text.safe(f"{key} {execution[key]}"), style="dim")
        for key, _, value in text.changes({}, execution.get("settings", {})):
            below.add(text.safe(f"{key} = {json.dumps(value)}"), style="dim")
        for artifact in execution["artifacts"]:
            _branch(below.add(_label(artifact)), artifact)
    return tree


def _label(node: Node) -> Any:
    facts = [f"{key} {node[key]}" for key in _FACTS if key in node]
    marks = ["deleted"] * node["deleted"] + ["told above"] * ("again" in node)
    name = " ".join(str(node[key]) for key in ("channel", "type", "id") if key in node)
    label = text.safe(" · ".join([name, text.relative_path(node["uri"]), *facts, *marks]))
    label.stylize("bold", 0, len(name))
    return label
