"""Finds the training photos that are most similar to a photo, by the cosine similarity of their embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.photos import Photos
from components.report.data import class_name, file_name
from ingest.split_names import TRAIN
from trainer import embeddings

COUNT = 3  # training photos of each photo


def nearest(
    table: str | None,
    splits: Mapping[str, Photos],
    split: str,
    records: Sequence[int],
    classes: Sequence[str],
    relabelled: Mapping[str, str],
) -> list[list[dict[str, Any]] | None]:
    """Returns for each photo the COUNT most similar training photos, the most similar first.

    Args:
      table: the folder of the EmbeddingTable, or None.
      splits: the photos of each split.
      split: the split of the photos.
      records: the record numbers of the photos in this split.
      classes: the class names.
      relabelled: see `components.edits.relabelled`.

    Returns:
      For each photo {record, file, class, similarity, was}, with a similarity of -1 to 1; None for all photos if there
      are no embeddings of the same records.
    """
    read = {name: embeddings.read(table, name) for name in (TRAIN, split)} if table and records else {}
    same = bool(read) and all(name in splits and _same_records(rows, splits[name]) for name, rows in read.items())
    if not same or not splits[TRAIN].records:
        return [None] * len(records)
    photos, train = splits[TRAIN], embeddings.unit(read[TRAIN].features)
    similarities = embeddings.unit(read[split].features[list(records)]) @ train.T
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :COUNT]

    def described(index: int, similarity: float) -> dict[str, Any]:
        return {
            "record": int(photos.record_numbers[index]),
            "file": file_name(photos, index),
            "class": class_name(classes, photos.labels[index]),
            "similarity": float(similarity),
            "was": relabelled.get(photos.digests[index].tobytes().hex()),
        }

    return [[described(index, row[index]) for index in chosen] for row, chosen in zip(similarities, order, strict=True)]


def _same_records(rows: embeddings.Embeddings, photos: Photos) -> bool:
    return np.array_equal(rows.digests, photos.digests)
