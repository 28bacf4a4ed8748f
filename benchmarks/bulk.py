"""The rate of a bulk prediction against direct calls of the SavedModel with the same photos.

Both load the model and read the record files. They alternate, so that the ratio holds on a busy machine. The weights
are random.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import DATA, report
from benchmarks.serving import MODELS, export
from ingest.logs import log_to_file

BATCHES = (32, 64)
ROUNDS = 3


def main() -> None:
    """Prints, for each model, the ratio of the rates."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            export(name, Path(folder))
            model = Path(folder) / "model" / "1"
            calls: dict[str, Callable[[], int]] = {f"batch {size}": _direct(model, size) for size in BATCHES}
            calls["bulk"] = lambda model=model: _bulk(model)  # type: ignore[misc]
            with log_to_file(Path(os.devnull), also_terminal=False):
                _compare(name, calls)


def _compare(name: str, calls: dict[str, Callable[[], int]]) -> None:
    for call in calls.values():
        call()  # imports, and traces the functions
    rates: dict[str, list[float]] = {key: [] for key in calls}
    for _ in range(ROUNDS):
        for key, call in calls.items():
            started = time.perf_counter()
            rates[key].append(call() / (time.perf_counter() - started))
    medians = {key: statistics.median(values) for key, values in rates.items()}
    bulk = medians.pop("bulk")
    best = max(medians.values())
    report(f"{name}: bulk prediction, direct {best:.0f}/s", f"{bulk / best:.2f} x", ">= 0.9 x", bulk >= 0.9 * best)


def _direct(model: Path, size: int) -> Callable[[], int]:
    import tensorflow as tf

    def call() -> int:
        loaded = tf.saved_model.load(str(model))
        count = 0
        for records in tf.data.TFRecordDataset(sorted(map(str, (DATA / "flowers-192").glob("*.tfrec")))).batch(size):
            answers = loaded.signatures["serve_examples"](examples=records)
            count += len(answers["label"].numpy())
        return count

    return call


def _bulk(model: Path) -> int:
    from tfx.types.standard_artifacts import InferenceResult, PushedModel

    from components.bulk import component, counts
    from ingest.feature_names import FEATURES

    pushed, output = PushedModel(), InferenceResult()
    pushed.uri = str(model)
    pushed.set_int_custom_property("pushed", 1)
    properties = {"bulk_data": str(DATA / "flowers-192"), "pattern": "*", "features": json.dumps(FEATURES["flowers"])}
    with tempfile.TemporaryDirectory() as folder:
        output.uri = folder
        context = component.Executor.Context(
            beam_pipeline_args=["--runner=DirectRunner"], tmp_dir=folder, unique_id="1"
        )
        inputs, outputs = {"pushed_model": [pushed]}, {"predictions": [output]}
        component.Executor(context).Do(inputs, outputs, properties | {"model_name": "model"})
        found = counts.read(folder)
    if not found or found.unused:
        raise SystemExit(f"expected an answer for each photo, received {found}")
    return found.rows


if __name__ == "__main__":
    main()
