"""Renders the page of a report from its numbers."""

import datetime
import os
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from components import judged_split
from components.report import charts, explanations, occlusion
from components.report.sources import Sources
from components.stage import plural
from ingest.paths import is_folder
from ingest.sources import is_drawn
from ingest.split_names import EVAL
from trainer.intervals import Measure, places, proportion
from trainer.settings import with_effect

_MATRIX_CLASSES = 20  # with more classes, the page shows the most frequent confusions instead of the matrix
_PAIRS = 10  # the most frequent confusions that the page shows
_CHART_CLASSES = 40  # with more classes, the page has no chart of their counts
_NAME = 40  # the longest file name that is shown complete


class Pictures(NamedTuple):
    """Photos as data URIs.

    Attributes:
      samples: of each class, by class index.
      of_mistakes: the mistakes with their explanations.
      unfamiliar: the least familiar photos, by record number.
    """

    samples: list[list[str]]
    of_mistakes: explanations.Pictures
    unfamiliar: dict[int, str]


def render(numbers: dict[str, Any], pictures: Pictures, sources: Sources, to: str = "") -> str:
    """Returns the page as HTML.

    Args:
      numbers: see `components.report`.
      pictures: the photos on the page.
      sources: the sources of the numbers.
      to: the folder of the page; links to artifacts are relative to it. Without a folder, the page has no such links.
    """
    checks = numbers["verdict"]["checks"] if numbers["verdict"] else []
    epochs = numbers["training"]["epochs"] if numbers["training"] else 0
    return _template().render(
        **numbers,
        failed=sources.failed,
        set_aside=sources.set_aside,
        photos=sources.data_directory,
        provenance=sources.provenance,
        reused=judged_split.notice(sources.judged, epochs),
        too_good=judged_split.too_good(sources.judged, epochs),
        same_photos=judged_split.SAME_PHOTOS if sources.judged == EVAL else "",
        promised=_promised(numbers["training"]),
        written=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        pictures=pictures,
        charts=_charts(numbers),
        confusion=_confusion(numbers),
        places_of=places,
        compared=any(check["what"] == "accuracy against the baseline" for check in checks),
        classes=sources.classes,
        lowest=_lowest(numbers),
        drawn=is_drawn(Path(sources.data_directory)),
        settings=_yaml(sources.settings),
        trained=_is_trained(numbers),
        occluded=occlusion.words,
        recipe=_yaml(with_effect(numbers["training"]["recipe"])) if numbers["training"] else "",
        has_links=bool(to),
        link=lambda folder: _link(folder, sources.root, to),
        short=lambda folder: folder.removeprefix(f"{sources.root}/"),
    )


def _template() -> Template:
    loader = PackageLoader("components.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent, "decimal": _decimal, "plural": plural, "middle": _shortened}
    return environment.get_template("report.html")


def _charts(numbers: dict[str, Any]) -> dict[str, Markup]:
    """Returns the charts by name; omits charts whose numbers are missing."""
    drawn = {}
    if data := numbers["data"]:
        splits = data["splits"]
        if len(data["classes"]) <= _CHART_CLASSES:
            drawn["counts"] = charts.counts({name: each["per_class"] for name, each in splits.items()})
        bins = {name: each["brightness_histogram"] for name, each in splits.items()}
        drawn["brightness"] = charts.histograms(bins, "brightness")
    if _is_trained(numbers):
        history, best = numbers["training"]["history"], numbers["training"]["best_epoch"]
        for key in ("loss", "accuracy"):
            drawn[key] = charts.curve({"validation": history[f"val_{key}"], "training": history[key]}, best)
        drawn["learning_rate"] = charts.curve({"": history["learning_rate"]}, best, from_zero=True)
    if evaluation := numbers["evaluation"]:
        calibration = evaluation["calibration"]
        before = {"at temperature 1": calibration["before"]["bins"]} if calibration["before"] else {}
        drawn["coverage"] = charts.coverage(evaluation["sure"]["curve"], _thresholds(numbers))
        drawn["reliability"] = charts.reliability({"exported": calibration["bins"], **before})
    return drawn


def _is_trained(numbers: dict[str, Any]) -> bool:
    """Returns whether the training had epochs; a probe has none, and `--minutes` may leave no time for one."""
    return bool(numbers["training"] and numbers["training"]["epochs"])


def _thresholds(numbers: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Returns the point of the chosen threshold on the judged split and on eval; {} if no photo is sure."""
    sure = numbers["evaluation"]["sure"]
    if not sure["accuracy"] or not sure["accuracy"]["n"]:
        return {}
    fitted = numbers["training"]["fitted"]
    measured = {key: sure[key]["value"] for key in ("coverage", "accuracy")}
    promised = {key: fitted[f"sure_{key}"] for key in ("coverage", "accuracy")}
    return {numbers["judged_split"]: measured, "eval, promised": promised}


def _promised(training: dict[str, Any] | None) -> dict[str, Measure] | None:
    """Returns the accuracy and the coverage of the sure photos of eval, with intervals; None if no photo is sure."""
    fitted = training.get("fitted") if training else None
    if not fitted or fitted.get("sure_accuracy") is None:  # the first versions of `fitted` lack it
        return None
    sure = round(fitted["sure_coverage"] * fitted["photos"])
    return {
        "accuracy": proportion(round(fitted["sure_accuracy"] * sure), sure),
        "coverage": proportion(sure, fitted["photos"]),
    }


def _confusion(numbers: dict[str, Any]) -> dict[str, Any]:
    """Returns the matrix as rows of (count, fraction of the row), or with many classes the most frequent confusions."""
    if not numbers["evaluation"]:
        return {}
    counts, names = numbers["evaluation"]["confusion"], numbers["data"]["classes"]
    if len(names) <= _MATRIX_CLASSES:
        return {"rows": [[(count, count / max(1, sum(row))) for count in row] for row in counts], "pairs": []}
    pairs = [
        (count, names[true], names[predicted])
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    return {"rows": [], "pairs": sorted(pairs, reverse=True)[:_PAIRS]}


def _lowest(numbers: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the class with the lowest recall; None if the report has no evaluation."""
    classes = numbers["evaluation"]["classes"] if numbers["evaluation"] else []
    measured = [each for each in classes if each["recall"]["n"]]
    return min(measured, key=lambda each: each["recall"]["value"], default=None)


def _link(folder: str, root: str, to: str) -> str | None:
    """Returns the relative link to an artifact's folder; None without `to`, or if it is missing or outside `root`."""
    if not root or not to or not is_folder(folder) or os.path.commonpath([folder, root, to]) != root:
        return None
    return quote(os.path.relpath(folder, to))


def _shortened(name: str) -> str:
    """Returns a file's name; of a long name, its beginning and its end.

    >>> _shortened("roses/1.jpg"), _shortened("a/long/folder/" + "x" * 40 + "/photo-17.jpg")
    ('roses/1.jpg', 'a/long/folder/xxxxx…xxxxxx/photo-17.jpg')
    """
    half = (_NAME - 1) // 2
    return name if len(name) <= _NAME else f"{name[:half]}…{name[-half:]}"


def _yaml(settings: dict[str, Any]) -> str:
    return str(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}\u00a0%"


def _decimal(value: float | None, places: int = 4, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.{places}f}".replace("-", "−")
