"""`promote`, `rollback`, `alias` and `aliases`: which version of a model is served, and what it was before."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from errors import UserError
from lineage import alias_records, pushed, text, versions
from lineage.alias_records import Change
from lineage.mlmd_source import MlmdSource
from storage import aliases
from storage.aliases import CHAMPION, Aliases

Choose = Callable[[Aliases, pushed.Pushed], int | None]


def set_alias(source: MlmdSource, model: str, alias: str, action: str) -> dict[str, Any]:
    """Points an alias at a pushed model, and returns the change.

    Args:
      source: the store, opened for writing.
      model: a model's id, the pushed model's id, or the pushed folder.
      alias: the alias.
      action: how the change is recorded, `promote` or `alias`.

    Raises:
      UserError: when the alias is no name, the model is not pushed, not complete, not recorded or not blessed, or the
        aliases cannot be changed.
    """
    if not aliases.is_name(alias):
        raise UserError(
            "expected an alias of up to 63 letters, digits and . _ -, of which the first is a letter, "
            f"received {alias!r}"
        )
    version = versions.blessed(source, model)
    return _change(source, version.folder, alias, action, lambda present, found: version.number)


def remove(source: MlmdSource, model: str, alias: str) -> dict[str, Any]:
    """Removes an alias, and returns the change. `model` is as in `set_alias`, or the folder of the versions.

    Raises:
      UserError: when there is no such alias, or the aliases cannot be changed.
    """
    folder = versions.folder_of(source, model)

    def check(present: Aliases, found: pushed.Pushed) -> None:
        if alias not in present:
            listed = ", ".join(sorted(present)) or "none"
            raise UserError(f"there is no alias {alias!r} in {folder}, which has: {listed}; give one of them")

    return _change(source, folder, alias, "remove", check)


def roll_back(source: MlmdSource, model: str) -> dict[str, Any]:
    """Makes the champion before the present one champion again, and returns the change and, as `note`, the reason.

    After the earlier champions follow the version that was served before the first of them, and then the versions that
    were pushed before. `note` is '' for an earlier champion.

    Args:
      source: the store, opened for writing.
      model: as in `set_alias`, or the folder of the versions.

    Raises:
      UserError: when there is no version to go back to, or the aliases cannot be changed.
    """
    folder = versions.folder_of(source, model)
    recorded = [each for each in alias_records.changes(source.store, folder) if each.alias == CHAMPION]

    def choose(present: Aliases, found: pushed.Pushed) -> int:
        current = present.get(CHAMPION, found.served)
        earlier, taken_back = _history(recorded)
        older = sorted((each for each in found.versions if each < min([current or 0, *earlier])), reverse=True)
        for number in [*earlier, *older]:
            if number in {current, *taken_back}:
                continue
            if number in found.versions and source.artifacts_at([f"{folder}/{number}"]):
                versions.check_files(source, versions.Version(folder, number))
                return number
        left = [number for number in earlier if number in taken_back & found.versions and number != current]
        raise _none_left(folder, current, left)

    change = _change(source, folder, CHAMPION, "rollback", choose)
    return change | {"note": _note(recorded, change["to"])}


def _none_left(folder: str, current: int | None, rolled_back: list[int]) -> UserError:
    advice = "choose one: python -m lineage promote VERSION_FOLDER"
    if not rolled_back:
        return UserError(f"there is no version before {current} to go back to in {folder}; {advice}")
    listed = ", ".join(map(str, rolled_back))
    return UserError(
        f"cannot go back from {current} in {folder}: "
        f"each version that was served before ({listed}) was rolled back; {advice}"
    )


def _note(recorded: list[Change], to: int) -> str:
    """Returns why a rollback to a version that was no champion chose it; '' for an earlier champion."""
    if any(to in (each.before, each.to) for each in recorded):
        return ""
    if recorded and recorded[0].served_before == to:
        return "served before the first promote"
    return "served without a champion" if any(each.served_before == to for each in recorded) else "pushed before"


def _history(recorded: list[Change]) -> tuple[list[int], set[int]]:
    """Returns the versions that were served, the latest first, and those that a rollback has taken back since.

    >>> def change(action, before, to):
    ...     return Change(0.0, "", CHAMPION, action, before, to, before, "", "")
    >>> history = [change("promote", 1, 2), change("promote", 2, 3), change("rollback", 3, 2)]
    >>> _history(history), _history([*history, change("promote", 2, 3)])
    (([2, 3, 1], {3}), ([3, 2, 1], set()))
    """
    served: list[int] = []
    taken_back: set[int] = set()
    for change in recorded:
        before = change.before or change.served_before
        served += [number for number in (before, change.to) if number]
        if change.action == "rollback" and before:
            taken_back.add(before)
        if change.to:
            taken_back.discard(change.to)
    return list(dict.fromkeys(reversed(served))), taken_back


def _change(source: MlmdSource, folder: str, alias: str, action: str, choose: Choose) -> dict[str, Any]:
    """Changes an alias, and records it. `choose` returns the version for the present aliases; None removes it."""
    kind = alias_records.prepare(source.store)
    found: list[Change] = []

    def update(present: Aliases) -> Aliases:
        here = pushed.look(folder)
        if here is None or here.problem:
            raise UserError(f"cannot read the folder of the versions, {folder}; check that it is there, and mounted")
        to = choose(present, here)
        served = present.get(CHAMPION, max(here.versions, default=None))
        found[:] = [alias_records.make(folder, alias, action, present.get(alias), to, served)]
        others = {name: number for name, number in present.items() if name != alias}
        return others if to is None else others | {alias: to}

    try:
        aliases.change(folder, update)
    except aliases.DamagedAliases as error:
        raise UserError(f"{error}; correct the file, or delete it to begin without aliases") from None
    except OSError as error:
        raise UserError(f"cannot change the aliases in {folder}: {error}; check its permissions") from None
    alias_records.add(source.store, kind, found[0])
    return found[0]._asdict()


def list_aliases(source: MlmdSource) -> list[dict[str, Any]]:
    """Returns, for each folder of versions, what is served, the aliases, and their recorded changes, oldest first."""
    folders = versions.folders(source)
    changes = alias_records.changes(source.store)
    return [_described(folder, [each for each in changes if each.folder == folder]) for folder in sorted(folders)]


def _described(folder: str, changes: list[Change]) -> dict[str, Any]:
    found = pushed.look(folder)
    return {
        "folder": folder,
        "served": found.served if found else None,
        "aliases": found.aliases if found else {},
        "problem": found.problem if found else "the folder cannot be read",
        "changes": [{key: value for key, value in each._asdict().items() if key != "folder"} for each in changes],
    }


def print_change(console: Console, change: dict[str, Any]) -> None:
    """Prints a change."""
    line = f"{change['alias']} of {text.relative_path(change['folder'])}: {_step(change)}"
    line += f" ({change['note']})" if change.get("note") else ""
    console.print(text.safe(line), soft_wrap=True)


def _step(change: dict[str, Any]) -> str:
    return " → ".join(str(change[key] or "none") for key in ("before", "to"))


def print_aliases(console: Console, rows: list[dict[str, Any]]) -> None:
    """Prints each folder with what is served, its aliases and their changes."""
    for row in rows:
        served = f"serves {row['served'] or 'nothing'}" if not row["problem"] else row["problem"]
        console.print(text.safe(f"{text.relative_path(row['folder'])}: {served}"), soft_wrap=True)
        text.print_table(console, [[name, number] for name, number in row["aliases"].items()], indent=2)
        made = [
            [
                text.format_time(each["time"]),
                each["action"],
                each["alias"],
                _step(each),
                each["by"],
            ]
            for each in row["changes"]
        ]
        text.print_table(console, made, indent=2)
