"""Answers that differ from the Trainer's are refused, each with its reason."""

import numpy as np
import tensorflow as tf

from ingest.sample import CLASSES
from tests.helpers.trained import FITTED, replacing
from trainer.features import LABEL, PROBABILITIES, STATUS


def test_classes_in_another_order_are_refused(trained):
    trained.export(classes=[CLASSES[1], CLASSES[0], *CLASSES[2:]])
    reason = trained.problems()
    assert "classify, one photo: classes are not the classes of the training in their order" in reason


def test_what_was_fitted_after_the_training_is_compared_too(trained):
    trained.export()
    assert trained.problems() == ""
    trained.export(fitted=FITTED._replace(threshold=0.0, quantile=10.0))
    problems = trained.problems()
    assert "sure does not say whether the largest probability is at least 0.6000" in problems
    assert "a photo has the set " in problems
    assert len(problems.split("; ")) == 3  # each once for serving_default and serve_examples, and the sets
    trained.export(fitted=FITTED._replace(temperature=5.0))
    assert "a probability differs from the Trainer's by 0." in trained.problems()


def test_a_class_for_a_damaged_photo_is_refused(trained):
    def silent(photos: tf.Tensor, answer: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return answer | {STATUS: tf.fill(tf.shape(answer[STATUS]), ""), LABEL: tf.fill(tf.shape(photos), "roses")}

    trained.change(replacing(silent))
    reason = trained.problems()
    assert "serving_default, damaged photos: a damaged photo has no status" in reason
    assert "a damaged photo has a label" in reason


def test_answers_that_depend_on_the_batch_are_refused(trained):
    """As if batch norm computed its means from the batch."""

    def normalised(photos: tf.Tensor, answer: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        mean = tf.reduce_mean(answer[PROBABILITIES], axis=0, keepdims=True)
        mixed = tf.math.divide_no_nan(answer[PROBABILITIES] + mean, 2.0)
        return answer | {PROBABILITIES: tf.where(answer[STATUS][:, tf.newaxis] == "", mixed, 0.0)}

    trained.change(replacing(normalised))
    assert "serving_default, damaged photos: probabilities of a photo do not sum to 1" in trained.problems()
    assert "a probability differs from the Trainer's by 0." in trained.problems()


def test_nan_is_refused(trained):
    trained.change(replacing(lambda _, answer: answer | {PROBABILITIES: answer[PROBABILITIES] * np.nan}))
    assert "serving_default, one photo: probabilities contains NaN or Inf" in trained.problems()
