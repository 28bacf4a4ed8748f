"""Weights by name: files are read as written, mismatches are reported, and no load is partial."""

import doctest
import json
import subprocess
import sys
import zipfile
from dataclasses import asdict

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from tests.conftest import ROOT
from trainer import weight_files, weights

FORMATS = [".npz", ".weights.h5"]
BATCH = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)


def small(classes: int = 5, channels: int = 3, scale: bool = True) -> keras.Model:
    """One of each kind of layer that models here are made of, a nested model, and one that holds a random seed."""
    inputs = layers.Input((32, 32, channels))
    x = layers.Conv2D(8, 3, name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_bn", scale=scale)(x)
    x = layers.Conv2D(8, 1)(layers.SeparableConv2D(8, 3, name="separable")(x))
    x = layers.Dropout(0.1)(layers.DepthwiseConv2D(3, name="depthwise")(x))
    nested = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(4, name="neck")], name="nested")
    model = keras.Model(inputs, layers.Dense(classes, name="logits")(nested(x)))
    shuffled = np.random.default_rng(len(model.weights))
    model.set_weights([shuffled.uniform(0.1, 1, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """Trained for one step, so that its optimizer and its batch norm hold something."""
    model = small()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(BATCH, np.arange(4), verbose=0)
    return model


@pytest.fixture(params=FORMATS)
def file(request, trained, tmp_path):
    path = tmp_path / f"new/model{request.param}"
    weights.save(trained, path)
    return path


def outputs(model: keras.Model) -> np.ndarray:
    return np.asarray(model(BATCH, training=False))


def test_a_round_trip_gives_the_same_outputs(trained, file):
    model = small()
    assert not np.allclose(outputs(model), outputs(trained), atol=1e-4)
    report = weights.load(model, file)
    assert np.allclose(outputs(model), outputs(trained), atol=1e-6)
    assert set(report.loaded) == {"stem", "stem_bn", "separable", "conv2d", "depthwise", "neck", "logits"}
    assert report.parameters_loaded == report.parameters == model.count_params()
    assert (
        str(report) == f"weights {file}: 7 of 7 layers loaded ({report.parameters} of {report.parameters} parameters)"
    )
    assert [left.name for left in file.parent.iterdir()] == [file.name]


def test_the_names_in_a_file(trained, tmp_path):
    weights.save(trained, tmp_path / "model.npz")
    names = set(np.load(tmp_path / "model.npz").files)
    assert {"separable/pointwise_kernel", "stem_bn/moving_mean", "neck/kernel", "conv2d/bias", "logits/bias"} < names
    assert len(names) == len(trained.weights)
    assert weight_files.read(tmp_path / "model.npz").keys() == names
    weights.save(trained, tmp_path / "model.weights.h5")
    assert weight_files.read(tmp_path / "model.weights.h5").keys() == names
    trained.save_weights(tmp_path / "keras.weights.h5")
    assert {"separable/0", "stem_bn/3", "neck/1", "conv2d/0"} < weight_files.read(tmp_path / "keras.weights.h5").keys()


def test_keras_loads_the_h5_and_it_loads_keras_own(trained, tmp_path):
    weights.save(trained, tmp_path / "ours.weights.h5")
    model = small()
    model.load_weights(tmp_path / "ours.weights.h5")
    assert np.allclose(outputs(model), outputs(trained), atol=1e-6)
    trained.load_weights(tmp_path / "ours.weights.h5")
    trained.save_weights(tmp_path / "keras.weights.h5")
    with h5py.File(tmp_path / "keras.weights.h5") as keras_own, h5py.File(tmp_path / "ours.weights.h5") as ours:
        assert set(keras_own) - set(ours) == {"optimizer"}
    model = small()
    assert not weights.load(model, tmp_path / "keras.weights.h5").unused
    assert np.allclose(outputs(model), outputs(trained), atol=1e-6)


def test_other_classes_leave_the_head_as_it_was(trained, file):
    model = small(classes=3)
    head = model.get_layer("logits").get_weights()
    report = weights.load(model, file, match="matching")
    assert report.skipped == {"logits": "kernel has shape (4, 5) in the file, (4, 3) in the model"}
    assert report.unused == ()
    assert "6 of 7 layers loaded" in str(report)
    assert str(report).endswith("skipped: logits (kernel has shape (4, 5) in the file, (4, 3) in the model)")
    for before, after in zip(head, model.get_layer("logits").get_weights(), strict=True):
        assert np.array_equal(before, after)
    assert np.array_equal(model.get_layer("stem").get_weights()[0], trained.get_layer("stem").get_weights()[0])
    assert json.loads(json.dumps(asdict(report)))["skipped"] == report.skipped


def test_other_channels_leave_the_first_layer_as_it_was(file):
    report = weights.load(small(channels=1), file, match="matching")
    assert report.skipped == {"stem": "kernel has shape (3, 3, 3, 8) in the file, (3, 3, 1, 8) in the model"}


def test_a_layer_of_other_variables_is_not_loaded_in_part(file, tmp_path):
    why = weights.load(small(scale=False), file, match="matching").skipped["stem_bn"]
    assert why == "gamma is only in the file"
    weights.save(small(scale=False), tmp_path / "no_scale.npz")
    report = weights.load(small(), tmp_path / "no_scale.npz", match="matching")
    assert report.skipped == {"stem_bn": "gamma is not in the file"}
    small().save_weights(tmp_path / "keras.weights.h5")
    report = weights.load(small(scale=False), tmp_path / "keras.weights.h5", match="matching")
    assert report.skipped == {"stem_bn": "4 variables in the file, 3 in the model"}


def test_the_whole_must_match_or_nothing_is_assigned(file):
    before = (model := small(classes=3, channels=1)).get_weights()
    with pytest.raises(
        ValueError, match=r"does not fit the model: .*stem \(kernel has .* logits \(.*weights_match=matching"
    ):
        weights.load(model, file)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_layers_on_one_side_only(tmp_path):
    inputs = layers.Input((4,))
    x = layers.Dense(4, name="shared")(inputs)
    more = keras.Model(inputs, layers.Dense(2, name="head")(layers.Dense(4, name="extra")(x)))
    less = keras.Model(inputs, layers.Dense(2, name="other_head")(x))
    weights.save(more, tmp_path / "more.npz")
    report = weights.load(less, tmp_path / "more.npz", match="matching")
    assert (report.loaded, report.unused) == (("shared",), ("extra", "head"))
    assert str(report).splitlines()[1:] == [
        "skipped: other_head (not in the file)",
        "in the file, not in the model: extra, head",
    ]
    with pytest.raises(
        ValueError, match=r"other_head \(not in the file\); in the file, not in the model: extra, head; to load"
    ):
        weights.load(less, tmp_path / "more.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    model = small()
    values = model.get_layer("stem").get_weights()
    values[0][0] = value
    model.get_layer("stem").set_weights(values)
    weights.save(model, tmp_path / "damaged.npz")
    for match in ("whole", "base", "matching"):
        with pytest.raises(ValueError, match=r"damaged\.npz contains NaN or Inf in stem; expected finite numbers"):
            weights.load(fresh := small(), tmp_path / "damaged.npz", match)
        assert all(np.isfinite(array).all() for array in fresh.get_weights())


def test_long_lists_are_cut():
    skipped = {f"layer{index}": "not in the file" for index in range(7)}
    report = weights.LoadReport("a.npz", ("b",), skipped, (), 1_500, 20_861_480)
    assert "(1,500 of 20,861,480 parameters)" in str(report)
    assert str(report).endswith("layer4 (not in the file), and 2 more")


def test_nothing_that_fits_is_an_error(tmp_path):
    np.savez(tmp_path / "foreign.npz", **{"features.0/weight": np.zeros((3, 3))})
    for match, text in (("matching", "nothing in the weights file .*fits"), ("whole", "does not fit")):
        with pytest.raises(ValueError, match=rf"{text}.*stem \(not in the file\).*not in the model: features\.0"):
            weights.load(small(), tmp_path / "foreign.npz", match)
    with pytest.raises(ValueError, match="nothing .* received in the file, not in the model: features.0"):
        weights.load(keras.Sequential([layers.Input((2,))]), tmp_path / "foreign.npz", match="matching")


def test_layers_that_keras_named_are_renumbered():
    assert doctest.testmod(weights).failed == 0
    found = ["dense_10", "dense_9", "Conv_1", "separable_conv2d_3"]
    assert list(weight_files._renumbered(found).values()) == ["dense_1", "dense", "Conv_1", "separable_conv2d"]


def test_two_layers_of_one_name_are_refused(tmp_path):
    inputs = layers.Input((4,))
    nested = [keras.Sequential([layers.Dense(4, name="twice")], name=name) for name in ("a", "b")]
    model = keras.Model(inputs, nested[1](nested[0](inputs)), name="twins")
    with pytest.raises(ValueError, match="model 'twins' have ambiguous names: two layers are named 'twice'"):
        weights.save(model, tmp_path / "model.npz")
    np.savez(tmp_path / "twice.npz", **{"a/twice/kernel": np.zeros(4), "b/twice/kernel": np.zeros(4)})
    with pytest.raises(ValueError, match="two layers are named 'twice'"):
        weight_files.read(tmp_path / "twice.npz")
    assert [left.name for left in tmp_path.iterdir()] == ["twice.npz"]


def test_damage_is_said_and_assigns_nothing(file):
    model = small()
    before = model.get_weights()
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cannot be read"):
        weights.load(model, file, match="matching")
    if file.suffix == ".npz":  # HDF5 keeps no checksums
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("stem/kernel.npy", b"\x93NUMPY, or so it says")
        with pytest.raises(ValueError, match="cannot be read"):
            weights.load(model, file, match="matching")
        place = content.index(b"\x93NUMPY") + 300
        file.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        with pytest.raises(ValueError, match="cannot be read: Bad CRC-32"):
            weights.load(model, file)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_h5_of_an_early_keras_3_has_no_names(trained, tmp_path):
    weights.save(trained, path := tmp_path / "model.weights.h5")
    with h5py.File(path, "a") as early:
        del early["layers/dense/vars"].attrs["name"]
    with pytest.raises(ValueError, match="dense/vars has no layer name; load it with Keras and save it again"):
        weight_files.read(path)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_low_precision(policy, suffix, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        first, second = small(), small()
    finally:
        keras.config.set_dtype_policy("float32")
    first.get_layer("stem").bias.assign(np.full(8, 0.3))
    weights.save(first, tmp_path / f"model{suffix}")
    assert {array.dtype.name for array in weight_files.read(tmp_path / f"model{suffix}").values()} == {"float32"}
    weights.load(second, tmp_path / f"model{suffix}")
    assert [variable.dtype for variable in first.weights] == [variable.dtype for variable in second.weights]
    assert np.array_equal(first.get_layer("stem").bias.numpy(), second.get_layer("stem").bias.numpy())


REPLICAS = """
import sys
import numpy as np
import tensorflow as tf
device = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [device, device])
from tests.trainer.test_weights import small, weight_files, weights
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = small()
report = weights.load(model, sys.argv[1])
for variable in model.weights:
    copies = variable.value.values
    expected = weight_files.read(sys.argv[1])[weight_files.key_of(variable.path)]
    assert len(copies) == 2 and all(np.array_equal(copy.numpy(), expected) for copy in copies), variable.path
weights.save(model, sys.argv[2])
"""


def test_every_replica_gets_the_weights(trained, tmp_path):
    weights.save(trained, tmp_path / "in.npz")
    arguments = [sys.executable, "-c", REPLICAS, str(tmp_path / "in.npz"), str(tmp_path / "out.weights.h5")]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    model = small()
    weights.load(model, tmp_path / "out.weights.h5")
    assert np.allclose(outputs(model), outputs(trained), atol=1e-6)
