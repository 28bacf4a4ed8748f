"""`why NODE`: explains why a node ran, by the inputs, properties and code that changed, or why it was cached."""

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from errors import UserError
from ingest.records import INPUT_FILES
from lineage import source_code, text
from lineage.history import Execution, Run
from lineage.source import Source
from trainer.features import CODE

_FILES = {CODE: "file", INPUT_FILES: "data file"}  # properties that map a file's path to its digest


def explain(source: Source, run: Run, node: str) -> dict[str, Any]:
    """Returns a node's state, the previous run that reached the node, and the differences from that run.

    Raises:
      UserError: when the run did not reach the node.
    """
    execution = run.node(node)
    if not execution:
        names = ", ".join(each.node for each in run.executions)
        raise UserError(f"run {run.id} did not reach a node {node!r}; give one of these: {names}")
    before = next((each for each in source.before(run) if each.node(node)), None)
    last = before.node(node) if before else None
    differs = []
    if before and last and execution.state != "cached":
        # ExampleGen's driver stores the fingerprint only in the execution that ran, not in cached executions
        maker = source.maker_of(last) if last.state == "cached" else None
        complete = last._replace(facts={**maker.facts, **last.facts}) if maker else last
        differs = list(_differences(run, execution, before, complete))
    return {
        "run": run.id,
        "node": node,
        "state": execution.state,
        "before": before.id if before else None,
        "before_state": last.state if last else None,
        "differs": [{"what": what, "before": old, "now": new} for what, old, new in differs],
        "reason": _reason(execution, last, bool(differs)),
    }


def _reason(execution: Execution, last: Execution | None, differs: bool) -> str:
    if execution.state == "cached":
        return "an earlier run had the same inputs, properties and code, so its outputs were reused"
    if execution.is_resolver and execution.state == "complete":
        return "a resolver always runs, because it queries the store"
    if last is None:
        return "no earlier run of this pipeline reached this node"
    if differs:
        return "the node ran because of these differences from the run before"
    if last.state in ("failed", "interrupted", "stale", "running"):
        return f"nothing differs, but the node was {last.state} in the previous run, so there are no outputs to reuse"
    return "nothing differs; the earlier outputs were deleted, or the node does not use the cache"


def _differences(run: Run, now: Execution, before: Run, last: Execution) -> Iterator[tuple[str, Any, Any]]:
    for channel in dict.fromkeys([*last.inputs, *now.inputs]):
        old, new = _uris(before, last.inputs.get(channel, [])), _uris(run, now.inputs.get(channel, []))
        if old != new:
            yield f"input {channel}", old, new
    for key in sorted({*last.facts, *now.facts}):
        if key.startswith("__"):  # internal properties of TFX, which are not part of the cache key
            continue
        earlier, later = (_parse(each.facts.get(key)) for each in (last, now))
        are_files = key in _FILES and all(isinstance(each, dict | None) for each in (earlier, later))
        yield from _files(key, earlier, later) if are_files else text.changes(earlier, later, key)


def _files(key: str, before: dict[str, str] | None, after: dict[str, str] | None) -> Iterator[tuple[str, Any, Any]]:
    """Yields the files that differ, with their digests.

    If one of the runs has no list of files, the code is compared by its digest, and the data by the fingerprint.
    """
    if before is None or after is None:
        if key == CODE:
            yield "code", before and source_code.digest(before), after and source_code.digest(after)
        return
    for path in sorted({*before, *after}):
        if before.get(path) != after.get(path):
            yield f"{_FILES[key]} {path}", before.get(path), after.get(path)


def _uris(run: Run, ids: list[int]) -> list[str]:
    return [run.artifacts[each].uri for each in ids]


def _parse(value: Any) -> Any:
    """Returns a property's value; JSON and fingerprints are parsed."""
    if isinstance(value, str) and value.startswith("split:") and "\n" not in value:
        return dict(part.partition(":")[::2] for part in value.split(","))
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def print_why(console: Console, answer: dict[str, Any]) -> None:
    """Prints the result of `explain`."""
    before = f" (before: run {answer['before']}, {answer['before_state']})" if answer["before"] else ""
    console.print(text.safe(f"{answer['node']} in run {answer['run']}: {answer['state']}{before}"), style="bold")
    console.print(text.safe(answer["reason"]), soft_wrap=True)
    text.print_table(console, [_row(**each) for each in answer["differs"]], indent=2)


def _row(what: str, before: Any, now: Any) -> list[object]:
    if what.startswith(tuple(_FILES.values())):
        return [what, "added" if before is None else "removed" if now is None else "changed", "", ""]
    return [what, _format(before), "→", _format(now)]


def _format(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(map(text.relative_path, value)) or "none"
    return "none" if value is None else json.dumps(value)
