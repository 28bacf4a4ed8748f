"""Shows which part of a photo decided, by occlusion (Zeiler and Fergus 2014, arXiv:1311.2901).

A grey square is moved over the photo. Where it lowers the probability of the predicted class, the model used the
pixels below it.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer.features import IMAGE_BYTES, PROBABILITIES

_POSITIONS = (7, 5, 3)  # in each direction; for a slow model, fewer
_SECONDS = 3.0  # for all photos
_BATCH = 16  # photos in one request, which limits the memory
_GREY = 127
_SMALL = 0.05  # below this loss, no square decided alone
_HEAT, _OPACITY = np.array([255.0, 40.0, 0.0], np.float32), 0.8

Predict = Callable[[Sequence[np.ndarray]], np.ndarray]


def load(model: str | None) -> Predict | None:
    """Returns a function that maps photos, uint8 [size, size, 3], to probabilities, float32 [n, classes].

    Args:
      model: the folder of a Model artifact, or None.

    Returns:
      None if the folder has no SavedModel.
    """
    folder = f"{model}/Format-Serving"  # TFX's name
    if model is None or not tf.io.gfile.exists(f"{folder}/saved_model.pb"):
        return None
    loaded = tf.saved_model.load(folder)

    def predict(photos: Sequence[np.ndarray]) -> np.ndarray:
        encoded = [tf.io.encode_png(pixels, compression=1) for pixels in photos]
        batches = [encoded[start : start + _BATCH] for start in range(0, len(encoded), _BATCH)]
        serve = loaded.signatures["serving_default"]
        return np.concatenate([serve(**{IMAGE_BYTES: tf.stack(batch)})[PROBABILITIES] for batch in batches])

    return predict


def losses(predict: Predict, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns for each photo the loss of the predicted class's probability at each position: float32 [n, n].

    The value in row r and column c belongs to the square `squares(size, n)[r]`, `squares(size, n)[c]`. A negative loss
    means that the square raises the probability.

    Args:
      predict: see `load`.
      photos: uint8 [size, size, 3], as the transform graph resizes them.
    """
    if not photos:
        return []
    predict(photos)  # the first request takes longer
    start = time.monotonic()
    before = predict(photos)
    positions = affordable((time.monotonic() - start) / len(photos), len(photos))
    result = []
    for pixels, probabilities in zip(photos, before, strict=True):
        predicted = probabilities.argmax()
        after = predict(_occluded(pixels, positions))[:, predicted]
        result.append((probabilities[predicted] - after).reshape(positions, positions))
    return result


def affordable(seconds: float, photos: int) -> int:
    """Returns the number of positions in each direction, given the seconds that one photo takes.

    >>> affordable(0.01, 3), affordable(0.04, 3), affordable(1.0, 3)
    (7, 5, 3)
    """
    return next((each for each in _POSITIONS if photos * each**2 * seconds <= _SECONDS), _POSITIONS[-1])


def squares(size: int, positions: int) -> list[slice]:
    """Returns the pixels of the square at each position along one side; neighbouring squares overlap by half.

    >>> squares(8, 3)
    [slice(0, 4, None), slice(2, 6, None), slice(4, 8, None)]
    """
    side = max(1, round(2 * size / (positions + 1)))
    return [slice(start, start + side) for start in np.linspace(0, size - side, positions).round().astype(int).tolist()]


def _occluded(pixels: np.ndarray, positions: int) -> list[np.ndarray]:
    copies = []
    for rows in squares(len(pixels), positions):
        for columns in squares(len(pixels), positions):
            copies.append(pixels.copy())
            copies[-1][rows, columns] = _GREY
    return copies


def words(predicted: str, probability: float, losses: Sequence[Sequence[float]]) -> str:
    r"""Returns the method, its grid and the largest loss as text, given the predicted class and its probability.

    >>> words("roses", 0.93, [[0.52, 0.1], [0.0, -0.2]]).replace("\xa0", " ")
    "Occlusion, 2 × 2 grey squares. With the worst grey square, the probability of 'roses' falls from 93.0 % to 41.0 %."
    >>> words("roses", 0.93, [[-0.01]]).replace("\xa0", " ")
    "Occlusion, 1 × 1 grey squares. No grey square lowers the probability of 'roses', 93.0 %."
    """
    method, loss = f"Occlusion, {len(losses)} × {len(losses)} grey squares.", max(map(max, losses))
    before, after = (f"{100 * each:.1f}\u00a0%" for each in (probability, probability - loss))
    if loss <= 0 or after == before:
        return f"{method} No grey square lowers the probability of '{predicted}', {before}."
    start = "No single square decided: with" if loss < _SMALL else "With"
    return f"{method} {start} the worst grey square, the probability of '{predicted}' falls from {before} to {after}."


def heat(losses: np.ndarray, size: int) -> np.ndarray:
    """Returns the mean loss of the squares that cover each pixel: float32 [size, size]."""
    total, count = np.zeros([size, size], np.float32), np.zeros([size, size], np.float32)
    for row, rows in enumerate(squares(size, len(losses))):
        for column, columns in enumerate(squares(size, len(losses))):
            total[rows, columns] += losses[row, column]
            count[rows, columns] += 1
    return total / np.maximum(count, 1)


def overlay(pixels: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Returns the photo, uint8 [size, size, 3], in grey with `heat` in red: the more, the larger the loss.

    The strongest red marks the largest loss of this photo; if that is below 0.05, all red is weaker in proportion. A
    square that raises the probability counts as no loss, so that it does not hide a square that lowers it.
    """
    shown = heat(np.maximum(losses, 0), len(pixels))
    strongest = _OPACITY * min(1.0, float(losses.max()) / _SMALL)
    opacity = strongest * (shown / max(float(shown.max()), 1e-9))[..., np.newaxis]
    grey = pixels.mean(axis=2, keepdims=True)
    return ((1 - opacity) * grey + opacity * _HEAT).round().astype(np.uint8)
