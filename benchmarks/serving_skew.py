"""ServingSkew on the flowers: how often it finds skew where there is none, and where there is some."""

import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measure import DATA, report

_SEEDS = 200  # draws of each number of answers
_COUNTS = (50, 200, 1000)  # kept answers
_TRAINING = 2500  # photos
_ERRORS = 0.07  # of the predicted labels
_WARM = np.array([1.15, 1.0, 0.85])  # red, green and blue of a warmer white balance
_CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda pixels: pixels,
    "darker by 0.05": lambda pixels: pixels - 0.05,
    "darker by 0.1": lambda pixels: pixels - 0.1,
    "darker by 0.2": lambda pixels: pixels - 0.2,
    "warmer white balance": lambda pixels: pixels * _WARM,
}
_LEFT_OUT = "no roses", 2  # and the number of the class


def main() -> None:
    """Prints the fraction of draws with skew, for each change of the photos and each number of answers."""
    from components.serving_skew import compare

    compare.LEAST = 1  # also numbers of answers that the node does not judge
    random = np.random.default_rng(0)
    labels, encoded = _photos("flowers-192")
    names = np.array(["daisy", "dandelion", "roses", "sunflowers", "tulips"])
    predicted = np.where(
        random.random(len(labels)) < _ERRORS, (labels + random.integers(1, 5, len(labels))) % 5, labels
    )
    frames = {change: _frame(encoded, names[predicted], alter) for change, alter in _CHANGES.items()}
    training = frames["none"].assign(**{compare.CLASS: names[labels]})
    frames[_LEFT_OUT[0]] = frames["none"][labels != _LEFT_OUT[1]].copy()
    started, done = time.monotonic(), 0
    for change, frame in frames.items():
        for count in _COUNTS:
            found = [_skew(training, frame, count, random) for _ in range(_SEEDS)]
            done += len(found)
            rate = sum(map(bool, found)) / len(found)
            listed = {name: sum(name in each for each in found) / len(found) for name in compare.JUDGED}
            text = ", ".join(f"{name} {share:.2f}" for name, share in listed.items() if share)
            if change == "none" and count >= 200:
                report(f"no change, {count} answers: draws with skew", f"{rate:.3f}", "<= 0.02", rate <= 0.02)
            else:
                print(f"{change}, {count} answers: draws with skew {rate:.3f} ({text})", flush=True)
    whole_labels, whole = _photos("flowers-native")
    differences = compare.compare(training, _frame(whole, names[whole_labels], _CHANGES["none"])).differences
    print("whole photos:", ", ".join(f"{name} {each.value:.4f}" for name, each in differences.items()))
    print(f"{(time.monotonic() - started) / done * 1000:.0f} ms for a comparison")


def _photos(folder: str) -> tuple[np.ndarray, list[bytes]]:
    """Returns the class indices and the encoded photos of a folder."""
    import tensorflow as tf

    files = sorted(map(str, (DATA / folder).glob("*.tfrec")))
    examples = [tf.train.Example.FromString(each) for each in tf.data.TFRecordDataset(files).as_numpy_iterator()]
    features = [each.features.feature for each in examples]
    return (
        np.array([each["class"].int64_list.value[0] for each in features]),
        [each["image"].bytes_list.value[0] for each in features],
    )


def _frame(encoded: list[bytes], labels: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Returns the kept answers about changed photos."""
    from components import photos
    from components.serving_skew import compare
    from ingest.kept import Kept

    rows = [row for batch in _batches(encoded, change) for row in photos.measure(batch)]
    kept = [Kept(str(name).encode(), 0.9, 1, 0, *row) for name, row in zip(labels, rows, strict=True)]
    return compare.frame_of_answers(kept)


def _batches(encoded: list[bytes], change: Callable[[np.ndarray], np.ndarray]) -> Iterator[list[bytes]]:
    for start in range(0, len(encoded), 256):
        batch = []
        for each in encoded[start : start + 256]:
            pixels = change(np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) / 255)
            image, content = Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)), io.BytesIO()
            image.save(content, "BMP")
            batch.append(content.getvalue())
        yield batch


def _skew(training: Any, frame: Any, count: int, random: np.random.Generator) -> list[str]:
    """Returns the features with skew, for photos that are drawn at random; no photo is on both sides."""
    from components.serving_skew import compare

    answers = frame.sample(count, random_state=random)
    rest = training.drop(answers.index).sample(_TRAINING, random_state=random)
    return compare.compare(rest, answers).skew


if __name__ == "__main__":
    main()
