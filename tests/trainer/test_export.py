"""The exported model's signatures give the trained model's answers, on real photos of many sizes."""

import base64
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image
from tensorflow.python.saved_model import loader_impl as loader

from ingest.sample import CLASSES
from testing import graphs
from tests.helpers import records
from trainer import familiarity, models, prediction_sets
from trainer.calibration import Fitted
from trainer.export import export, in_float32
from trainer.families import FAMILIES, PROBE
from trainer.models import head

TEMPERATURE = 0.5


@pytest.fixture(
    scope="module",
    params=[("range", "float32"), ("mean-deviation", "mixed_bfloat16")],
    ids=["range in float32", "mean-deviation in bfloat16"],
)
def exported(request, real_data, tmp_path_factory):
    photos = graphs.first_photos(real_data / "flowers-native" / "flowers00-200.tfrec", 12)
    folder = tmp_path_factory.mktemp("export")
    normalize, policy = request.param
    transform = graphs.build(folder / "graph", photos, normalize=normalize)
    model = _under(policy, "convnet", 48)
    pixels = transform.transform_features_layer()({"image": tf.constant(photos)[:, tf.newaxis]})["pixels"]
    probabilities = tf.nn.softmax(in_float32(model)(pixels) / TEMPERATURE).numpy()
    threshold = float(np.median(probabilities.max(axis=1)))  # between the photos, and a set of two or three classes
    fitted = Fitted(temperature=TEMPERATURE, threshold=threshold, quantile=0.5)
    export(in_float32(model), transform, CLASSES, str(folder / "model"), fitted)
    served = tf.saved_model.load(str(folder / "model"))
    served.folder = str(folder / "model")
    return model, served, photos


def test_the_same_photos_give_the_same_probabilities_on_every_way(exported):
    model, served, photos = exported
    examples = tf.constant([records.example(0, photo).SerializeToString() for photo in photos])
    by_bytes = served.signatures["serving_default"](image_bytes=tf.constant(photos))
    by_example = served.signatures["serve_examples"](examples=examples)
    pixels = served.signatures["transform_features"](examples=examples)["pixels"]
    logits = in_float32(model)(pixels).numpy()
    by_hand = tf.nn.softmax(logits / TEMPERATURE).numpy()
    assert np.ptp(by_hand, axis=0).max() > 1e-4  # the photos do differ
    assert np.abs(by_bytes["probabilities"] - by_hand).max() < 1e-5
    assert np.abs(by_example["probabilities"] - by_hand).max() < 1e-5
    assert np.array_equal(by_example["class_index"], logits.argmax(axis=1))  # the temperature changes no class


def test_serving_default_names_the_class(exported):
    _, served, photos = exported
    answer = served.signatures["serving_default"](image_bytes=tf.constant(photos[:3]))
    assert set(answer) == {"label", "class_index", "probabilities", "sure", "status"}
    assert np.allclose(tf.reduce_sum(answer["probabilities"], axis=1), 1.0)
    assert np.array_equal(answer["class_index"], np.argmax(answer["probabilities"], axis=1))
    assert [label.decode() for label in answer["label"].numpy()] == [CLASSES[i] for i in answer["class_index"]]


def test_a_photo_that_cannot_be_used_is_named_and_the_others_are_answered(exported):
    _, served, photos = exported
    png = tf.io.encode_png(tf.zeros([17, 31, 3], tf.uint8)).numpy()
    bomb = png[:16] + (20_000).to_bytes(4, "big") * 2 + png[24:]
    webp = io.BytesIO()
    Image.new("RGB", (20, 20)).save(webp, "WEBP")
    sent = [photos[0], webp.getvalue(), bomb, b"", photos[1]]
    answer = served.signatures["serving_default"](image_bytes=tf.constant(sent))
    alone = served.signatures["serving_default"](image_bytes=tf.constant(photos[:2]))
    status = [text.decode() for text in answer["status"].numpy()]
    assert status[0] == status[4] == "" and "WebP is not supported; send JPEG, PNG, GIF or BMP" in status[1]
    assert "at most 178,956,970 pixels" in status[2] and "empty" in status[3]
    assert [label.decode() == "" for label in answer["label"].numpy()] == [False, True, True, True, False]
    assert answer["class_index"].numpy()[1:4].tolist() == [-1] * 3 and not answer["probabilities"].numpy()[1:4].any()
    assert np.allclose(answer["probabilities"].numpy()[[0, 4]], alone["probabilities"], atol=1e-5)
    assert not answer["sure"].numpy()[1:4].any()
    sets = served.signatures["prediction_set"](image_bytes=tf.constant(sent))
    assert sets["size"].numpy()[1:4].tolist() == [0] * 3 and set(sets["labels"].numpy()[1:4].ravel()) == {b""}
    assert sets["status"].numpy().tolist() == answer["status"].numpy().tolist()
    examples = [records.example(0, photo).SerializeToString() for photo in sent]
    by_example = served.signatures["serve_examples"](examples=tf.constant(examples))
    assert by_example["status"].numpy().tolist() == answer["status"].numpy().tolist()
    assert np.allclose(by_example["probabilities"], answer["probabilities"], atol=1e-5)


def _damaged(photo):
    """Returns damaged copies of a JPEG: cut off at several places, without its end, and with other bytes."""
    yield from (photo[:size] for size in (3, 20, 700, len(photo) // 2, len(photo) - 500))
    yield photo[:20] + bytes(680) + photo[700:]
    yield b"\xff\xd8\xff" + b"no JPEG" * 100
    png = tf.io.encode_png(tf.zeros([17, 31, 3], tf.uint8)).numpy()
    yield from (png[:26], png[:-20], png[:40] + b"\0" * 8 + png[48:])


def test_damaged_photos_are_named_and_the_others_have_the_answers_that_they_have_alone(exported):
    _, served, photos = exported
    damaged = list(_damaged(photos[0]))
    sent = [photos[0], *damaged, photos[1], b"\0", photos[2]]
    good = [0, len(damaged) + 1, len(damaged) + 3]
    answer = served.signatures["serving_default"](image_bytes=tf.constant(sent))
    alone = [served.signatures["serving_default"](image_bytes=tf.constant([photo])) for photo in photos[:3]]
    status = [text.decode() for text in answer["status"].numpy()]
    assert [place for place, text in enumerate(status) if not text] == good
    assert all("the photo is damaged: it cannot be decoded" in text for text in status[1 : len(damaged) + 1])
    assert not np.delete(answer["probabilities"].numpy(), good, axis=0).any()
    expected = np.concatenate([each["probabilities"] for each in alone])
    assert np.allclose(answer["probabilities"].numpy()[good], expected, atol=1e-5)
    examples = [records.example(0, photo).SerializeToString() for photo in sent]
    examples[1] = b"no tf.Example"
    by_example = served.signatures["serve_examples"](examples=tf.constant(examples))
    assert by_example["status"].numpy().tolist() == answer["status"].numpy().tolist()
    pixels = served.signatures["transform_features"](examples=tf.constant(examples))
    assert pixels["status"].numpy().tolist() == answer["status"].numpy().tolist()
    assert not np.delete(pixels["pixels"].numpy(), good, axis=0).any()


def test_classify_has_the_form_of_tensorflow_serving(exported, tmp_path):
    _, served, photos = exported
    examples = [records.example(0, photo).SerializeToString() for photo in (photos[0], b"", photos[1])]
    answer = served.signatures["classify"](inputs=tf.constant(examples))
    by_bytes = served.signatures["serving_default"](image_bytes=tf.constant(photos[:2]))
    assert answer["classes"].numpy().tolist() == [[name.encode() for name in CLASSES], [b""] * 5] + [
        [name.encode() for name in CLASSES]
    ]
    assert np.allclose(answer["scores"].numpy()[[0, 2]], by_bytes["probabilities"], atol=1e-5)
    assert not answer["scores"].numpy()[1].any()
    meta = loader.parse_saved_model(served.folder).meta_graphs[0]
    methods = {name: each.method_name for name, each in meta.signature_def.items() if not name.startswith("__")}
    assert methods.pop("classify") == "tensorflow/serving/classify"
    assert set(methods.values()) == {"tensorflow/serving/predict"}


def test_half_of_the_photos_are_sure_at_the_median(exported):
    _, served, photos = exported
    answer = served.signatures["serving_default"](image_bytes=tf.constant(photos))
    assert answer["sure"].dtype == tf.bool
    assert (
        answer["sure"].numpy().tolist()
        == (
            answer["probabilities"].numpy().max(axis=1) > np.median(answer["probabilities"].numpy().max(axis=1))
        ).tolist()
    )


def test_the_prediction_sets_are_those_of_the_report(exported):
    _, served, photos = exported
    probabilities = served.signatures["serving_default"](image_bytes=tf.constant(photos))["probabilities"].numpy()
    answer = served.signatures["prediction_set"](image_bytes=tf.constant(photos))
    labels = np.zeros(len(photos), int)
    sizes, hits = prediction_sets.sizes_and_hits(probabilities, labels, 0.5)
    assert answer["size"].numpy().tolist() == sizes.tolist()
    for row, size, names, hit in zip(probabilities, sizes, answer["labels"].numpy(), hits, strict=True):
        expected = [CLASSES[index] for index in np.argsort(-row)[:size]]
        assert [name.decode() for name in names] == expected + [""] * (5 - size)
        assert (CLASSES[0] in expected) == hit
    assert 1 < sizes.mean() < 5


def test_without_settings_the_model_has_no_threshold_and_no_sets(real_data, tmp_path):
    photos = graphs.first_photos(real_data / "flowers-native" / "flowers00-200.tfrec", 1)
    transform = graphs.build(tmp_path / "graph", photos)
    export(_under("float32", "softmax", 48), transform, CLASSES, str(tmp_path / "model"))
    served = tf.saved_model.load(str(tmp_path / "model"))
    assert set(served.signatures) == {"serving_default", "serve_examples", "classify", "transform_features"}
    answer = served.signatures["serving_default"](image_bytes=tf.constant(photos))
    assert set(answer) == {"label", "class_index", "probabilities", "status"}


def test_an_empty_batch_gives_empty_outputs(real_data, tmp_path):
    """A depthwise convolution with fused batch norm fails for an empty batch."""
    photos = graphs.first_photos(real_data / "flowers-native" / "flowers00-200.tfrec", 1)
    transform = graphs.build(tmp_path / "graph", photos)
    pixels = keras.Input((48, 48, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(pixels))
    x = layers.DepthwiseConv2D(3)(layers.ReLU(6.0)(x))
    model = keras.Model(pixels, head.logits(layers.GlobalAveragePooling2D()(x), 5))
    random = np.random.default_rng(0)
    features, logits = random.normal(size=(8, 8)), random.normal(size=(8, 5)).astype(np.float32)
    fitted = Fitted(temperature=TEMPERATURE, threshold=0.5, quantile=0.5)
    export(model, transform, CLASSES, str(tmp_path / "m"), fitted, familiarity.fit(features, features, logits))
    served = tf.saved_model.load(str(tmp_path / "m"))
    full = served.signatures["serving_default"](image_bytes=tf.constant(photos))
    assert set(full) == {"label", "class_index", "probabilities", "sure", "status", "familiar"}
    examples = [records.example(0, photo).SerializeToString() for photo in photos]
    for name, signature in served.signatures.items():
        (key,) = signature.structured_input_signature[1]
        answer = signature(**{key: tf.constant(photos if key == "image_bytes" else examples)})
        empty = signature(**{key: tf.constant([], tf.string)})
        assert {each: (value.dtype, (0, *value.shape[1:])) for each, value in answer.items()} == {
            each: (value.dtype, tuple(value.shape)) for each, value in empty.items()
        }, name


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


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != PROBE])
def test_a_model_of_mixed_precision_is_served_in_float32(name):
    mixed = _under("mixed_bfloat16", name, 72)
    random = np.random.default_rng(0)
    for variable in mixed.weights:  # batch norm's begin at 0 and 1, which hides a mistake
        variable.assign(variable * random.uniform(0.8, 1.2, variable.shape))
    pixels = random.uniform(-1, 1, (2, 72, 72, 3)).astype(np.float32)
    served, built = in_float32(mixed), _under("float32", name, 72)
    built.set_weights(mixed.get_weights())
    assert "bfloat16" in {layer.compute_dtype for layer in mixed.layers}
    assert {layer.compute_dtype for layer in served.layers} == {"float32"}
    logits = built(pixels).numpy()  # the mixed model itself cannot run where oneDNN is held to AVX2
    assert np.abs(served(pixels) - logits).max() < 1e-4 * np.abs(logits).max()  # of 1e-11 for an untrained MobileNetV2


def test_no_signature_computes_in_bfloat16(exported):
    model, served, _ = exported
    pixels = tf.TensorSpec([None, 48, 48, 3])
    computed = {name: _dtypes(function) for name, function in served.signatures.items()}
    assert all(tf.float32 in dtypes and tf.bfloat16 not in dtypes for dtypes in computed.values())
    trained = _dtypes(tf.function(model).get_concrete_function(pixels))
    assert (tf.bfloat16 in trained) == (model.layers[1].compute_dtype == "bfloat16")  # it would be seen


def _under(policy: str, name: str, size: int) -> keras.Model:
    keras.config.set_dtype_policy(policy)
    try:
        return models.build(name, (size, size, 3), 5)
    finally:
        keras.config.set_dtype_policy("float32")


def _dtypes(function) -> set[tf.DType]:
    """The dtypes of all tensors of a concrete function, and of the functions that it calls."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    return {tf.as_dtype(each.type) for node in nodes for each in node.attr.values() if each.HasField("type")}
