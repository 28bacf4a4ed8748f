"""The DataReview node: finds labels that are probably wrong and near duplicates; see `components.data_review`."""

import json
from typing import Any

import numpy as np
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.artifacts import Artifacts, EmbeddingTable, PhotoTable, ReportSection
from components.data_review import duplicates_output, neighbours, output, records, suspects, suspects_output
from components.data_review.records import Photos
from components.data_review.suspects import Suspects
from components.edits import read_applied
from components.stage import Stage, plural
from ingest.label_edits import Edits


@tfx.dsl.components.component
def DataReview(  # noqa: N802 (TFX names components like classes)
    examples: tfx.dsl.components.InputArtifact[standard_artifacts.Examples],
    table: tfx.dsl.components.InputArtifact[PhotoTable],
    embeddings: tfx.dsl.components.InputArtifact[EmbeddingTable],
    suspects: tfx.dsl.components.OutputArtifact[ReportSection],
    duplicates: tfx.dsl.components.OutputArtifact[ReportSection],
    classes: tfx.dsl.components.Parameter[str],
    command: tfx.dsl.components.Parameter[str],
) -> None:
    """Writes the labels that are probably wrong and the near duplicates of all splits.

    Args:
      examples: ExampleGen's examples.
      table: ExampleGen's table of the photos.
      embeddings: the embeddings of the examples.
      suspects: see `components.data_review`.
      duplicates: see `components.data_review`.
      classes: the class names, as a JSON list.
      command: reruns the pipeline with the settings in `settings.yaml`.
    """
    counts = review(
        (examples.uri, table.uri, embeddings.uri), (suspects.uri, duplicates.uri), json.loads(classes), command
    )
    for artifact, names in ((suspects, ("suspects",)), (duplicates, ("pairs", "across", "conflicting"))):
        for name in names:
            artifact.set_int_custom_property(name, counts[name])


def review(inputs: tuple[str, str, str], outputs: tuple[str, str], classes: list[str], command: str) -> dict[str, int]:
    """Writes the review, and returns the numbers of suspects and pairs.

    Args:
      inputs: the folders of the examples, the table and the embeddings.
      outputs: the folders for the suspects and the duplicates.
      classes: the class names.
      command: reruns the pipeline.
    """
    examples, table, features = inputs
    photos, edits = records.read(examples, table, features), records.read_edits(table)
    compared = neighbours.compare(photos.features, photos.labels, photos.splits)
    found = suspects.find(photos.features, photos.labels, compared.nearest, len(classes))
    pairs = compared.pairs
    of_pairs = set(pairs.indices[: output.SHOWN].ravel().tolist())
    shown = of_pairs | set(found.photos[: output.SHOWN].tolist())
    read = records.read_records(examples, photos, shown | set(found.photos.tolist()), shown)
    found = _without_edited(found, photos, read, edits)
    applied = read_applied(table)
    suspects_output.write(outputs[0], photos, found, read, classes, edits, applied, command)
    duplicates_output.write(outputs[1], photos, pairs, read, classes)
    return {
        "suspects": len(found.photos),
        "pairs": pairs.total,
        "across": pairs.across,
        "conflicting": pairs.conflicting,
    }


def _without_edited(found: Suspects, photos: Photos, read: dict[int, records.Record], edits: Edits | None) -> Suspects:
    """Returns the suspects without the photos that have a row in `data.edits`: a person has decided about them."""
    keep = [not (edits and edits.find(read[photo].digest, photos.names[photo])) for photo in found.photos.tolist()]
    chosen = np.flatnonzero(keep)
    return found._replace(
        photos=found.photos[chosen], likely=found.likely[chosen], probabilities=found.probabilities[chosen]
    )


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (labels,), (duplicates,) = outputs["suspects"], outputs["duplicates"]
    pairs, across, conflicting = (duplicates.get_int_custom_property(key) for key in ("pairs", "across", "conflicting"))
    text = f"{plural(labels.get_int_custom_property('suspects'), 'suspect')} · {plural(pairs, 'near duplicate')}"
    text += f", {across:,} across splits" if across else ""
    return text + (f", {conflicting:,} with different labels" if conflicting else "")


STAGE = Stage("DataReview", ("suspects", "duplicates"), _figure)
