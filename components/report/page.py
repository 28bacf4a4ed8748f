"""From a report's numbers to its page."""

import datetime
import os
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.report import charts
from components.report.sources import Sources
from components.stage import plural
from ingest.paths import is_folder
from ingest.sources import is_drawn
from trainer.intervals import digits

_MATRIX = 20  # classes, at most, whose confusion is shown whole
_PAIRS = 10  # that are shown else
_BARS = 40  # classes, at most, whose counts are drawn and not only listed


class Pictures(NamedTuple):
    """Photos as data URIs: a few of each class, by its index, and those of the mistakes, by their record."""

    samples: list[list[str]]
    mistakes: dict[int, str]


def render(numbers: dict[str, Any], pictures: Pictures, sources: Sources, to: str) -> str:
    """Returns the page.

    Args:
      numbers: see `components.report`.
      pictures: the photos that it shows.
      sources: what was there to make it from.
      to: the folder that the page will lie in, from which it links to artifacts.
    """
    environment = Environment(
        loader=PackageLoader("components.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "decimal": _decimal, "signed": _signed, "plural": plural}
    checks = numbers["verdict"]["checks"] if numbers["verdict"] else []
    return environment.get_template("report.html").render(
        **numbers,
        failed=sources.failed,
        set_aside=sources.set_aside,
        photos=sources.settings["data"]["directory"],
        written=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        pictures=pictures,
        drawings=_drawings(numbers),
        confusion=_confusion(numbers),
        digits=digits,
        compared=any(check["what"] == "accuracy against the baseline" for check in checks),
        classes=sources.settings["data"]["classes"],
        lowest=_lowest(numbers),
        drawn=is_drawn(Path(sources.settings["data"]["directory"] or "")),
        settings=_yaml(sources.settings),
        recipe=_yaml(numbers["training"]["recipe"]) if numbers["training"] else "",
        link=lambda folder: _link(folder, sources.root, to),
        short=lambda folder: folder.removeprefix(f"{sources.root}/"),
    )


def _drawings(numbers: dict[str, Any]) -> dict[str, Markup]:
    """Returns the charts whose numbers are there."""
    drawn = {}
    if data := numbers["data"]:
        splits = data["splits"]
        if len(data["classes"]) <= _BARS:
            drawn["counts"] = charts.counts({name: each["per_class"] for name, each in splits.items()})
        parts = {name: each["brightness_histogram"] for name, each in splits.items()}
        drawn["brightness"] = charts.shares(parts, "brightness")
    if training := numbers["training"]:
        history, best = training["history"], training["best_epoch"]
        for key in ("loss", "accuracy"):
            both = {"validation": history[f"val_{key}"], "training": history[key]}
            drawn[key] = charts.curve(both, best)
        drawn["learning_rate"] = charts.curve({"": history["learning_rate"]}, best, from_zero=True)
    if evaluation := numbers["evaluation"]:
        drawn["reliability"] = charts.reliability(evaluation["calibration"]["bins"])
    return drawn


def _confusion(numbers: dict[str, Any]) -> dict[str, Any]:
    """Returns the matrix with each count's share of its row, or, of many classes, the pairs most often taken so."""
    if not numbers["evaluation"]:
        return {}
    counts, names = numbers["evaluation"]["confusion"], numbers["data"]["classes"]
    if len(names) <= _MATRIX:
        return {"rows": [[(count, count / max(1, sum(row))) for count in row] for row in counts], "pairs": []}
    pairs = [
        (count, names[true], names[predicted])
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    return {"rows": [], "pairs": sorted(pairs, reverse=True)[:_PAIRS]}


def _lowest(numbers: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the class that is recognised least; None where nothing was measured."""
    classes = numbers["evaluation"]["classes"] if numbers["evaluation"] else []
    return min(
        (each for each in classes if each["recall"]["n"]), key=lambda each: each["recall"]["value"], default=None
    )


def _link(folder: str, root: str, to: str) -> str | None:
    """Returns the way from the page to an artifact's folder; None where it is gone or they do not lie side by side."""
    if not root or not is_folder(folder) or os.path.commonpath([folder, root, to]) != root:
        return None
    return quote(os.path.relpath(folder, to))


def _yaml(settings: dict[str, Any]) -> str:
    return str(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}\u00a0%"


def _decimal(value: float | None, places: int = 4) -> str:
    return "–" if value is None else f"{value:.{places}f}".replace("-", "−")


def _signed(value: float | None, places: int = 4) -> str:
    return "–" if value is None else f"{value:+.{places}f}".replace("-", "−")
