"""The Examples that are built without TensorFlow have the bytes of TensorFlow's."""

import tensorflow as tf

from ingest.example_proto import Example
from ingest.examples import make_example


def test_tensorflow_reads_the_same_features():
    ours = make_example(b"\xff\xd8", 1, ["cat", "dög"], (3, 4))
    data = ours.SerializeToString(deterministic=True)
    parsed = tf.train.Example.FromString(data)
    features = parsed.features.feature
    assert features["image"].bytes_list.value == [b"\xff\xd8"]
    assert features["class"].int64_list.value == [1]
    assert features["label"].bytes_list.value == ["dög".encode()]
    assert features["size"].int64_list.value == [3, 4]
    assert features["one_hot_class"].float_list.value == [0, 1]
    assert parsed.SerializeToString(deterministic=True) == data


def test_reads_the_features_of_tensorflow():
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[-1, 2**40]))
    theirs = tf.train.Example(features=tf.train.Features(feature={"numbers": feature}))
    ours = Example.FromString(theirs.SerializeToString())
    assert ours.features.feature["numbers"].WhichOneof("kind") == "int64_list"
    assert list(ours.features.feature["numbers"].int64_list.value) == [-1, 2**40]
