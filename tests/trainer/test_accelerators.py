"""Requirements of a TPU and of XLA for models and training input, checked without a TPU."""

import keras
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from testing import graphs
from trainer import devices, input_pipeline, models, strategy
from trainer.augmentation.batches import augmentation
from trainer.families import FAMILIES, PROBE
from trainer.settings import Trainer

PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}  # numpy_function makes a PyFunc
SIZE, BATCH = 96, 2


def compiled_step(model: keras.Model):
    """The training step (loss, gradients, Adam) as a function of a batch, with its variables made beforehand."""
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    return tf.function(lambda pixels, classes: model.train_step((pixels, classes)), jit_compile=True)


# efficientnet_lite1 is lite0 with more blocks, and a probe has the layers of another family
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("efficientnet_lite1", PROBE)])
def test_a_training_step_of_every_model_is_lowered_by_xla(name):
    """XLA's own compiler for the CPU is left out of this: it takes 100 s for Xception, and a TPU has another."""
    step = compiled_step(models.build(name, (SIZE, SIZE, 3), 5))
    batch = tf.zeros([BATCH, SIZE, SIZE, 3]), tf.zeros([BATCH], tf.int64)
    program = step.experimental_get_compiler_ir(*batch)(stage="hlo")
    assert f"f32[{BATCH},{SIZE},{SIZE},3]" in program
    assert ("convolution(" if name not in ("softmax", "mlp", "dense") else "dot(") in program
    assert "[<=" not in program  # a bounded dynamic shape reads f32[<=2,5]
    for op in ("custom-call", "outfeed"):
        assert f"{op}(" not in program, op


def test_a_step_compiled_by_xla_gives_the_loss_of_one_that_is_not():
    model = models.build("convnet", (32, 32, 3), 5)
    weights = model.get_weights()
    pixels = tf.random.stateless_uniform([BATCH, 32, 32, 3], seed=(1, 2), minval=-1.0, maxval=1.0)
    losses = []
    for jit_compile in (True, False):
        model.set_weights(weights)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=jit_compile)
        losses.append([float(model.train_on_batch(pixels, tf.constant([0, 3]))) for _ in range(2)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_what_xla_cannot_compile_is_seen():
    inputs = keras.Input((4,), batch_size=BATCH)
    outputs = keras.layers.Lambda(lambda x: tf.numpy_function(lambda y: y, [x], tf.float32), output_shape=(4,))(inputs)
    step = tf.function(keras.Model(inputs, outputs), jit_compile=True)
    with pytest.raises((tf.errors.OpError, ValueError), match="PyFunc"):
        step.experimental_get_compiler_ir(tf.zeros([BATCH, 4]))(stage="hlo")


def operations(dataset: tf.data.Dataset) -> set[str]:
    """The names of all operations of a dataset, those in the functions it maps among them."""
    graph = graph_pb2.GraphDef.FromString(dataset._as_serialized_graph().numpy())
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return {node.op for node in nodes}


def test_no_python_runs_in_the_training_input(tmp_path):
    photo = tf.io.encode_jpeg(tf.zeros([40, 40, 3], tf.uint8)).numpy()
    transform = graphs.build(tmp_path / "graph", [photo])
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo])),
        "class": tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
    }
    record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    with tf.io.TFRecordWriter(str(tmp_path / "photos-4.tfrec")) as writer:
        for _ in range(4):
            writer.write(record)
    augment = augmentation(Trainer(augment=["flip", "saturation", "mixup"]).augment)
    files, size = [str(tmp_path / "*.tfrec")], input_pipeline.Size(BATCH, 0, (BATCH, 0, 0, 0, 0))
    sampled = input_pipeline.training(files, transform, 5, BATCH, augment=augment, size=size, balanced="sampling")
    assert "ScanDataset" in operations(sampled)
    assert not operations(sampled) & PYTHON_OPS
    dataset = input_pipeline.training(files, transform, 5, BATCH, augment=augment)
    found = operations(dataset)
    assert {"ParallelMapDatasetV2", "DecodeImage", "StatelessRandomGammaV3"} <= found
    assert not found & PYTHON_OPS
    pixels, classes = next(iter(dataset))
    assert (pixels.shape, classes.shape) == ((BATCH, 48, 48, 3), (BATCH, 5))
    assert dataset.element_spec[0].shape[0] == BATCH


@pytest.mark.parametrize("wrap", [tf.py_function, tf.numpy_function])
def test_python_in_an_input_would_be_found(wrap):
    assert operations(tf.data.Dataset.range(4).map(lambda x: wrap(lambda y: y, [x], tf.int64))) & PYTHON_OPS


@pytest.mark.parametrize("kind", ["GPU", "TPU"])
def test_a_machine_that_is_paid_for_its_devices_does_not_train_on_its_cpu(kind):
    strategy.check_kind(tf.distribute.get_strategy(), None)
    strategy.check_kind(tf.distribute.get_strategy(), "CPU")
    with pytest.raises(devices.Unusable, match=f"to train on a {kind}, .* received 1 × CPU; check that the image"):
        strategy.check_kind(tf.distribute.get_strategy(), kind)
