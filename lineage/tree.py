"""`lineage`: traces an artifact back to its data; `--forward`: finds everything made from it."""

import json
from typing import Any, NamedTuple

from rich.console import Console
from rich.tree import Tree

from components import judged_split
from lineage import runs, source_code, text
from lineage.history import Artifact, Execution, Graph, Id
from lineage.source import Source
from trainer.features import BULK_DATA, CODE
from trainer.settings import with_effect

Node = dict[str, Any]


class _Trace(NamedTuple):
    """The executions and artifacts of a tree, and what is in the tree so far.

    Attributes:
      graph: all of them.
      direction: the key of an artifact's executions: "made_by" or "used_by".
      provenance: how the data of a run were made, by the run's id, for runs that read data.
      seen: ("artifact" or "execution", id), because an artifact and an execution may have the same id.
    """

    graph: Graph
    direction: str
    provenance: dict[Id, str | None]
    seen: set[tuple[str, Id]]


def trace(source: Source, artifact: Artifact, forward: bool) -> Node:
    """Returns the artifact as a tree: executions under `made_by` (`used_by` if `forward`), their artifacts below.

    An artifact or execution that is in the tree twice is expanded once; later occurrences have `repeated`. A cached
    artifact is shown with the execution that made it.
    """
    graph = source.trace(artifact.id, forward)
    read_data = {each.run for each in graph.executions.values() if _DATA in each.facts}
    made = {number: runs.provenance(each) for number, each in source.facts_of_runs(read_data).items()}
    return _artifact(_Trace(graph, "used_by" if forward else "made_by", made, set()), artifact.id)


def _artifact(of: _Trace, number: Id) -> Node:
    artifact = of.graph.artifacts[number]
    node: Node = {"id": number, "type": artifact.type, "uri": artifact.uri, "deleted": artifact.deleted}
    node |= {key: artifact.facts[key] for key in _FACTS if artifact.facts.get(key) not in (None, "")}
    if ("artifact", number) in of.seen:
        return {**node, "repeated": True}
    of.seen.add(("artifact", number))
    if of.direction == "used_by":
        executions = of.graph.readers.get(number, [])
    else:
        maker = of.graph.makers.get(number)
        executions = [maker] if maker else []
    return {**node, of.direction: [_execution(of, each) for each in executions]}


def _execution(of: _Trace, execution: Execution) -> Node:
    node = {"execution": execution.id, "node": execution.node, "pipeline": execution.pipeline, "run": execution.run}
    node["state"] = execution.state
    if ("execution", execution.id) in of.seen:
        return {**node, "repeated": True, "artifacts": []}
    of.seen.add(("execution", execution.id))
    channels = execution.outputs if of.direction == "used_by" else execution.inputs
    artifacts = [{"channel": channel, **_artifact(of, number)} for channel, ids in channels.items() for number in ids]
    return {**node, **_settings(execution, of.provenance.get(execution.run)), "artifacts": artifacts}


_PIXELS = "pixels"  # an execution property of Embeddings only
_DATA = "input_base"  # ExampleGen's execution property with the folder of the data
_FACTS = (
    "input_fingerprint",
    "accuracy",
    judged_split.PROPERTY,
    "blessed",
    "accepted",
    "refused",
    "pushed_destination",
    "endpoint",
    "endpoint_model",
    "deployed_model",
    "val_accuracy",
    "devices",
)


def _settings(execution: Execution, provenance: str | None) -> dict[str, Any]:
    """Returns a node's configuration: `code` (a digest), `data` (the folder) with its `provenance`, and `settings`."""
    config = text.json_object(execution.facts.get("custom_config"))
    for key in ("custom_config", "value"):  # ExampleGen stores a protobuf message as JSON
        config = nested if isinstance(nested := config.get(key), dict) else config
    config = {key: value for key, value in config.items() if key not in ("checkpoints", "devices")}
    if _PIXELS in execution.facts:  # of Embeddings, whose other settings are those of Transform
        config = text.json_object(execution.facts.get("settings"))
    code = config.pop("code", None)  # early stores: a digest of all code of the trainer
    if files := text.json_object(execution.facts.get(CODE)):
        code = source_code.digest(files)
    data = execution.facts.get(_DATA)
    found = {"code": code, "data": data or execution.facts.get(BULK_DATA), "provenance": provenance if data else None}
    found["settings"] = with_effect(config["recipe"]) if "recipe" in config else config
    return {key: value for key, value in found.items() if value}


def print_tree(console: Console, node: Node) -> None:
    """Prints the result of `trace`."""
    console.width = 10_000  # so that rich does not wrap or truncate paths
    console.print(_branch(Tree(_label(node)), node))


def _branch(tree: Tree, node: Node) -> Tree:
    for execution in [*node.get("made_by", []), *node.get("used_by", [])]:
        arrow = "used by" if "used_by" in node else "made by"
        state = "" if execution["state"] == "complete" else f", {execution['state']}"
        repeated = ", see above" if "repeated" in execution else ""
        line = f"{arrow} {execution['node']} in run {execution['run']} of {execution['pipeline']}{state}{repeated}"
        branch = tree.add(text.safe(line))
        for key in ("code", "data", "provenance"):
            if key in execution:
                branch.add(text.safe(f"{key} {execution[key]}"), style="dim")
        for key, _, value in text.changes({}, execution.get("settings", {})):
            branch.add(text.safe(f"{key} = {json.dumps(value)}"), style="dim")
        for artifact in execution["artifacts"]:
            _branch(branch.add(_label(artifact)), artifact)
    return tree


def _label(node: Node) -> Any:
    facts = [f"{key} {node[key]}" for key in _FACTS if key in node]
    marks = ["deleted"] * bool(node["deleted"]) + ["see above"] * ("repeated" in node)
    name = " ".join(str(node[key]) for key in ("channel", "type", "id") if key in node)
    label = text.safe(" · ".join([name, text.relative_path(node["uri"]), *facts, *marks]))
    label.stylize("bold", 0, len(name))
    return label
