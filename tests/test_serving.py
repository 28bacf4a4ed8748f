"""What is trained is what is served: the three signatures, on real photos of many sizes."""

import base64

import numpy as np
import pytest
import tensorflow as tf

from datasets.sample import CLASSES
from tests import graphs, records
from trainer import models
from trainer.export import export


@pytest.fixture(scope="module", params=["range", "mean-deviation"])
def exported(request, real_data, tmp_path_factory):
    photos = graphs.photos_of(real_data / "flowers-native" / "flowers00-200.tfrec", 12)
    folder = tmp_path_factory.mktemp("export")
    transform = graphs.build(folder / "graph", photos, normalize=request.param)
    model = models.build("convnet", (48, 48, 3), 5)
    export(model, transform, CLASSES, str(folder / "model"))
    return model, tf.saved_model.load(str(folder / "model")), photos


def test_the_same_photos_give_the_same_probabilities_on_every_way(exported):
    model, served, photos = exported
    examples = tf.constant([records.example(0, photo).SerializeToString() for photo in photos])
    by_bytes = served.signatures["serving_default"](image_bytes=tf.constant(photos))
    by_example = served.signatures["serve_examples"](examples=examples)
    pixels = served.signatures["transform_features"](examples=examples)["pixels"]
    by_hand = tf.nn.softmax(model(pixels)).numpy()
    assert np.ptp(by_hand, axis=0).max() > 1e-4  # the photos do differ
    assert np.abs(by_bytes["probabilities"] - by_hand).max() < 1e-5
    assert np.abs(by_example["probabilities"] - by_hand).max() < 1e-5


def test_serving_default_names_the_class(exported):
    _, served, photos = exported
    answer = served.signatures["serving_default"](image_bytes=tf.constant(photos[:3]))
    assert set(answer) == {"label", "class_index", "probabilities"}
    assert np.allclose(tf.reduce_sum(answer["probabilities"], axis=1), 1.0)
    assert np.array_equal(answer["class_index"], np.argmax(answer["probabilities"], axis=1))
    assert [label.decode() for label in answer["label"].numpy()] == [CLASSES[i] for i in answer["class_index"]]


def test_the_input_is_named_for_rests_base64(exported):
    _, served, photos = exported
    _, arguments = served.signatures["serving_default"].structured_input_signature
    assert list(arguments) == ["image_bytes"]
    sent = {"b64": base64.b64encode(photos[0]).decode()}  # REST decodes this for names that end in _bytes
    answer = served.signatures["serving_default"](image_bytes=tf.constant([base64.b64decode(sent["b64"])]))
    assert answer["probabilities"].shape == (1, 5)


def test_examples_need_no_label(exported):
    _, served, photos = exported
    only_image = records.example(0, photos[0])
    for key in ("class", "label", "size", "one_hot_class"):
        del only_image.features.feature[key]
    answer = served.signatures["serve_examples"](examples=tf.constant([only_image.SerializeToString()]))
    assert answer["probabilities"].shape == (1, 5)
