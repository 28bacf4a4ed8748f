"""A linear layer on embeddings: worked examples, agreement with scikit-learn, and the model that is exported."""

import re

import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from ingest.sample import CLASSES
from testing import graphs
from tests.helpers import records
from trainer import embeddings, familiarity, input_pipeline, models, probe, trunks, weights
from trainer.embeddings import Embeddings
from trainer.export import export, in_float32
from trainer.settings import Recipe, Trunk

LITE = Trunk(name="efficientnet_lite0")
SIZE = 48


def clouds(count: int, classes: int = 3, seed: int = 0, distance: float = 3.0) -> Embeddings:
    """Returns features around one centre for each class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = random.normal(size=(count, 8)) + distance * np.eye(8)[labels]
    digests = random.integers(0, 255, (count, 8), np.uint8)
    return Embeddings(digests, labels, features.astype(np.float16))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_layer_is_that_of_scikit_learn(classes):
    rows = clouds(90, classes, distance=1.0)
    features = rows.features.astype(np.float32)
    scale = 1 / np.sqrt((features**2).mean())
    theirs = LogisticRegression(C=0.1, tol=1e-9, max_iter=1000).fit(features * scale, rows.labels)  # the optimum
    head = probe.fit_head(rows.features, rows.labels, classes, 0.1)
    ours = probe.softmax(head.logits(rows.features), axis=1)
    assert np.abs(ours - theirs.predict_proba(features * scale)).max() < 5e-3


def test_balanced_classes_have_the_same_weight():
    rows = clouds(300, distance=0.5)
    few = (rows.labels == 0) & (np.arange(300) > 30)
    uneven = Embeddings(*(column[~few] for column in rows))
    plain, balanced = (probe.fit(uneven, 3, balanced=each).head.logits(rows.features) for each in (False, True))
    share = [np.mean(logits.argmax(1) == 0) for logits in (plain, balanced)]
    assert share[0] < 0.1 < share[1]


def test_a_class_without_rows_is_never_predicted():
    rows = clouds(60, 3)
    head = probe.fit_head(rows.features, rows.labels, 5, 0.1)
    assert head.kernel.shape == (8, 5)
    assert probe.softmax(head.logits(rows.features), axis=1)[:, 3:].max() < 1e-6
    one = probe.fit_head(rows.features, np.full(60, 2), 3, 0.1)
    assert set(one.logits(rows.features).argmax(1)) == {2}


def test_the_folds_divide_each_class():
    labels = np.repeat([0, 1, 2], [10, 25, 5])
    fold = probe.folds(labels, 5, seed=0)
    for label, count in ((0, 2), (1, 5), (2, 1)):
        assert np.bincount(fold[labels == label], minlength=5).tolist() == [count] * 5
    assert not np.array_equal(fold, probe.folds(labels, 5, seed=1))
    assert np.array_equal(fold, probe.folds(labels, 5, seed=0))


def test_probabilities_out_of_fold_come_from_a_layer_that_has_not_seen_the_row():
    rows = clouds(100)
    wrong = rows.labels.copy()
    wrong[7] = (wrong[7] + 1) % 3
    probabilities = probe.out_of_fold(rows.features, wrong, 3)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert probabilities[7].argmax() == rows.labels[7]
    fitted = probe.fit_head(rows.features, wrong, 3, 0.1)
    assert probabilities[7, wrong[7]] < probe.softmax(fitted.logits(rows.features), axis=1)[7, wrong[7]]


def test_the_strength_has_the_lowest_loss_in_cross_validation():
    fitted = probe.fit(clouds(200, distance=0.5), 3)
    assert fitted.losses[fitted.strength] == min(fitted.losses.values())
    assert fitted.strength < 1  # noise needs a penalty
    few = probe.fit(Embeddings(*(column[:4] for column in clouds(4))), 3)
    assert few.losses == {}  # a class with one photo cannot be divided


def test_copies_of_all_rows_do_not_change_the_layer():
    rows = clouds(60)
    twice = Embeddings(*(np.concatenate([column, column]) for column in rows))
    once, copied = probe.fit(rows, 3), probe.fit(rows, 3, more=twice)
    assert np.abs(once.head.kernel - copied.head.kernel).max() < 1e-3


def test_the_order_of_the_rows_does_not_matter():
    rows = clouds(60)
    order = np.random.default_rng(1).permutation(60)
    first = probe.fit_head(rows.features, rows.labels, 3, 0.1)
    second = probe.fit_head(rows.features[order], rows.labels[order], 3, 0.1)
    assert np.abs(first.kernel - second.kernel).max() < 1e-3


@pytest.fixture(scope="module")
def lite() -> trunks.Features:
    return trunks.with_lite(trunks.to_lite((LITE,), SIZE))


def test_lite_and_keras_give_the_same_features(lite):
    pixels = np.random.default_rng(0).uniform(-1, 1, (5, SIZE, SIZE, 3)).astype(np.float32)
    expected = trunks.features((SIZE, SIZE, 3), (LITE,))(pixels, training=False).numpy()
    assert lite(pixels).shape == (5, 1280)
    assert np.abs(lite(pixels) - expected).max() < 1e-4
    assert np.array_equal(lite(pixels)[3:], lite(pixels[3:]))  # the padding of a small batch changes nothing


def test_the_exported_probe_is_the_layer_on_the_features(lite, real_data, tmp_path):
    photos = graphs.first_photos(real_data / "flowers-native" / "flowers00-200.tfrec", 8)
    transform = graphs.build(tmp_path / "graph", photos, image_size=SIZE)
    recipe = Recipe.model_validate(
        {"data": {"image_size": SIZE}, "model": {"name": "probe"}, "embeddings": {"trunks": ["efficientnet_lite0"]}}
    )
    model = models.of_recipe(recipe)
    file = records.write(tmp_path / "data-00000-of-00001", [records.example(i % 5, p) for i, p in enumerate(photos)])
    (_, pixels, labels), *_ = input_pipeline.with_records(str(file), transform, 8)
    features = lite(pixels.numpy())
    head = probe.fit_head(features, labels.numpy(), 5, 0.1)
    probe.assign(model, head)
    known = familiarity.fit(features[:4], features, head.logits(features))
    export(in_float32(model), transform, CLASSES, str(tmp_path / "model"), familiar=known)
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    answer = signatures["serving_default"](image_bytes=tf.constant([*photos, b"no photo"]))
    familiar = familiarity.familiar(known, features, head.logits(features)).numpy()
    assert np.ptp(familiar) > 0.5
    assert np.abs(answer["familiar"].numpy() - [*familiar, 0]).max() <= 1 / 8  # rounding may exchange two photos
    serialized = [records.example(0, photo).SerializeToString() for photo in photos]
    by_example = signatures["serve_examples"](examples=tf.constant(serialized))
    assert np.array_equal(by_example["familiar"], answer["familiar"][:-1])
    answer = {"probabilities": answer["probabilities"][:-1]}
    expected = probe.softmax(head.logits(features), axis=1)
    assert np.ptp(expected, axis=0).max() > 0.1
    assert np.abs(answer["probabilities"].numpy() - expected).max() < 1e-5


def test_the_weights_of_a_probe_start_a_fine_tuning(tmp_path):
    recipe = {"data": {"image_size": SIZE}, "embeddings": {"trunks": ["efficientnet_lite0"]}}
    fitted = models.of_recipe(Recipe.model_validate(recipe | {"model": {"name": "probe"}}))
    weights.save(fitted, tmp_path / "probe.weights.h5")
    model = models.build("efficientnet_lite0", (SIZE, SIZE, 3), 5)
    assert weights.load(model, tmp_path / "probe.weights.h5").skipped == {}
    assert np.array_equal(model.get_layer("logits").get_weights()[0], fitted.get_layer("logits").get_weights()[0])


def test_several_trunks_are_concatenated_and_saved(tmp_path):
    trunk = {"name": "efficientnet_lite0", "layer": "block0_project_bn"}
    recipe = {"data": {"image_size": SIZE}, "model": {"name": "probe"}}
    recipe |= {"embeddings": {"trunks": ["efficientnet_lite0", trunk]}}
    model = models.of_recipe(Recipe.model_validate(recipe))
    assert model.get_layer("logits").kernel.shape == (1280 + 16, 5)
    assert [layer.name for layer in model.layers if layer.trainable] == ["logits"]
    weights.save(model, tmp_path / "model.weights.h5")
    assert weights.load(model, tmp_path / "model.weights.h5").parameters_loaded == model.count_params()


def test_a_layer_that_does_not_exist():
    with pytest.raises(ValueError, match="lite0 has no such layer; did you mean 'block1_expand'") as raised:
        trunks.features((SIZE, SIZE, 3), (Trunk(name="efficientnet_lite0", layer="block1_expan"),))
    listed, more = re.search(r"one of \d+ names, such as (.*), and (\d+) more$", str(raised.value)).groups()
    assert len(listed.split(", ")) == 5 and int(more) > 100


def test_a_layer_with_two_inputs_is_refused_and_names_do_not_depend_on_earlier_models():
    with pytest.raises(ValueError, match="no such layer"):
        trunks.features((SIZE, SIZE, 3), (Trunk(name="efficientnet_lite0", layer="block2_add"),))
    names = [[layer.name for layer in models.build("efficientnet_lite0", (SIZE, SIZE, 3), 2).layers] for _ in range(2)]
    assert names[0][1:] == names[1][1:]  # the first is the input


def test_a_table_is_read_as_it_was_written(tmp_path):
    first, second, flipped = clouds(3), clouds(2, seed=1), clouds(5, seed=2)
    embeddings.write({"original": [first, second], "flip": [flipped]}, str(tmp_path), "train", "00000-of-00002")
    embeddings.write({"original": []}, str(tmp_path), "train", "00001-of-00002")
    photos, rows = embeddings.read(str(tmp_path), "train"), embeddings.read(str(tmp_path), "train", views=True)
    assert np.array_equal(photos.features, np.concatenate([first.features, second.features]))
    assert photos.features.dtype == np.float16
    assert rows.labels.tolist() == [*first.labels, *second.labels, *flipped.labels]
    assert len(embeddings.read(str(tmp_path), "test").labels) == 0
