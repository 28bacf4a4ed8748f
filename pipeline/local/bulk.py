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
from storage.versions import LAST

if TYPE_CHECKING:
    from pipeline.local.dag_runner import NodeResult

_NODE = "BulkInferrer"


def check_model(config: Config) -> None:
    """Checks, without importing TFX, that the store has a pushed model of this name, and that its champion can be used.

    The champion of versions in a bucket is only checked in the run.

    Raises:
      UserError: when there is no such model, the champion cannot be used, or the store cannot be read.
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
    _check_champion([folder for row in pushed if row["pipeline"] == config.name for folder in row["pushed"]])


def _check_champion(folders: list[str]) -> None:
    from components.bulk import champion
    from lineage.pushed import parted

    complete = [folder for folder in folders if "://" in folder or exists(Path(folder, LAST))]
    _, latest = max(((version[1], folder) for folder in complete if (version := parted(folder))), default=(0, None))
    if latest and "://" not in latest:
        champion.folder_of(latest, folders, lambda file: exists(Path(file)))


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
