"""Weights in a Python package: PyTorch's legacy format, its names and axes, and what a damaged file says."""

import pickle
import sys
import types
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from errors import UserError
from pipeline import settings
from pipeline.cluster import cluster_settings
from pipeline.local import local_settings
from tests.conftest import ROOT
from tests.helpers import records
from tests.pipeline.cluster.test_cluster_settings import SOUND
from trainer import images, models, packaged_weights, torch_file, trunks
from trainer.families import FAMILIES, Packaged
from trainer.settings import Model, Trunk

LITE = ["efficientnet_lite0", "efficientnet_lite1"]
DAISY = 985  # of ImageNet's classes
MAGIC = 0x1950A86A20F9469CFC6C


def _named(module: str, name: str) -> type:
    return type(name, (), {"__module__": module, "__qualname__": name})


class _Storage:
    def __init__(self, key):
        self.key = key


class _Tensor:
    """A tensor that is pickled as PyTorch does, as a view of an array."""

    def __init__(self, key, offset, shape, strides, function):
        self.state = (_Storage(key), offset, shape, strides, False, OrderedDict())
        self.function = function

    def __reduce__(self):
        return self.function, self.state


@pytest.fixture
def torch(monkeypatch):
    """Modules with the names of PyTorch's globals, only to write files."""
    main, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    main.FloatStorage, main.LongStorage = _named("torch", "FloatStorage"), _named("torch", "LongStorage")

    def _rebuild_tensor_v2(*state):
        raise AssertionError

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", main)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return types.SimpleNamespace(main=main, rebuild=_rebuild_tensor_v2)


def _write(path: Path, torch, tensors: dict, storages: dict[str, np.ndarray]) -> Path:
    kinds = {"float32": torch.main.FloatStorage, "int64": torch.main.LongStorage}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, _Storage):
                return None
            array = storages[value.key]
            return "storage", kinds[array.dtype.name], value.key, "cpu", len(array), None

    with path.open("wb") as file:
        for value in (MAGIC, 1001, {"little_endian": True}):
            pickle.dump(value, file, 2)
        Pickler(file, 2).dump(
            OrderedDict((name, _Tensor(*state, function=torch.rebuild)) for name, state in tensors.items())
        )
        pickle.dump(list(storages), file, 2)
        for array in storages.values():
            file.write(np.int64(len(array)).tobytes() + array.tobytes())
    return path


def test_views_with_any_strides(tmp_path, torch):
    kernel = np.arange(24, dtype=np.float32)  # stored as [2, 3, 4], seen as [4, 3, 2]
    tensors = {"turned": ("a", 0, (4, 3, 2), (1, 4, 12)), "tail": ("a", 20, (4,), (1,)), "steps": ("b", 0, (), ())}
    file = _write(tmp_path / "a.pth", torch, tensors, {"a": kernel, "b": np.array([7])})
    read = torch_file.read(file)
    assert np.array_equal(read["turned"], kernel.reshape(2, 3, 4).transpose(2, 1, 0))
    assert read["tail"].tolist() == [20, 21, 22, 23]
    assert (read["steps"].item(), read["steps"].dtype) == (7, np.int64)


def test_files_that_cannot_be_read(tmp_path, torch):
    array = {"a": np.zeros(4, np.float32)}
    whole = _write(tmp_path / "a.pth", torch, {"x": ("a", 0, (4,), (1,))}, array).read_bytes()
    outside = _write(tmp_path / "b.pth", torch, {"x": ("a", 1, (4,), (1,))}, array)
    evil = tmp_path / "c.pth"
    evil.write_bytes(pickle.dumps(MAGIC, 2) + pickle.dumps(print, 2))
    for content, says in {
        whole[:-1]: "buffer",
        whole[:40]: "",
        b"text": "",
        outside.read_bytes(): r"shape \(4,\) is outside its storage of 4 elements",
        evil.read_bytes(): "expected only collections.OrderedDict, .*, received __builtin__.print",
    }.items():
        path = tmp_path / "damaged.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"cannot be read as a file of torch.save: .*{says}"):
            torch_file.read(path)


@pytest.mark.parametrize("name", LITE)
def test_all_weights_are_loaded_and_daisies_are_recognised(name, real_data):
    model = models.build(name, (224, 224, 3), 1000)
    report = packaged_weights.load(model, Model(name=name, weights="imagenet", weights_match="whole"))
    assert (report.skipped, report.unused, report.parameters_loaded) == ({}, (), model.count_params())
    photos = [
        images.to_range(images.resize(images.decode(tf.constant(image)), 224, "fill-crop"))
        for record in tf.data.TFRecordDataset(str(real_data / "flowers-192" / "flowers00-230.tfrec"))
        for features in [tf.train.Example.FromString(record.numpy()).features.feature]
        for image in features["image"].bytes_list.value
        if features["class"].int64_list.value[0] == 0
    ]
    assert len(photos) == 30
    predicted = np.argmax(model.predict(tf.stack(photos), verbose=0), axis=1)
    assert np.mean(predicted == DAISY) > 0.7


def test_the_package_must_be_installed_and_have_the_expected_file(monkeypatch):
    with pytest.raises(UserError, match="in the Python package no-such-package, which is not installed; install it"):
        packaged_weights.read(Packaged("no_such_package/a.pth", "0", "trainer.packaged_weights.efficientnet_lite"))
    row = FAMILIES[LITE[0]].imagenet
    for other in (row._replace(sha256="0" * 64), row._replace(file="numpy/a.pth")):
        with pytest.raises(UserError, match="is not the expected file of weights: expected sha256:.* received .*again"):
            packaged_weights.read(other)
    missing = Packaged("no_such_package/a.pth", "0", row.convert)
    monkeypatch.setitem(FAMILIES, LITE[0], FAMILIES[LITE[0]]._replace(imagenet=missing))
    with pytest.raises(UserError, match=r"is not installed; .*, or give a file \(embeddings.trunks: weights\)"):
        trunks.features((32, 32, 3), [Trunk(name=LITE[0])])


def test_settings_keep_the_name_here_and_on_a_cluster(tmp_path):
    changes = {"model.name": LITE[0], "model.weights": "imagenet", "data.image_size": 32, "trainer.frozen_epochs": 1}
    here = {"data.directory": str(records.folder(tmp_path / "data")), "trainer.batch_size": 4}
    resolved = local_settings.resolve(settings.load(changes=changes | here | {"output": str(tmp_path / "out")}))
    assert (resolved.model.weights, resolved.model.weights_sha256) == ("imagenet", None)
    config = cluster_settings.resolve(settings.load(changes=SOUND | changes), "vertex", ROOT, False, submitted=True)
    assert config.model.weights == "imagenet"
    assert not cluster_settings.needs_local_files(config)


def test_only_the_layers_before_the_last_are_loaded_for_other_classes():
    model = models.build(LITE[0], (32, 32, 3), 5)
    report = packaged_weights.load(model, Model(name=LITE[0], weights="imagenet"))
    assert (report.skipped, report.unused) == ({}, ())
    assert report.file == FAMILIES[LITE[0]].imagenet.file
    assert find_spec(report.file.partition("/")[0])
