"""Compares the artifacts of two runs of the sample, of which at least one is in a bucket."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.cluster.launcher import buckets

# outputs whose files are equal, byte by byte; others contain paths, times or fingerprints
SAME = ["ImportExampleGen/examples", "ImportExampleGen/table", "ImportExampleGen/quarantine", "ImportSchemaGen/schema",
        "StatisticsGen/statistics", "ExampleValidator/anomalies", "DataGate/blessing"]  # fmt: skip
_CHECKS = Path("Evaluator/evaluation/checks.json")


def download(uri: str, folder: Path) -> None:
    """Downloads all objects below a URI, without the directory markers of TensorFlow."""
    scheme, bucket, key = buckets.split(uri)
    opened = buckets.open_bucket(scheme, bucket)
    for found in opened.objects(f"{key}/"):
        if not found.name.endswith("/"):
            path = folder / found.name.removeprefix(f"{key}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            opened.download(found.name, path)


def files(folder: Path) -> dict[str, bytes]:
    """Returns the content of each file below a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_equal(run: Path, expected: dict[str, Path], *models: Path) -> None:
    """Checks a run: the files of SAME, the gate's checks, and all photos' probabilities.

    Args:
      run: the folder with the artifacts as NODE/OUTPUT.
      expected: the artifact folders of the other run, by NODE/OUTPUT.
      models: more SavedModels that must have the same probabilities.
    """
    for name in SAME:
        found = files(run / name)
        assert found and found == files(expected[name]), name
    assert (run / _CHECKS).read_bytes() == (expected[str(_CHECKS.parent)] / _CHECKS.name).read_bytes()
    photos = _examples(run / "ImportExampleGen" / "examples")
    assert len(photos) == 1600
    wanted = _predictions(expected["Trainer/model"] / "Format-Serving", photos)
    for model in (run / "Trainer" / "model" / "Format-Serving", run / "Pusher" / "pushed_model", *models):
        np.testing.assert_allclose(_predictions(model, photos), wanted, atol=1e-4)


def _examples(folder: Path) -> list[bytes]:
    paths = [str(path) for path in sorted(folder.rglob("*.gz"))]
    return list(tf.data.TFRecordDataset(paths, "GZIP").as_numpy_iterator())


def _predictions(model: Path, photos: list[bytes]) -> np.ndarray:
    serve = tf.saved_model.load(str(model)).signatures["serve_examples"]
    return serve(examples=tf.constant(photos))["probabilities"].numpy()
