"""`diff RUN RUN`: compares the settings, data, code, metrics and classes of two runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from rich.console import Console
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.report.sources import NUMBERS, REPORT_NODE
from ingest.paths import is_folder
from lineage import text
from lineage.history import Run
from lineage.runs import gate_checks, judged_of, pushed_to, read_json, state_of

_DECIMALS = 4  # of the printed numbers


def compare(before: Run, after: Run) -> dict[str, Any]:
    """Returns the settings that differ, and the data, code, checks and outcome of both runs.

    `data` has the number of examples per class by split, the means of the photos (side in pixels; brightness, contrast
    and colours from 0 to 1), and `drift`: the largest difference in a class's share between the two train splits
    (L-infinity, TFDV's measure for categories).
    """
    settings = text.changes(_settings(before), _settings(after))
    counts = _counts(before), _counts(after)
    return {
        "runs": [before.id, after.id],
        "settings": [{"key": key, "before": old, "after": new} for key, old, new in settings],
        "code": [before.facts.get("code"), after.facts.get("code")],
        "data": {
            "fingerprint": [_fingerprint(before), _fingerprint(after)],
            "counts": list(counts),
            "statistics": _side_by_side(_statistics(before), _statistics(after)),
            "drift": _drift(*(each.get("train", {}) for each in counts)),
        },
        "judged_split": [judged_of(each.output("Evaluator.evaluation")) for each in (before, after)],
        "checks": _side_by_side(_checks(before), _checks(after)),
        "training": _side_by_side(_training(before), _training(after)),
        "state": [state_of(before), state_of(after)],
        "pushed": [pushed_to(before), pushed_to(after)],
        "artifacts_unknown": [each.facts.get("artifacts_unknown") for each in (before, after)],
    }


def _settings(run: Run) -> dict[str, Any]:
    return text.json_object(run.facts.get("settings"))


def _fingerprint(run: Run) -> str | None:
    examples = run.output("ImportExampleGen.examples")
    return examples.facts.get("input_fingerprint") if examples else None


def _counts(run: Run) -> dict[str, dict[str, int]]:
    """Returns the number of examples by split and class; empty if the statistics are not on this machine."""
    statistics = run.output("StatisticsGen.statistics")
    if not statistics or "://" in statistics.uri or not is_folder(statistics.uri):
        return {}
    files = Path(statistics.uri).glob("Split-*/FeatureStats.pb")
    return {file.parent.name.removeprefix("Split-"): _classes(file) for file in sorted(files)}


def _statistics(run: Run) -> dict[str, float]:
    """Returns the means of the photos by split, from the run's report; empty if it is not on this machine."""
    report = read_json(run.output(f"{REPORT_NODE}.report"), NUMBERS, {})
    keys = ("side", "brightness", "contrast", "red", "green", "blue")
    try:
        splits = (report.get("data") or {}).get("splits", {})
        return {f"{name}.{key}": each[key]["mean"] for name, each in splits.items() for key in keys if each[key]}
    except (AttributeError, LookupError, TypeError):  # another program's file
        return {}


def _classes(file: Path) -> dict[str, int]:
    """Returns StatisticsGen's number of photos per class, keyed by name, or by index if there are no names."""
    try:
        listed = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
    except (DecodeError, OSError):
        return {}
    features = {each.name or ".".join(each.path.step): each for some in listed.datasets[:1] for each in some.features}
    feature = features.get("label") or features.get("class")
    if feature is None:
        return {}
    return {bucket.label: round(bucket.sample_count) for bucket in feature.string_stats.rank_histogram.buckets}


def _drift(before: dict[str, int], after: dict[str, int]) -> float | None:
    if not before or not after:
        return None
    shares = [{name: count / max(sum(each.values()), 1) for name, count in each.items()} for each in (before, after)]
    return max(abs(shares[0].get(name, 0) - shares[1].get(name, 0)) for name in {*before, *after})


def _checks(run: Run) -> dict[str, float]:
    return {each["what"]: each["value"] for each in gate_checks(run)}


def _training(run: Run) -> dict[str, Any]:
    """Returns the figures that the Trainer stored with the model."""
    model = run.output("Trainer.model")
    keys = ("val_accuracy", "best_epoch", "epochs", "seconds", "parameters", "global_batch", "devices", "precision")
    return {key: model.facts[key] for key in keys if key in model.facts} if model else {}


def _side_by_side(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    keys = dict.fromkeys([*before, *after])
    return [{"what": key, "before": before.get(key), "after": after.get(key)} for key in keys]


def print_comparison(console: Console, answer: dict[str, Any]) -> None:
    """Prints the sections of `compare`'s result; for a section without differences, prints "no differences"."""
    first, second = answer["runs"]
    for title, rows in sections(answer):
        console.print(title, style="bold")
        table = [["", f"run {first}", f"run {second}", ""], *rows] if rows else [["no differences"]]
        text.print_table(console, table, indent=2)


def sections(answer: dict[str, Any]) -> Iterator[tuple[str, list[list[Any]]]]:
    """Yields each section's title and its rows (key, before, after, difference) as text; no rows if nothing differs."""
    settings = answer["settings"]
    yield "settings", [[each["key"], json.dumps(each["before"]), json.dumps(each["after"]), ""] for each in settings]
    yield "code", _pair("digest", answer["code"])
    data, known = answer["data"], _known(answer["artifacts_unknown"])
    rows = known + _pair("fingerprint", data["fingerprint"])
    if data["fingerprint"][0] != data["fingerprint"][1]:
        rows.append(["drift", "", "" if data["drift"] is None else f"{data['drift']:.4f}", ""])
    rows += [[key, _format(old), _format(new), ""] for key, old, new in text.changes(*data["counts"])]
    yield "data", rows + [_row(each) for each in data["statistics"] if _difference(each) != ""]
    yield "training", known + [_row(each) for each in answer["training"]]
    yield "evaluation", known + _pair("split", answer["judged_split"]) + [_row(each) for each in answer["checks"]]
    yield "outcome", known + [[key, *map(_format, answer[key]), ""] for key in ("state", "pushed")]


def _known(reasons: list[str | None]) -> list[list[Any]]:
    """Returns a row that says of which run the artifacts are unknown; none if those of both runs are known."""
    return [["artifacts", *("unknown" if reason else "known" for reason in reasons), ""]] if any(reasons) else []


def _pair(key: str, values: list[Any]) -> list[list[Any]]:
    before, after = values
    return [] if before == after else [[key, _format(before), _format(after), ""]]


def _row(each: dict[str, Any]) -> list[Any]:
    return [each["what"], _format(each["before"]), _format(each["after"]), _difference(each) or ""]


def _difference(each: dict[str, Any]) -> str | None:
    """Returns the difference of two numbers, '' if it is zero with the digits of `_format`; None without numbers."""
    old, new = each["before"], each["after"]
    if not (isinstance(old, int | float) and isinstance(new, int | float)):
        return None
    return f"{new - old:+.4g}" if round(new - old, _DECIMALS) else ""


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.{_DECIMALS}f}"
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
