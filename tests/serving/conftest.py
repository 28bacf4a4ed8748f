"""A small pushed model, and a server for it."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from ingest.sample import CLASSES
from tests.helpers import rivals, served
from trainer import models
from trainer.calibration import Fitted


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """The folder of an exported model of 48 px, one for all processes of pytest."""
    from testing import graphs  # Beam
    from trainer.export import export

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "served"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            transform = graphs.build(tmp_path_factory.mktemp("graph"), served.PHOTOS)
            fitted = Fitted(temperature=1.0, threshold=0.3, quantile=0.9)
            export(models.build("softmax", (48, 48, 3), 5), transform, CLASSES, str(folder), fitted)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """The folder of a model that is loaded in a moment. The label of a photo is its size in bytes."""
    import tensorflow as tf

    model = tf.Module()
    model.weights = tf.Variable([1.0, 0.0])
    encoded = tf.TensorSpec([None], tf.string, name="image_bytes")

    @tf.function(input_signature=[encoded])
    def label(image_bytes):
        sizes = tf.strings.length(image_bytes)
        probabilities = tf.fill([tf.size(image_bytes), 1], model.weights[0])
        return {
            "label": tf.strings.as_string(sizes),
            "probabilities": probabilities,
            "status": tf.fill([tf.size(sizes)], ""),
        }

    @tf.function(input_signature=[encoded])
    def pixels(image_bytes):
        return {"pixels": tf.fill([tf.size(image_bytes), 48, 48, 3], model.weights[1])}

    folder = tmp_path_factory.mktemp("tiny")
    tf.saved_model.save(model, str(folder), signatures={"serving_default": label, "pixels": pixels})
    return folder


@pytest.fixture
def push(tiny, tmp_path):
    """Returns a function that pushes a model as a version, as Pusher does, and returns the folder of the versions."""

    def copy(version: int = 1, model: Path = tiny) -> Path:
        part, whole = tmp_path / f"part-{version}", tmp_path / served.NAME / str(version)
        shutil.copytree(model, part)
        whole.parent.mkdir(exist_ok=True)
        part.rename(whole)
        return whole.parent

    return copy


@pytest.fixture(scope="session")
def pushed(exported) -> Path:
    """A folder of versions that contains version 7."""
    folder = exported.parent / f"{served.NAME}-{os.getpid()}"
    shutil.copytree(exported, folder / "7")
    return folder


@pytest.fixture(scope="package")
def client(pushed):
    """A client of a server of version 7, with small limits."""
    with served.in_thread(served.SMALL._replace(model=str(pushed))) as client:
        yield client


@pytest.fixture(scope="session")
def token_file(pushed) -> Path:
    """A file with a token."""
    file = pushed.parent / f"token-{os.getpid()}"
    file.write_text("s3cret\n")
    return file


@pytest.fixture(scope="package")
def protected(pushed, token_file):
    """A client, without a token, of a server that expects one."""
    with served.in_thread(served.SMALL._replace(model=str(pushed), token_file=token_file)) as client:
        yield client


@pytest.fixture(scope="session")
def loaded(exported):
    """The model, called directly."""
    import tensorflow as tf

    return tf.saved_model.load(str(exported))


@pytest.fixture(scope="session")
def rival(tmp_path_factory):
    """The folder of a model that differs from `tiny` for photos of odd size, and raises an error for some."""
    import tensorflow as tf

    model = tf.Module()
    model.weight = tf.Variable(0.5)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def label(image_bytes):
        sizes = tf.strings.length(image_bytes)
        is_known = tf.reduce_all(image_bytes != rivals.FAILING)
        with tf.control_dependencies([tf.debugging.Assert(is_known, ["no such photo"])]):
            labels = tf.where(sizes % 2 == 0, tf.strings.as_string(sizes), "odd")
        probabilities = tf.fill([tf.size(sizes), 1], model.weight)
        return {"label": labels, "probabilities": probabilities, "status": tf.fill([tf.size(sizes)], "")}

    folder = tmp_path_factory.mktemp("rival")
    tf.saved_model.save(model, str(folder), signatures={"serving_default": label})
    return folder


@pytest.fixture
def folder(push, rival):
    """A folder of the champion, version 1, and the challenger, version 2."""
    push(1)
    folder = push(2, rival)
    rivals.set_aliases(folder, champion=1, challenger=2)
    return folder
