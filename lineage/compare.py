"""`diff RUN RUN`: settings, data, code, metrics and classes, side by side."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.report.sources import NUMBERS, REPORT_NODE
from ingest.paths import is_folder
from lineage import text
from lineage.history import Run
from lineage.runs import checks, pushed_to, read_json, state_of


def compare(before: Run, after: Run) -> dict[str, Any]:
    """Returns what differs in the settings, and data, code, checks and outcome of both.

    `data` has the number of examples of each class by split, the means of the photos (the side in pixels; brightness,
    contrast and colours of 0 to 1), and the classes' `drift`: the largest difference of a class's share between the two
    train splits (L-infinity, as TFDV measures it for categories).
    """
    settings = text.changes(_settings(before), _settings(after))
    counts = _counts(before), _counts(after)
    return {
        "runs": [before.id, after.id],
        "settings": [{"key": key, "before": old, "after": new} for key, old, new in settings],
        "code": [_code(before), _code(after)],
        "data": {
            "fingerprint": [_fingerprint(before), _fingerprint(after)],
            "counts": list(counts),
            "statistics": _side_by_side(_statistics(before), _statistics(after)),
            "drift": _drift(*(each.get("train", {}) for each in counts)),
        },
        "checks": _side_by_side(_checks(before), _checks(after)),
        "training": _side_by_side(_training(before), _training(after)),
        "state": [state_of(before), state_of(after)],
        "pushed": [pushed_to(before), pushed_to(after)],
    }


def _settings(run: Run) -> dict[str, Any]:
    return json.loads(run.facts.get("settings", "{}"))


def _code(run: Run) -> str | None:
    return run.facts.get("code")


def _fingerprint(run: Run) -> str | None:
    examples = run.output("ImportExampleGen", "examples")
    return examples.facts.get("input_fingerprint") if examples else None


def _counts(run: Run) -> dict[str, dict[str, int]]:
    """Returns examples by split and class; nothing where the statistics are not on this machine."""
    statistics = run.output("StatisticsGen", "statistics")
    if not statistics or "://" in statistics.uri or not is_folder(statistics.uri):
        return {}
    files = Path(statistics.uri).glob("Split-*/FeatureStats.pb")
    return {file.parent.name.removeprefix("Split-"): _classes(file) for file in sorted(files)}


def _statistics(run: Run) -> dict[str, float]:
    """Returns the means that the run's report has of its photos, by split; nothing where it is not on this machine."""
    splits = (read_json(run.output(REPORT_NODE, "report"), NUMBERS, {}).get("data") or {}).get("splits", {})
    keys = ("side", "brightness", "contrast", "red", "green", "blue")
    return {f"{name}.{key}": each[key]["mean"] for name, each in splits.items() for key in keys if each[key]}


def _classes(file: Path) -> dict[str, int]:
    """Returns the photos of each class that StatisticsGen counted: by name, or by index where there are no names."""
    listed = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
    features = {feature.path.step[0]: feature for feature in listed.datasets[0].features}
    feature = features.get("label") or features.get("class")
    if feature is None:
        return {}
    return {bucket.label: round(bucket.sample_count) for bucket in feature.string_stats.rank_histogram.buckets}


def _drift(before: dict[str, int], after: dict[str, int]) -> float | None:
    if not before or not after:
        return None
    shares = [{name: count / sum(each.values()) for name, count in each.items()} for each in (before, after)]
    return max(abs(shares[0].get(name, 0) - shares[1].get(name, 0)) for name in {*before, *after})


def _checks(run: Run) -> dict[str, float]:
    return {each["what"]: each["value"] for each in checks(run)}


def _training(run: Run) -> dict[str, Any]:
    """Returns what the Trainer wrote into the model's metadata."""
    model = run.output("Trainer", "model")
    keys = ("val_accuracy", "best_epoch", "epochs", "seconds", "parameters", "global_batch", "devices", "precision")
    return {key: model.facts[key] for key in keys if key in model.facts} if model else {}


def _side_by_side(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    keys = dict.fromkeys([*before, *after])
    return [{"what": key, "before": before.get(key), "after": after.get(key)} for key in keys]


def print_comparison(console: Console, answer: dict[str, Any]) -> None:
    """Prints what `compare` returned, a section each, and says of each what is the same."""
    first, second = answer["runs"]
    for title, rows in sections(answer):
        console.print(title, style="bold")
        text.lines(console, [["", f"run {first}", f"run {second}", ""], *rows] if rows else [["the same"]], indent=2)


def sections(answer: dict[str, Any]) -> Iterator[tuple[str, list[list[Any]]]]:
    """Yields titles with rows of what differs, before and after, as text; no rows for what is the same."""
    settings = answer["settings"]
    yield "settings", [[each["key"], json.dumps(each["before"]), json.dumps(each["after"]), ""] for each in settings]
    data, same = answer["data"], [each == other for each, other in (answer["code"], answer["data"]["fingerprint"])]
    yield "code", [] if same[0] else [["digest", *map(_shown, answer["code"]), ""]]
    drift = "" if data["drift"] is None else f"{data['drift']:.4f}"
    rows: list[list[Any]] = (
        [] if same[1] else [["fingerprint", *map(_shown, data["fingerprint"]), ""], ["drift", "", drift, ""]]
    )
    counted = [each[:3] for each in text.changes(*data["counts"])]
    means = [_row(each) for each in data["statistics"] if each["before"] != each["after"]]
    yield "data", rows + [[key, _shown(old), _shown(new), ""] for key, old, new in counted] + means
    yield "training", [_row(each) for each in answer["training"]]
    yield "evaluation", [_row(each) for each in answer["checks"]]
    yield "outcome", [[key, *map(_shown, answer[key]), ""] for key in ("state", "pushed")]


def _if_other(what: str, both: list[Any]) -> list[list[Any]]:
    return [] if both[0] == both[1] else [[what, *map(_shown, both), ""]]


def _row(each: dict[str, Any]) -> list[Any]:
    old, new = each["before"], each["after"]
    both = isinstance(old, int | float) and isinstance(new, int | float)
    return [each["what"], _shown(old), _shown(new), f"{new - old:+.4g}" if both and new != old else ""]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
