"""A training on Kubeflow resumes from the bucket: each attempt has an empty folder, as a new pod has."""

import logging

import numpy as np
import pytest

from storage import mirror as mirrors
from storage import s3
from storage.mirror import Mirror
from tests.helpers import cloud_storage
from tests.helpers.minio import BUCKET
from tests.trainer.test_fitting import STEPS, Cut, PowerCut, _fit, _settings
from trainer.checkpoints import Checkpoints


@pytest.fixture(params=["s3", "minio", "gs"])
def uri(request, tmp_path, monkeypatch):
    """The URI of an empty folder in a bucket: a real MinIO, or TensorFlow's file system with an emulator."""
    if request.param != "gs":
        request.getfixturevalue("minio")
        yield f"{request.param}://{BUCKET}/root/checkpoints"
        return
    with cloud_storage.serving(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield f"gs://{cloud_storage.BUCKET}/root/checkpoints"


def _fit_in_pod(folder, uri, seed=1, **options):
    """Trains in an empty folder whose copy is in the bucket."""
    (folder / "checkpoints").mkdir(parents=True)
    return _fit(folder, _settings(), seed=seed, mirror=Mirror(str(folder / "checkpoints"), uri), **options)


def test_a_training_that_is_killed_in_epoch_3_resumes_in_an_empty_container(tmp_path, monkeypatch, uri):
    whole, unbroken = _fit(tmp_path / "whole", _settings())
    with monkeypatch.context() as patch:
        given, cut = Checkpoints.callbacks, Cut(STEPS * 2 + 3)
        patch.setattr(Checkpoints, "callbacks", lambda self, ema: [*given(self, ema), cut])
        with pytest.raises(PowerCut):
            _fit_in_pod(tmp_path / "first", uri)
    assert Checkpoints(str(tmp_path / "first" / "checkpoints")).finished == 2
    resumed, checkpoints = _fit_in_pod(tmp_path / "second", uri, seed=2)
    assert checkpoints.finished == unbroken.finished == 4
    for name in ("loss", "val_loss", "learning_rate", "val_accuracy"):
        assert checkpoints.history[name] == pytest.approx(unbroken.history[name], abs=1e-4)
    for ours, theirs in zip(resumed.variables, whole.variables, strict=True):
        assert np.allclose(ours, theirs, atol=1e-4), ours.path
    local = tmp_path / "second" / "checkpoints"
    names = sorted(path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file())
    assert sorted(mirrors._names(uri)) == names
    events = [name for name in names if name.startswith("logs/train/events")]
    assert len(events) == 2  # TensorBoard's logs of both attempts


def test_state_json_is_stored_after_what_it_names(minio, tmp_path, monkeypatch):
    uri, stored = f"s3://{BUCKET}/copy", []
    copy = Mirror(str(tmp_path / "folder"), uri)
    (tmp_path / "folder" / "z").mkdir(parents=True)
    for name in ("a", "state.json", "z/data"):
        (tmp_path / "folder" / name).write_text(name)
    upload = s3.upload
    monkeypatch.setattr(s3, "upload", lambda path, to: (upload(path, to), stored.append(to.removeprefix(f"{uri}/"))))
    copy.save(last="state.json")
    assert stored == ["a", "z/data", "state.json"]
    copy.save(last="state.json")
    assert len(stored) == 3  # nothing changed
    (tmp_path / "folder" / "a").unlink()
    (tmp_path / "folder" / "state.json").write_text("newer")
    copy.save(last="state.json")
    assert stored[3:] == ["state.json"]
    other = Mirror(str(tmp_path / "other"), uri)
    other.fetch()
    assert {path.name for path in (tmp_path / "other").rglob("*")} == {"z", "data", "state.json"}
    other.save(last="state.json")
    assert len(stored) == 4  # what was fetched is not copied again


def test_a_copy_that_fails_does_not_stop_the_training(minio, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3._client.cache_clear()
    copy = Mirror(str(tmp_path), f"s3://{BUCKET}/copy")
    checkpoints = Checkpoints(str(tmp_path), mirror=copy)
    s3._client().meta.events.register("before-send.s3", _refuse)
    with caplog.at_level(logging.WARNING):
        checkpoints.commit(0, {"loss": 1.0})
    assert f"cannot copy the checkpoints to s3://{BUCKET}/copy: " in caplog.text
    s3._client().meta.events.unregister("before-send.s3", _refuse)
    checkpoints.commit(1, {"loss": 0.5})
    assert b'"finished": 2' in s3.read(f"s3://{BUCKET}/copy/state.json")


def _refuse(**_):
    raise OSError("the network is down")


def test_the_last_good_weights_are_in_the_bucket(minio, tmp_path):
    checkpoints = Checkpoints(str(tmp_path), mirror=Mirror(str(tmp_path), f"s3://{BUCKET}/copy"))
    (tmp_path / "last-good.weights.h5").write_bytes(b"weights")
    assert checkpoints.keep("last-good.weights.h5") == f"s3://{BUCKET}/copy/last-good.weights.h5"
    assert s3.read(f"s3://{BUCKET}/copy/last-good.weights.h5") == b"weights"
    assert Checkpoints(str(tmp_path)).keep("x") == f"{tmp_path}/x"
