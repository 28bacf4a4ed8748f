"""`--devices`: shows the devices that the Trainer would use on this machine."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from errors import UserError
from ingest.logs import log_to_file


def table() -> str:
    """Returns lines with the strategy, kind of device, replicas, workers, used devices and all devices.

    Imports TensorFlow, but not TFX. For several workers in TF_CONFIG, only this machine's devices are shown, because a
    strategy over all workers would wait for them.

    Raises:
      UserError: when a TPU fails, or TF_CONFIG is not valid.
    """
    with tempfile.TemporaryDirectory() as folder, log_to_file(Path(folder) / "log", also_terminal=False):
        from trainer import devices, strategy

        try:
            workers = devices.count_workers(os.environ.get("TF_CONFIG", ""))
            alone = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
            chosen = strategy.choose(environment=alone)
        except devices.Unusable as error:
            raise UserError(f"cannot use the devices: {error}") from None
        rows = _rows(strategy.details(chosen), workers, devices.inventory())
    return "\n".join(f"{name:<9} {text}" for name, text in rows)


def _rows(record: dict, workers: int, inventory: Iterable[str]) -> Iterator[tuple[str, str]]:
    each = " on each worker" if workers > 1 else ""
    yield "strategy", "Workers (MultiWorkerMirroredStrategy)" if workers > 1 else record["strategy"]
    yield "kind", record["kind"]
    yield "replicas", f"{record['replicas']}{each}"
    yield "workers", f"{workers} (TF_CONFIG)" if workers > 1 else "1"
    for index, name in enumerate(record["devices"]):
        yield "" if index else "devices", f"{name}{each}"
    for index, name in enumerate(inventory):
        yield "" if index else "available", name
