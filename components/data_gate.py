"""The data gate: stops the run if the data cannot be trained on.

ExampleValidator only records anomalies, and ExampleGen only puts bad records into the quarantine. The gate refuses
anomalies, too many bad records, empty splits, and splits without photos of a class.
"""

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.types import artifact_utils
from tfx.utils import io_utils, json_utils

from components.anomalies import Anomaly, read_anomalies
from components.artifacts import Artifacts, DataBlessing, Quarantine
from components.quarantine import DISAGREE, OUT_OF_RANGE, Counts, read_counts
from components.stage import Stage, plural
from storage.local_paths import to_uri
from trainer.features import CLASS, IMAGE

_MAX_NAMES = 3  # classes and reasons that a message lists
_ALL = "all"  # stands for the name of a split


class DataRefused(Exception):
    """Raised when the data cannot be trained on; the message is a table of the problems."""

    def __init__(self, problems: list[Anomaly]):
        self.problems = problems
        rows = [
            ("split", "feature", "what is wrong"),
            *((each.split, each.feature or "—", each.what) for each in problems),
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        table = "\n".join(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows)
        super().__init__(f"the data cannot be used, {plural(len(problems), 'problem')}:\n{table}")


@tfx.dsl.components.component
def DataGate(  # noqa: N802 (TFX names components like classes)
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    quarantine: tfx.dsl.components.InputArtifact[Quarantine],
    anomalies: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleAnomalies],
    blessing: tfx.dsl.components.OutputArtifact[DataBlessing],
    classes: tfx.dsl.components.Parameter[str],
    max_bad_fraction: tfx.dsl.components.Parameter[float],
) -> None:
    """Blesses the data if few records are bad, there are no anomalies, and every split has photos of each class.

    Args:
      examples: ExampleGen's examples.
      quarantine: ExampleGen's quarantine, with the counts of the records.
      anomalies: ExampleValidator's anomalies.
      blessing: see `DataBlessing`.
      classes: the class names, as a JSON list.
      max_bad_fraction: the largest fraction of bad records.

    Raises:
      DataRefused: if there is any problem.
    """
    counts, names = read_counts(quarantine.uri), json.loads(classes)
    problems = list(_bad_records(counts, max_bad_fraction, to_uri(quarantine.uri)))
    problems += _numbered_from_one(counts, names)
    splits = artifact_utils.decode_split_names(examples.split_names)
    for split in splits:
        labels = counts.labels.get(split, {})
        if not labels:
            problems.append(Anomaly(split, "", "the split has no examples"))
            continue
        problems += [*_missing_classes(split, labels, names), *read_anomalies(anomalies.uri, split)]
    if problems:
        raise DataRefused(problems)
    examples_by_split = {split: sum(counts.labels[split].values()) for split in splits}
    io_utils.write_string_file(f"{blessing.uri}/blessing.json", json_utils.dumps({"examples": examples_by_split}))


def _bad_records(counts: Counts, most: float, quarantine: str) -> Iterator[Anomaly]:
    if counts.bad_fraction <= most:
        return
    total = counts.good + counts.bad + counts.lost
    lost = f", {counts.lost:,} of them lost behind a damaged place" if counts.lost else ""
    yield Anomaly(
        _ALL,
        IMAGE,
        f"{counts.bad + counts.lost:,} of {total:,} records ({counts.bad_fraction:.1%}) cannot be used{lost}; at most "
        f"{most:.1%} may (data.max_bad_fraction). To see them: python -m ingest quarantine {shlex.quote(quarantine)}",
    )
    for reason, (count, first) in counts.reasons.items():
        yield Anomaly(_ALL, IMAGE, f"{plural(count, 'record')}: {reason}: {'; '.join(first)}")
    if DISAGREE in counts.reasons:
        yield Anomaly(
            _ALL,
            CLASS,
            "If the data is in several folders, they may number the classes differently. To compare them: "
            "python -m ingest check DATA_DIR; then convert the photos again with the same classes",
        )


def _numbered_from_one(counts: Counts, names: Sequence[str]) -> Iterator[Anomaly]:
    """Yields a problem if no record has the class 0 and the classes out of range are the number of classes."""
    count, reason = len(names), counts.reasons.get(OUT_OF_RANGE)
    if not reason or any(labels.get(0) for labels in counts.labels.values()):
        return
    if all(text.endswith(f": expected 0 to {count - 1}, received {count}") for text in reason.first):
        yield Anomaly(
            _ALL,
            CLASS,
            f"no record has the class 0, and {plural(reason.records, 'record')} the class {count}. "
            "If the classes are numbered from 1: --set data.first_class=1",
        )


def _missing_classes(split: str, labels: dict[int, int], names: Sequence[str]) -> Iterator[Anomaly]:
    missing = [name for label, name in enumerate(names) if not labels.get(label)]
    if missing:
        listed = ", ".join(missing[:_MAX_NAMES]) + (" …" if len(missing) > _MAX_NAMES else "")
        yield Anomaly(
            split,
            CLASS,
            f"no photo of {plural(len(missing), 'class', 'classes')}: {listed}. If the files are sorted by class, "
            "split by record: --set data.split=hash; otherwise add photos, or change the size of the splits "
            "(data.eval_fraction, data.test_fraction)",
        )


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (blessing,) = outputs["blessing"]
    counts = json.loads((Path(blessing.uri) / "blessing.json").read_text())["examples"]
    return f"{sum(counts.values()):,} photos match the schema and can be decoded"


STAGE = Stage("DataGate", ("blessing",), _figure)
