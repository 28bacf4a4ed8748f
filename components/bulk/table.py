"""The table of a bulk prediction: its columns, its rows and the check that no row is missing.

The columns are those of `python -m serving predict`, and the place of the photo's record.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from pyarrow import parquet

from components.bulk.reading import Item
from trainer.features import FAMILIAR, LABEL, PROBABILITIES, STATUS, SURE

PREFIX, SUFFIX = "predictions", ".parquet"  # of the files
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        (LABEL, pa.string()),
        ("probability", pa.float32()),
        (PROBABILITIES, pa.list_(pa.float32())),
        (SURE, pa.bool_()),
        (FAMILIAR, pa.float32()),
        (STATUS, pa.string()),
        ("model", pa.string()),
        ("version", pa.int64()),
        ("record", pa.int64()),
        ("filename", pa.string()),
    ]
)
Row = dict[str, Any]


def row(item: Item, answer: Mapping[str, Any], model: str, version: int | None) -> Row:
    """Returns the row of a photo.

    Args:
      item: the photo.
      answer: the outputs of the model's signature for this photo.
      model: the model's name.
      version: the version of the pushed model; None if it has none.
    """
    status = item.problem or answer[STATUS].decode()
    probabilities = [] if status else np.asarray(answer[PROBABILITIES]).tolist()
    return {
        "file": item.file,
        LABEL: None if status else answer[LABEL].decode(),
        "probability": max(probabilities, default=None),
        PROBABILITIES: probabilities,
        SURE: None if status or SURE not in answer else bool(answer[SURE]),
        FAMILIAR: None if status or FAMILIAR not in answer else float(answer[FAMILIAR]),
        STATUS: status,
        "model": model,
        "version": version,
        "record": item.record,
        "filename": item.filename,
    }


def count_rows(folder: str) -> int:
    """Returns the number of rows in the files of a folder, from their metadata."""
    (found,) = FileSystems.match([f"{folder}/{PREFIX}-*{SUFFIX}"])
    rows = 0
    for each in found.metadata_list:
        with FileSystems.open(each.path) as file:
            rows += parquet.read_metadata(file).num_rows
    return rows
