"""Finds runs and artifacts by id, name, folder or URI."""

from pathlib import Path

from errors import UserError
from lineage.history import Artifact, Run
from lineage.source import Head, Source

_EXAMPLES = 5  # runs that an error lists


def find_run(source: Source, name: str) -> Run:
    """Returns a run by its id, a pipeline's name (its latest run), the start of the run's name, or 'latest'.

    Raises:
      UserError: when no run matches, or several do.
    """
    name = name.replace(" ", "T")  # `runs` prints a start time with a space
    found = source.find(name)
    if len(found) != 1:
        listed = found or [Head(each.id, each.name) for each in source.runs(limit=_EXAMPLES)]
        if not listed:
            raise UserError("there are no runs in this store yet")
        examples = ", ".join(f"{each.id} ({each.name})" for each in listed[:_EXAMPLES])
        problem = f"{len(found)} runs begin with {name!r}" if found else f"there is no run {name!r}"
        raise UserError(f"{problem}; give an id or the start of a name: {examples}, …")
    return source.read(found[0])


def find_pair(source: Source, first: str, second: str | None) -> tuple[Run, Run]:
    """Returns both runs; if `second` is None, the previous run of the first run's pipeline, then the first run.

    Raises:
      UserError: when a run is not found, or has no previous run.
    """
    run = find_run(source, first)
    if second is not None:
        return run, find_run(source, second)
    before = next(source.before(run), None)
    if before is None:
        raise UserError(
            f"run {run.id} is the first of pipeline {run.pipeline}, so there is no run before it; give two runs"
        )
    return before, run


def find_artifact(source: Source, name: str) -> Artifact:
    """Returns the artifact that `look_up` finds.

    Raises:
      UserError: when no artifact matches.
    """
    found = look_up(source, name)
    if found is None:
        raise UserError(
            f"there is no artifact {name!r} in this store; give an artifact's id or folder, which `show RUN` lists"
        )
    return found


def look_up(source: Source, name: str) -> Artifact | None:
    """Returns the artifact with this id, or whose folder or pushed folder is or contains this path or URI; or None."""
    if artifact := source.artifact(name):
        return artifact
    uri = uri_of(name)
    folders = [uri, *map(str, Path(uri).parents)] if "://" not in uri else _parents(uri)
    found = source.artifacts_at(folders)
    return max(found, key=lambda each: (each.created, each.id), default=None)


def uri_of(name: str) -> str:
    """Returns a URI as it is, without a final slash, and a path as an absolute path."""
    return name.rstrip("/") if "://" in name else str(Path(name).expanduser().resolve())


def _parents(uri: str) -> list[str]:
    """Returns a URI and its parents, up to the bucket."""
    bucket, *parts = uri.split("://", 1)[1].rstrip("/").split("/")
    scheme = uri.split("://", 1)[0]
    return ["/".join([f"{scheme}://{bucket}", *parts[:count]]) for count in range(len(parts), 0, -1)]
