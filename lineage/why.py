"""`why NODE`: which input, property or code made a node run, or that none did and the cache was taken."""

import json
from collections.abc import Iterator
from typing import Any

import ml_metadata as mlmd
from rich.console import Console

from errors import UserError
from ingest.records import INPUT_FILES
from lineage import source_code, text
from lineage.history import Execution, Run
from lineage.reading import earlier, maker_of
from trainer.features import CODE

_FILES = {CODE: "file", INPUT_FILES: "data file"}  # the properties with a file's digest by its path
_NEVER_CACHED = "a resolver always runs: it asks the store anew"


def explain(store: mlmd.MetadataStore, run: Run, node: str) -> dict[str, Any]:
    """Returns a node's state in a run, the run before it that came to the node, and what differs from there.

    Raises:
      UserError: when the run has no such node.
    """
    execution = run.node(node)
    if not execution:
        names = ", ".join(each.node for each in run.executions)
        raise UserError(f"run {run.id} came to no node {node!r}; it came to: {names}")
    before = next((each for each in earlier(store, run) if each.node(node)), None)
    last = before.node(node) if before else None
    differs = []
    if before and last and execution.state != "cached":
        # ExampleGen's driver gives the fingerprint only to the execution that ran
        source = maker_of(store, last) if last.state == "cached" else None
        known = last._replace(facts={**source.facts, **last.facts}) if source else last
        differs = list(_differences(run, execution, before, known))
    return {
        "run": run.id,
        "node": node,
        "state": execution.state,
        "before": before.id if before else None,
        "before_state": last.state if last else None,
        "differs": [{"what": what, "before": old, "now": new} for what, old, new in differs],
        "because": _because(execution, last, bool(differs)),
    }


def _because(execution: Execution, last: Execution | None, differs: bool) -> str:
    if execution.state == "cached":
        return "an earlier run had the same inputs, properties and code: its outputs were taken"
    if execution.is_resolver and execution.state == "complete":
        return _NEVER_CACHED
    if last is None:
        return "no earlier run of this pipeline came to this node"
    if differs:
        return "it ran because of what differs from the run before"
    if last.state in ("failed", "interrupted", "stale", "running"):
        return f"nothing differs, but the run before left no outputs to take: it is {last.state}"
    return "nothing differs; the earlier outputs were deleted, or the node does not use the cache"


def _differences(run: Run, now: Execution, before: Run, last: Execution) -> Iterator[tuple[str, Any, Any]]:
    for channel in dict.fromkeys([*last.inputs, *now.inputs]):
        read, reads = _uris(before, last.inputs.get(channel, [])), _uris(run, now.inputs.get(channel, []))
        if read != reads:
            yield f"input {channel}", read, reads
    for key in sorted({*last.facts, *now.facts}):
        if key.startswith("__"):  # TFX's own notes of the execution, which the cache does not ask
            continue
        before_, after = (_read(each.facts.get(key)) for each in (last, now))
        yield from _files(key, before_, after) if key in _FILES else text.changes(before_, after, key)


def _files(key: str, before: dict[str, str] | None, after: dict[str, str] | None) -> Iterator[tuple[str, Any, Any]]:
    """Yields the files that differ, with their digests.

    Where one of the runs has no list of them, the code is compared as a whole, and the data by their fingerprint.
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


def _read(value: Any) -> Any:
    """Returns a property; JSON, as TFX keeps what is nested, as what it says, and a fingerprint by its parts."""
    if isinstance(value, str) and value.startswith("split:") and "\n" not in value:
        return dict(part.partition(":")[::2] for part in value.split(","))
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def print_why(console: Console, answer: dict[str, Any]) -> None:
    """Prints what `explain` returned."""
    before = f" (before: run {answer['before']}, {answer['before_state']})" if answer["before"] else ""
    console.print(text.safe(f"{answer['node']} in run {answer['run']}: {answer['state']}{before}"), style="bold")
    console.print(text.safe(answer["because"]), soft_wrap=True)
    text.lines(console, [_row(**each) for each in answer["differs"]], indent=2)


def _row(what: str, before: Any, now: Any) -> list[object]:
    if what.startswith(tuple(_FILES.values())):
        return [what, "added" if before is None else "removed" if now is None else "changed", "", ""]
    return [what, _shown(before), "→", _shown(now)]


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(map(text.relative_path, value)) or "none"
    return "none" if value is None else json.dumps(value)
