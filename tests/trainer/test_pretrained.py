"""Weights files of Keras Applications give the same outputs as in Keras."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import models, weight_files, weights
from trainer.families import FAMILIES, PROBE

APPLICATIONS = [
    ("xception", "xception_notop_imagenet_block14_random.h5", keras.applications.Xception, {}, 80),
    ("mobilenet_v2", "mobilenet_v2_0.35_224_imagenet_notop.h5", keras.applications.MobileNetV2, {"alpha": 0.35}, 104),
]
SHAPE = (96, 96, 3)


def _old_names(source, target):
    """Copies a file with the names of Keras 1 for some layers, as in the official Xception file."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        names = [f"old_{at}" if at % 3 else str(name) for at, name in enumerate(old.attrs["layer_names"])]
        new.attrs["layer_names"] = names
        for layer, name in zip(old.attrs["layer_names"], names, strict=True):
            group, weight_names = new.create_group(name), old[layer].attrs["weight_names"]
            group.attrs["weight_names"] = [f"{name}_W_{index}" for index, _ in enumerate(weight_names)]
            for index, weight in enumerate(weight_names):
                group[f"{name}_W_{index}"] = old[layer][weight][()]
    return target


@pytest.mark.parametrize("by", ["name", "order"])
@pytest.mark.parametrize(("name", "file", "build", "options", "count"), APPLICATIONS)
def test_keras_applications_files_give_what_keras_makes_of_them(
    name, file, build, options, count, by, real_data, tmp_path
):
    path = real_data / "weights" / file
    expected = build(weights=str(path), include_top=False, input_shape=SHAPE, pooling="avg", **options)
    model = models.build(name, SHAPE, 5, **options)
    head = model.layers[-1].get_weights()[0]
    report = weights.load(model, path if by == "name" else _old_names(path, tmp_path / "old.h5"), match="base")
    assert (len(report.loaded), report.skipped, report.unused) == (count, {}, ())
    assert report.parameters_loaded == expected.count_params()
    for ours, theirs in zip(model.weights, expected.weights, strict=False):
        assert np.array_equal(ours.numpy(), theirs.numpy()), ours.path
    assert np.array_equal(model.layers[-1].get_weights()[0], head)


def test_the_oldest_names_in_a_bucket_are_loaded_by_order_too(real_data, tmp_path):
    name, file, _, options, count = APPLICATIONS[1]
    old, there = _old_names(real_data / "weights" / file, tmp_path / "old.h5"), "ram://pretrained/old.h5"
    tf.io.gfile.copy(str(old), there, overwrite=True)
    model = models.build(name, SHAPE, 5, **options)
    assert len(weights.load(model, there, match="base").loaded) == count
    kernel = weight_files.read(real_data / "weights" / file)["block_3_expand/kernel"]
    assert np.array_equal(model.get_layer("block_3_expand").kernel, kernel)


def test_only_what_matches_of_another_width(real_data):
    path = real_data / "weights" / "mobilenet_v2_0.35_224_imagenet_notop.h5"
    model = models.build("mobilenet_v2", SHAPE, 5, alpha=0.5)
    with pytest.raises(ValueError, match="does not fit the model.*--set model.weights_match=matching"):
        weights.load(model, path, match="base")
    report = weights.load(model, path, match="matching")
    assert report.loaded and report.skipped
    assert "in the model" in str(report)


def test_another_architecture_says_so(real_data):
    path = real_data / "weights" / "mobilenet_v2_0.35_224_imagenet_notop.h5"
    with pytest.raises(ValueError, match=r"does not fit the model: expected .*conv2d \(.*, and \d+ more; to load"):
        weights.load(models.build("convnet", (32, 32, 3), 5), path)


@pytest.mark.parametrize("suffix", [".npz", ".weights.h5"])
# efficientnet_lite1 is lite0 with more blocks, and a probe has the layers of another family
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("efficientnet_lite1", PROBE)])
def test_every_model_makes_the_round_trip(name, suffix, tmp_path):
    first, second = (models.build(name, (71, 71, 3), 5) for _ in range(2))
    weights.save(first, tmp_path / f"model{suffix}")
    assert weights.load(second, tmp_path / f"model{suffix}").parameters_loaded == first.count_params()
    for ours, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_the_weights_of_a_keras_file(tmp_path):
    saved, model = (models.build("cnn", (16, 16, 3), 5) for _ in range(2))
    saved.save(tmp_path / "model.keras")
    report = weights.load(model, tmp_path / "model.keras")
    assert (report.skipped, report.unused) == ({}, ())
    assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), saved.get_weights(), strict=True))
    content = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="half.keras cannot be read: "):
        weight_files.read(tmp_path / "half.keras")
