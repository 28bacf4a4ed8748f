"""The changes of aliases in ML Metadata: a context of the type `version_alias_change` for each."""

import getpass
import os
import shlex
import socket
import sys
import time
import uuid
from typing import Any, NamedTuple

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from errors import UserError, shortened

_TYPE = "version_alias_change"
_TRIES, _PAUSE_S = 5, 0.3  # another process may write to the store
_NUMBERS = ("before", "to", "served_before")


class Change(NamedTuple):
    """A change of an alias.

    Attributes:
      time: seconds since the epoch.
      folder: the folder of the versions.
      alias: the alias.
      action: `promote`, `rollback`, `alias` or `remove`.
      before, to: its version before and after; None for none.
      served_before: the version that was served by default before; None if it is unknown.
      by: USER@HOST.
      command: the command.
    """

    time: float
    folder: str
    alias: str
    action: str
    before: int | None
    to: int | None
    served_before: int | None
    by: str
    command: str


def make(folder: str, alias: str, action: str, before: int | None, to: int | None, served: int | None) -> Change:
    """Returns a change that is made now, by this user and process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        user = str(os.getuid())
    command = shlex.join(["python", *sys.argv])
    return Change(time.time(), folder, alias, action, before, to, served, f"{user}@{socket.gethostname()}", command)


def prepare(store: mlmd.MetadataStore) -> int:
    """Returns the id of the type of context; so a store that cannot be written is an error before anything changes.

    Raises:
      UserError: when the store cannot be written.
    """
    try:
        return _retried(lambda: store.put_context_type(metadata_store_pb2.ContextType(name=_TYPE)))
    except mlmd.errors.StatusError as error:
        raise UserError(
            f"cannot write to the store, so no alias was changed: {shortened(str(error))}; check its permissions"
        ) from None


def add(store: mlmd.MetadataStore, type_id: int, change: Change) -> None:
    """Records a change.

    Raises:
      UserError: when the store cannot be written.
    """
    context = metadata_store_pb2.Context(name=uuid.uuid4().hex, type_id=type_id)
    for key, value in change._asdict().items():
        if isinstance(value, float):
            context.custom_properties[key].double_value = value
        elif isinstance(value, int):
            context.custom_properties[key].int_value = value
        elif value is not None:
            context.custom_properties[key].string_value = value
    try:
        _retried(lambda: store.put_contexts([context]))
    except mlmd.errors.StatusError as error:
        raise UserError(
            f"{change.alias} is now {change.to} in {change.folder}, but the store has no record of it: "
            f"{shortened(str(error))}; run the command again when the store can be written"
        ) from None


def changes(store: mlmd.MetadataStore, folder: str | None = None) -> list[Change]:
    """Returns the recorded changes, oldest first; of one folder of versions, if it is given."""
    found = [_read(each) for each in store.get_contexts_by_type(_TYPE)]
    return sorted(each for each in found if folder in (None, each.folder))


def _read(context: metadata_store_pb2.Context) -> Change:
    facts = context.custom_properties
    texts = {key: facts[key].string_value for key in ("folder", "alias", "action", "by", "command")}
    numbers: dict[str, Any] = {key: facts[key].int_value if key in facts else None for key in _NUMBERS}
    return Change(time=facts["time"].double_value, **texts, **numbers)


def _retried(write: Any) -> Any:
    for _ in range(_TRIES - 1):
        try:
            return write()
        except (mlmd.errors.AbortedError, mlmd.errors.AlreadyExistsError, mlmd.errors.InternalError):
            time.sleep(_PAUSE_S)
    return write()
