"""Equal shares of the classes, by weights in the loss or by the records of an epoch."""

import doctest
from collections import Counter

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from tfx.components.trainer.fn_args_utils import FnArgs

from testing import graphs
from tests.helpers import records
from trainer import balance, input_pipeline, recipe, strategy
from trainer.augmentation.batches import augmentation
from trainer.settings import Recipe, Trainer

COUNTS = (30, 7, 2, 0, 1)  # of five classes
BATCH = 8


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return graphs.build(tmp_path_factory.mktemp("graph"), [records.jpeg()], image_size=16)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    """Two shards of photos whose red is their number and whose classes have the sizes of COUNTS."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), COUNTS))
    examples = [records.example(int(label), records.jpeg((6 * number, 0, 0))) for number, label in enumerate(labels)]
    folder = tmp_path_factory.mktemp("records")
    return [str(records.write(folder / f"{part}.tfrec", examples[part::2])) for part in range(2)]


def _size(files: list[str], window: int = 2048) -> input_pipeline.Size:
    size = input_pipeline.measure(files, 5)
    return size if window == 2048 else size._replace(bytes=size.records * 2**27 // window)


def _epochs(graph, files, first_epoch: int = 0, window: int = 2048, seed: int = 3) -> list[list[tuple[int, int]]]:
    """Returns the class and the number of each photo, for each of the first three epochs."""
    size = _size(files, window)
    assert size.window == window
    batches = input_pipeline.training(files, graph, 5, BATCH, seed, first_epoch, None, size, "sampling")
    drawn = []
    for pixels, classes in batches.take(5 * (3 - first_epoch)):
        numbers = np.round((pixels.numpy()[..., 0].mean(axis=(1, 2)) + 1) * 127.5 / 6).astype(int)
        drawn += list(zip(classes.numpy().argmax(axis=1).tolist(), numbers.tolist(), strict=True))
    return [drawn[start : start + 40] for start in range(0, len(drawn), 40)]


def test_examples_of_the_docstrings():
    assert doctest.testmod(balance).failed == 0


def test_weights_are_scikit_learns_and_have_the_mean_one():
    labels = np.repeat(np.arange(4), (30, 7, 2, 1))
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    weights = balance.loss_weights((30, 7, 2, 0, 1))
    assert np.allclose(weights, [*expected[:3], 0.0, expected[3]])
    assert np.isclose(weights @ COUNTS / sum(COUNTS), 1.0)


def test_the_records_of_each_class_are_counted_in_the_pass_that_measures(files):
    assert _size(files).per_class == COUNTS
    assert input_pipeline.measure(files).per_class == ()


@pytest.mark.parametrize("window", [1, 7, 2048])
def test_an_epoch_has_equal_shares_of_the_classes(graph, files, window):
    for epoch in _epochs(graph, files, window=window):
        assert Counter(label for label, _ in epoch) == {0: 10, 1: 10, 2: 10, 4: 10}  # 40 records, as without balance
        for label, count in enumerate(COUNTS):
            times = Counter(number for each, number in epoch if each == label)
            if count <= 10:  # each record of a rare class is repeated, about as often as the others
                assert len(times) == count and max(times.values(), default=0) - min(times.values(), default=0) <= 1
            else:
                assert set(times.values()) == {1}


def test_records_that_one_epoch_leaves_out_are_in_others(graph, files):
    frequent = [{number for label, number in epoch if label == 0} for epoch in _epochs(graph, files)]
    assert [len(each) for each in frequent] == [10, 10, 10]
    assert len(set.union(*frequent)) > 15


def test_a_resumed_epoch_draws_the_same_records(graph, files):
    epochs = _epochs(graph, files)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs == _epochs(graph, files)
    assert epochs[1:] == _epochs(graph, files, first_epoch=1)
    assert epochs != _epochs(graph, files, seed=4)


def test_a_mixed_photo_has_the_mean_of_the_weights_of_its_classes(graph, files):
    augment = augmentation(Trainer(augment=["mixup", "cutmix"]).augment)
    weights = balance.loss_weights(COUNTS)
    plain = input_pipeline.training(files, graph, 5, BATCH, 3, 0, augment, _size(files))
    weighted = input_pipeline.training(files, graph, 5, BATCH, 3, 0, augment, _size(files), "loss")
    assert [spec.shape for spec in weighted.element_spec] == [(BATCH, 16, 16, 3), (BATCH, 5), (BATCH,)]
    for ours, theirs in zip(plain.take(5), weighted.take(5), strict=True):
        assert np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1], theirs[1])
        assert np.allclose(theirs[2], ours[1].numpy() @ weights)


def test_the_loss_is_the_weighted_mean():
    logits = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
    logits.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    x, y = np.eye(4, 3, dtype=np.float32), np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
    weights = balance.loss_weights((3, 1))[[0, 0, 0, 1]]
    each = keras.losses.categorical_crossentropy(y, logits(x), from_logits=True).numpy()
    loss, accuracy = logits.evaluate(x, y, sample_weight=weights, verbose=0)
    assert np.isclose(loss, np.mean(weights * each))
    assert np.isclose(accuracy, np.mean(logits(x).numpy().argmax(1) == y.argmax(1)))  # of photos, not of weights


@pytest.mark.parametrize(
    ("method", "factors"), [("loss", [0.3333, 1.4286, 5, 0, 10]), ("sampling", [0.3333, 1.4286, 5, 0, 10])]
)
def test_the_record_of_a_training_says_what_was_changed(graph, files, method, factors):
    made_of = Recipe(data={"classes": list("abcde")}, trainer=Trainer(batch_size=BATCH, balance=method))
    inputs = recipe.inputs_of(FnArgs(train_files=files, eval_files=files), made_of, graph, strategy.choose())
    assert inputs.steps == 5
    assert inputs.balance == {
        "method": method,
        "classes": {
            name: {"photos": count, "factor": factor}
            for name, count, factor in zip("abcde", COUNTS, factors, strict=True)
        },
    }
    assert len(inputs.training(0).element_spec) == (3 if method == "loss" else 2)
    plain = made_of.changed({"trainer.balance": "none"})
    assert (
        recipe.inputs_of(FnArgs(train_files=files, eval_files=files), plain, graph, strategy.choose()).balance is None
    )
