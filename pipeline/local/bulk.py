"""Predicts photos in bulk with the pushed model that is served by default: `local_runner.py --bulk DATA`."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from errors import UserError
from ingest.paths import exists
from lineage.text import safe
from pipeline.config import Config
from pipeline.exit_codes import DONE
from pipeline.local.part import Part

if TYPE_CHECKING:
    from pipeline.local.dag_runner import NodeResult

_NODE = "BulkInferrer"


def check_model(config: Config) -> None:
    """Checks, without importing TFX, that the store has a pushed model of this name.

    Raises:
      UserError: when there is none, or the store cannot be read.
    """
    from lineage import metadata, models, store  # imports ML Metadata's library

    address = str(config.metadata.url or config.output)
    rows = []
    if config.metadata.url or exists(config.output / metadata.SQLITE):
        rows = models.list_models(store.open_source(address, config.metadata.password_file), served=False)
    pushed = [row for row in rows if any("://" in folder or exists(folder) for folder in row["pushed"])]
    if not any(row["pipeline"] == config.name for row in pushed):
        others = ", ".join(sorted({str(row["pipeline"]) for row in pushed})) or "no model"
        raise UserError(
            f"--bulk: expected a pushed model of {config.name!r} in {address}, received {others}; run the pipeline "
            "until it pushes a model, or give the settings of a run that did (--preset, --config, --output)"
        )


def show(console: Console, results: "dict[str, NodeResult]") -> None:
    """Prints the counts and the folder of the table, if there is one."""
    from components.bulk import component, counts

    if _NODE not in results:
        return
    folder, found = component.read(results[_NODE].outputs)
    for line in counts.lines(found) if found else ():
        console.print(safe(line), soft_wrap=True)
    if found:
        console.print(Text("predictions  ").append_text(safe(folder)), soft_wrap=True)


def _finish(config: Config, console: Console, results: "dict[str, NodeResult]", log: Path) -> int:
    console.print()
    show(console, results)
    return DONE


PART = Part(("ServedModel", _NODE), lambda config: config.bulk.data, _finish)
