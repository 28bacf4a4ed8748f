"""What is in a folder of pushed versions, and which of them is served: on this machine or in a bucket."""

from pathlib import Path
from typing import NamedTuple

from ingest.paths import is_folder
from storage import aliases, gcs, s3, uris
from storage.versions import LAST, number_of


class Pushed(NamedTuple):
    """A folder of versions.

    Attributes:
      versions: the numbers of the complete versions.
      aliases: the version of each alias.
      problem: why the versions or the aliases cannot be read, or that the champion is missing; '' otherwise.
    """

    versions: set[int]
    aliases: aliases.Aliases
    problem: str

    @property
    def served(self) -> int | None:
        """The version that is served by default: the champion, or else the newest; None if this is unknown."""
        if self.problem:
            return None
        return self.aliases.get(aliases.CHAMPION, max(self.versions, default=None))

    def names_of(self, version: int) -> list[str]:
        """Returns the aliases of a version."""
        return sorted(name for name, number in self.aliases.items() if number == version)


def parted(uri: str) -> tuple[str, int] | None:
    """Returns the folder of versions and the number of a version's folder; None if this is no version's folder.

    >>> parted("/runs/pushed/sample/12"), parted("gs://bucket/pushed/12"), parted("/runs/pushed/sample")
    (('/runs/pushed/sample', 12), ('gs://bucket/pushed', 12), None)
    """
    folder, _, name = uri.rstrip("/").rpartition("/")
    number = number_of(name)
    return (folder, number) if folder and number is not None else None


def look(folder: str) -> Pushed | None:
    """Returns what is in a folder of versions; None if there is no such folder."""
    try:
        versions = _in_bucket(folder) if "://" in folder else _on_this_machine(Path(folder))
    except OSError as error:  # also of a folder with x permission but without r permission
        return Pushed(set(), {}, str(error))
    if versions is None:
        return None
    try:
        found = aliases.read(folder)
        champion = found.get(aliases.CHAMPION)
        is_missing = champion is not None and champion not in versions
        return Pushed(versions, found, f"the champion, version {champion}, is not there" * is_missing)
    except (aliases.DamagedAliases, OSError) as error:
        return Pushed(versions, {}, str(error))


def files(folder: str) -> dict[str, int]:
    """Returns the sizes of all files in a folder, by their path relative to it.

    Raises:
      OSError: when it cannot be read.
    """
    if s3.is_s3(folder):
        return {each.name: each.size for each in s3.files(folder)}
    if "://" in folder:
        return gcs.files(folder)
    root = Path(folder)
    return {str(each.relative_to(root)): each.stat().st_size for each in root.rglob("*") if each.is_file()}


def _in_bucket(folder: str) -> set[int] | None:
    if uris.parse(folder) is None:
        return None
    paths = [name.split("/") for name in files(folder) if name.endswith(f"/{LAST}")]
    numbers = (number_of(path[0]) for path in paths if len(path) == 2)
    return {number for number in numbers if number is not None}


def _on_this_machine(folder: Path) -> set[int] | None:
    if not is_folder(folder):
        return None
    numbers = (number_of(each.name) for each in folder.iterdir() if (each / LAST).exists())
    return {number for number in numbers if number is not None}
