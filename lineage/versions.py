"""Finds the pushed version, or the folder of the versions, that `promote`, `rollback` and `alias` name."""

from pathlib import Path
from typing import NamedTuple

from errors import UserError
from lineage import models, names, pushed, text
from lineage.history import PUSHED_MODEL, Artifact
from lineage.mlmd_source import MlmdSource
from storage.versions import LAST

_EXAMPLES = 5  # versions that an error lists


class Version(NamedTuple):
    """A pushed version: the folder of the versions, and its number."""

    folder: str
    number: int


def blessed(source: MlmdSource, name: str) -> Version:
    """Returns a pushed version, after checking that it may be served.

    Raises:
      UserError: when it may not.
    """
    artifact = _artifact(source, name)
    rows = models.list_models(source, served=False)
    place = artifact.facts.get("pushed_destination") if artifact.type == PUSHED_MODEL else None
    row = next((each for each in rows if artifact.id == each["id"] or place in each["pushed"]), None)
    if row is None:
        raise UserError(
            f"expected a model, received {artifact.type} {artifact.id}, which no pipeline of this store has pushed; "
            "python -m lineage models lists the models"
        )
    if row["blessed"] is not True:
        raise UserError(
            f"model {row['id']} is not blessed ({row['refused'] or 'not evaluated'}), so it is not served; "
            "choose a blessed model: python -m lineage models"
        )
    places = [place] if place else row["pushed"]
    if len(places) != 1:
        listed = ", ".join(map(text.relative_path, places)) or "no folder"
        raise UserError(f"model {row['id']} was pushed to {listed}; give one pushed folder")
    parted = pushed.parted(places[0])
    if parted is None:
        raise UserError(f"expected a pushed folder that ends with the number of a version, received {places[0]}")
    version = Version(*parted)
    check_files(source, version)
    return version


def check_files(source: MlmdSource, version: Version) -> None:
    """Checks that a version has the files of the push.

    Raises:
      UserError: when a file is missing, or has another size.
    """
    folder = f"{version.folder}/{version.number}"
    try:
        present = pushed.files(folder)
        recorded = [pushed.files(each.uri) for each in source.artifacts_at([folder]) if Path(each.uri).is_dir()]
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error}; check that it is there, and mounted") from None
    expected = recorded[-1] if recorded else {LAST: present.get(LAST, 0)}
    wrong = sorted(file for file, size in expected.items() if present.get(file) != size)
    if wrong:
        raise UserError(
            f"{folder} is not complete: {', '.join(wrong[:3])} {'are' if wrong[1:] else 'is'} missing or has another "
            "size than in the push; run the pipeline again to push the model again"
        )


def folder_of(source: MlmdSource, model: str) -> str:
    """Returns the folder of the versions of a model, which may be named itself.

    Raises:
      UserError: when this store has no version of it.
    """
    known = folders(source)
    if (given := names.uri_of(model)) in known:
        return given
    artifact = _artifact(source, model)
    here = [artifact.facts.get("pushed_destination")] if artifact.type == PUSHED_MODEL else []
    here = here or next((row["pushed"] for row in models.list_models(source, False) if row["id"] == artifact.id), [])
    found = {each[0] for each in map(pushed.parted, filter(None, here)) if each}
    if len(found) != 1:
        raise UserError(
            f"expected a pushed model or its folder, such as runs/pushed/NAME, received {model}; give one of: "
            f"{', '.join(sorted(map(text.relative_path, known))) or 'none, because no model was pushed'}"
        )
    return found.pop()


def folders(source: MlmdSource) -> set[str]:
    """Returns the folders of the versions that the store has."""
    return {each.folder for each in _pushed(source)}


def _pushed(source: MlmdSource) -> list[Version]:
    found = source.store.get_artifacts_by_type(PUSHED_MODEL)
    places = [each.custom_properties["pushed_destination"].string_value for each in found]
    return [Version(*version) for version in map(pushed.parted, places) if version]


def _artifact(source: MlmdSource, name: str) -> Artifact:
    """Returns what a model's id or a folder names.

    Raises:
      UserError: when nothing matches, with the versions that the store has.
    """
    if found := names.look_up(source, name):
        return found
    near = _near(source, name)
    listed = ", ".join(text.relative_path(f"{each.folder}/{each.number}") for each in near[:_EXAMPLES])
    advice = f"give the folder of a version: {listed}" if near else "python -m lineage models lists the models"
    raise UserError(f"there is no pushed model {name!r} in this store; {advice}")


def _near(source: MlmdSource, name: str) -> list[Version]:
    """Returns the versions that exist in this folder or beside it, or have this number; the latest first."""
    places = (names.uri_of(name), names.uri_of(name).rpartition("/")[0])
    found = {each for each in _pushed(source) if each.folder in places or str(each.number) == name}
    present = {folder: pushed.look(folder) for folder in {each.folder for each in found}}
    return sorted(
        (each for each in found if (here := present[each.folder]) and (here.problem or each.number in here.versions)),
        key=lambda each: each.number,
        reverse=True,
    )
