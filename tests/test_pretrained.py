"""The weights files of Keras Applications, by name: what Keras itself makes of them."""

import keras
import numpy as np
import pytest
from keras import layers

from trainer import models, weights

APPLICATIONS = [
    ("xception_notop_imagenet_block14_random.h5", keras.applications.Xception, {}, 80),
    ("mobilenet_v2_0.35_224_imagenet_notop.h5", keras.applications.MobileNetV2, {"alpha": 0.35}, 104),
]


@pytest.mark.parametrize(("name", "build", "options", "count"), APPLICATIONS)
def test_keras_applications_files_give_what_keras_makes_of_them(name, build, options, count, real_data):
    path = real_data / "weights" / name
    options |= {"include_top": False, "input_shape": (96, 96, 3), "pooling": "avg"}
    expected, base = build(weights=str(path), **options), build(weights=None, **options)
    model = keras.Model(base.input, layers.Dense(5, name="logits")(base.output))
    report = weights.load(model, path, only_matching=True)
    assert len(report.loaded) == count
    assert (report.skipped, report.unused) == ({"logits": "not in the file"}, ())
    assert report.parameters_loaded == expected.count_params()
    for ours, theirs in zip(base.weights, expected.weights, strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy()), ours.path


def test_another_architecture_says_so(real_data):
    path = real_data / "weights" / "mobilenet_v2_0.35_224_imagenet_notop.h5"
    with pytest.raises(ValueError, match=r"does not fit the model: expected .*conv2d \(.*, and \d+ more; to load"):
        weights.load(models.build("convnet", (32, 32, 3), 5), path)
