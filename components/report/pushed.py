"""Adds the report and the verdict to the pushed version, for the server of the model."""

import json
import logging
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.report.sources import VERSION_REPORT, VERSION_VERDICT
from storage.files import fileio
from storage.versions import LAST
from trainer.intervals import places


def add(version: str, html: str, numbers: dict[str, Any]) -> None:
    """Writes the page and the verdict into `assets.extra` of a pushed version; only warns if this is not possible.

    A version that was deleted is not made again.

    Args:
      version: the folder of the version, on this machine or in a bucket.
      html: the page.
      numbers: the numbers of the page, see `components.report`.
    """
    try:
        if not fileio.exists(f"{version}/{LAST}"):
            logging.warning("%s was deleted, so the report is not stored there", version)
            return
        _write(f"{version}/{VERSION_REPORT}", html)
        _write(f"{version}/{VERSION_VERDICT}", json.dumps(_verdict(numbers), indent=2))  # last: it announces the page
    except (OSError, tf.errors.OpError) as error:
        logging.warning("the report cannot be stored in %s: %s; the server then does not show it", version, error)


def _verdict(numbers: dict[str, Any]) -> dict[str, Any]:
    """Returns the verdict with the number of decimals of each check's value and floor."""
    checks = [
        check | {"decimals": 4 if check["value"] is None else places(check["what"], check["value"], check["floor"])}
        for check in numbers["verdict"]["checks"]
    ]
    return {"blessed": numbers["verdict"]["blessed"], "split": numbers["judged_split"], "checks": checks}


def _write(file: str, text: str) -> None:
    """Writes a file; a reader sees the old or the new content, never a part. Objects in buckets are so in any case."""
    if "://" in file:
        with fileio.open(file, "w") as opened:
            opened.write(text)
        return
    path = Path(file)
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)
