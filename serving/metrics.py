"""The server's metrics, in Prometheus' form."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import psutil
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the variable with the folder that the workers share
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

REQUESTS = Counter("serving_requests", "Answered requests", ["path", "status", "version"])
SECONDS = Histogram("serving_request_seconds", "Time of a request", ["path", "version"], buckets=_SECONDS)
BATCH_SIZE = Histogram("serving_batch_photos", "Photos in a call of the model", buckets=(1, 2, 4, 8, 16, 32, 64, 128))
QUEUE = Gauge("serving_waiting_photos", "Photos that wait for a call", multiprocess_mode="livesum")
CLASSES = Counter("serving_classes", "Photos by the most probable class", ["label", "version"])
CONFIDENCE = Histogram(
    "serving_confidence", "Largest probability of a photo", ["version"], buckets=[step / 20 for step in range(1, 21)]
)
NOT_SURE = Counter("serving_not_sure", "Photos whose largest probability is below the threshold of `sure`", ["version"])
UNUSED = Counter("serving_unused_photos", "Photos that the model could not use", ["version"])
SHADOW = Counter("serving_shadow_photos", "Photos that a shadow computed", ["version", "result"])
KEPT = Counter("serving_kept_photos", "Photos whose answer was kept (--keep)")
NOT_KEPT = Counter("serving_not_kept_photos", "Photos that were chosen and not kept", ["reason"])
VERSION = Gauge("serving_version", "The newest served version", multiprocess_mode="livemostrecent")

MEDIA_TYPE = CONTENT_TYPE_LATEST


def text() -> bytes:
    """Returns the metrics; of all workers, if there are several (`PROMETHEUS_MULTIPROC_DIR`)."""
    if _FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


def forget_dead_workers() -> None:
    """Removes the gauges of workers that were killed, such as the photos that waited there."""
    for file in Path(os.environ[_FOLDER]).glob("gauge_live*.db") if _FOLDER in os.environ else []:
        pid = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(pid):
            mark_process_dead(pid)


def labels(outputs: Mapping[str, np.ndarray]) -> list[bytes] | None:
    """Returns the most probable class of each photo; b"" for a photo that the model could not use.

    Args:
      outputs: of a signature.

    Returns:
      The classes; None if the signature is not one that gives them, such as `transform_features`.
    """
    if {"label", "probabilities", "status"} <= set(outputs):
        return [b"" if status else label for label, status in zip(outputs["label"], outputs["status"], strict=True)]
    if {"classes", "scores"} <= set(outputs):  # of TensorFlow Serving's Classify API
        best = outputs["scores"].argmax(axis=1)
        return [row[index] for row, index in zip(outputs["classes"], best, strict=True)]
    return None


def count(version: int, outputs: Mapping[str, np.ndarray]) -> None:
    """Counts the answers of a version for photos; those of signatures without classes are not counted."""
    for index, label in enumerate(labels(outputs) or ()):
        if not label:
            UNUSED.labels(version).inc()
            continue
        CLASSES.labels(label.decode(), version).inc()
        CONFIDENCE.labels(version).observe(
            float(outputs["probabilities" if "label" in outputs else "scores"][index].max())
        )
        if "sure" in outputs and not outputs["sure"][index]:
            NOT_SURE.labels(version).inc()


def count_request(path: str, status: object, version: object, seconds: float) -> None:
    """Counts an answered request; `version` is '' if none was chosen, as for an unknown path."""
    REQUESTS.labels(path, status, version).inc()
    SECONDS.labels(path, version).observe(seconds)
