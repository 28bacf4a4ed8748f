"""Labels that are probably wrong: worked examples, invariants, and labels of made-up photos that a seed has changed."""

import numpy as np
import pytest

from components.data_review import neighbours, suspects

# two classes; the mean probability of a class over the photos with its label is 0.7 and 0.65
PROBABILITIES = np.array(
    [[0.9, 0.1], [0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7], [0.9, 0.1], [0.1, 0.9]], np.float32
)
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def test_the_confident_joint_by_hand():
    """Thresholds 0.7 and 0.65. Label 0: three photos count for 0, one for 1. Label 1: one for 0, three for 1."""
    assert suspects.joint(PROBABILITIES, LABELS).tolist() == [[3, 1], [1, 3]]


def test_photos_without_a_confident_class_do_not_count():
    """Photo 5 is below both thresholds, so the three other photos with label 1 stand for four."""
    probabilities = PROBABILITIES.copy()
    probabilities[5] = 0.5, 0.5
    assert suspects.joint(probabilities, LABELS) == pytest.approx(np.array([[3, 1], [4 / 3, 8 / 3]]))


def test_the_suspects_of_the_joint_by_their_margin():
    assert suspects.rank(PROBABILITIES, LABELS).tolist() == [6, 3]


def test_a_class_without_photos_has_no_suspects():
    probabilities = np.concatenate([PROBABILITIES, np.zeros([8, 1], np.float32)], axis=1)
    assert suspects.joint(probabilities, LABELS)[2].tolist() == [0, 0, 0]
    assert suspects.rank(probabilities, LABELS).tolist() == [6, 3]


def test_the_votes_of_the_nearest_photos():
    """The last row has no votes, because its photos have classes that are not judged."""
    votes = suspects.votes(np.array([[0, 0, 2], [1, -1, -1], [-1, -1, -1]]), 3)
    assert votes == pytest.approx(np.array([[2 / 3, 0, 1 / 3], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]]))


def _photos(per_class: int = 150, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns embeddings around the centre of each class, and the classes."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    centres = random.normal(size=(classes, 24))
    return (centres[labels] + 0.5 * random.normal(size=(len(labels), 24))).astype(np.float16), labels


def _find(features: np.ndarray, labels: np.ndarray, classes: int) -> suspects.Suspects:
    return suspects.find(features, labels, neighbours.compare(features, labels, labels).nearest, classes)


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_a_seed_has_changed_are_found(seed):
    features, true = _photos(seed=seed)
    random = np.random.default_rng(seed)
    changed = random.choice(len(true), 30, replace=False)
    labels = true.copy()
    labels[changed] = (true[changed] + random.integers(1, 4, 30)) % 4
    found = _find(features, labels, 4)
    right = set(found.photos.tolist()) & set(changed.tolist())
    assert len(right) >= 0.9 * 30 and len(right) >= 0.7 * len(found.photos)
    assert np.mean(found.likely == true[found.photos]) > 0.7
    assert (found.probabilities[:, 0] < found.probabilities[:, 1]).all() and (
        found.likely != labels[found.photos]
    ).all()
    margins = found.probabilities[:, 0] - found.probabilities[:, 1]
    assert (np.diff(margins) >= 0).all()


def test_right_labels_of_separate_classes_are_not_suspected():
    features, labels = _photos()
    found = _find(np.eye(4)[labels].repeat(6, axis=1) * 3 + 0.05 * features, labels, 4)
    assert found.photos.tolist() == [] and found.accuracy == 1 and not found.problem


@pytest.mark.parametrize(
    ("features", "labels", "problem"),
    [
        (
            np.ones([40, 4]),
            np.arange(40) % 2,
            "the embeddings do not tell the classes apart beyond doubt: accuracy 0.500",
        ),
        (np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2, "do not tell the classes apart"),
        (np.random.default_rng(0).normal(size=(9, 4)), np.array([0] * 5 + [1] * 4), "expected at least two classes"),
        (np.zeros([0, 1]), np.zeros([0], int), "expected at least two classes with 5 or more photos"),
        (np.zeros([1, 3]), np.zeros([1], int), "expected at least two classes"),
    ],
)
def test_data_that_says_nothing_about_its_labels(features, labels, problem):
    found = _find(features, labels, 3)
    assert problem in found.problem
    assert len(found.photos) == len(found.likely) == len(found.probabilities) == 0


def test_small_classes_are_not_judged():
    features, labels = _photos(per_class=20)
    keep = np.flatnonzero((labels != 1) | (np.arange(80) == 25))  # one photo of class 1
    found = _find(features[keep], labels[keep] + (labels[keep] > 1), 6)  # class 2 has no photos
    assert found.not_judged == [1] and not found.problem
    assert 1 not in labels[keep][found.photos] and not {1, 2, 5} & set(found.likely.tolist())
