"""Finds the folder of the champion beside a pushed version. Does not import TFX."""

from collections.abc import Callable, Container

from errors import UserError
from storage import aliases
from storage.versions import LAST


def folder_of(latest: str, models: Container[str], exists: Callable[[str], bool]) -> str:
    """Returns the folder of the champion beside the latest version, or that of the latest version without a champion.

    Args:
      latest: the folder of the latest version.
      models: the folders of the pushed models of the store.
      exists: returns whether a file exists.

    Raises:
      UserError: when the champion cannot be read, or is no model of the store.
    """
    parent = latest.rpartition("/")[0]
    try:
        champion = aliases.read(parent).get(aliases.CHAMPION)
    except (aliases.DamagedAliases, OSError) as error:
        raise UserError(f"cannot read the champion: {error}; correct the file") from None
    if champion is None:
        return latest
    folder = f"{parent}/{champion}"
    if folder not in models or not exists(f"{folder}/{LAST}"):
        raise UserError(
            f"expected the champion, version {champion}, among the pushed models of this store, received none in "
            f"{parent}; promote another: python -m lineage promote VERSION_FOLDER"
        )
    return folder
