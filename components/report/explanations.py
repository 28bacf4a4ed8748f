"""Explains the most confident mistakes: by similar training photos, and by the part of the photo that decided."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from components import edits
from components.photos import Photos
from components.report import neighbours, occlusion
from components.report.sources import Sources
from components.report.thumbnails import data_uri, pictures, thumbnails
from ingest.split_names import TRAIN

_OCCLUDED = 3  # the first mistakes, because each needs up to 49 predictions
_SIDE, _NEAREST_SIDE = 160, 96


class Pictures(NamedTuple):
    """Photos as data URIs, by record number: the mistakes, the same with heat, and training photos."""

    mistakes: dict[int, str]
    heat: dict[int, str]
    nearest: dict[int, str]


def add(mistakes: list[dict[str, Any]], sources: Sources, splits: Mapping[str, Photos]) -> Pictures:
    """Adds `nearest` and `occlusion` to each mistake (see `components.report`); returns the pictures."""
    examples, split = str(sources.folder("ImportExampleGen.examples")), sources.judged
    records = [each["record"] for each in mistakes]
    was = edits.relabelled(str(sources.folder("ImportExampleGen.table")))
    found = neighbours.nearest(sources.folder("Embeddings.embeddings"), splits, split, records, sources.classes, was)
    shown = pictures(examples, split, records[:_OCCLUDED], *sources.pixels)
    losses = _losses(sources, shown)
    for each, nearest in zip(mistakes, found, strict=True):
        of_record = losses.get(each["record"])
        each |= {
            "nearest": nearest,
            "occlusion": None if of_record is None else of_record.astype(float).round(4).tolist(),
        }
    similar = [each["record"] for nearest in found for each in nearest or ()]
    return Pictures(
        mistakes=thumbnails(examples, split, records, _SIDE),
        heat={record: data_uri(occlusion.overlay(shown[record], losses[record])) for record in losses},
        nearest=thumbnails(examples, TRAIN, similar, _NEAREST_SIDE),
    )


def _losses(sources: Sources, photos: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    predict = occlusion.load(sources.folder("Trainer.model")) if photos else None
    return dict(zip(photos, occlusion.losses(predict, list(photos.values())), strict=True)) if predict else {}
