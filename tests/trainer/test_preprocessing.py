import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from testing import graphs
from tests.helpers import records
from trainer import input_pipeline
from trainer.augmentation.batches import augmentation
from trainer.settings import Trainer


@pytest.fixture(scope="module")
def photos(real_data) -> list[bytes]:
    return graphs.first_photos(real_data / "flowers-native" / "flowers01-200.tfrec", 24)


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> tft.TFTransformOutput:
    """The graph of the default settings, which has nothing to count in the photos."""
    return graphs.build(tmp_path_factory.mktemp("graph"), [records.jpeg()])


def _pixels(transform, photos) -> np.ndarray:
    layer = transform.transform_features_layer()
    return layer({"image": tf.constant(photos)[:, tf.newaxis]})["pixels"].numpy()


def test_range_is_minus_one_to_one(graph):
    black, white = records.jpeg((0, 0, 0)), records.jpeg((255, 255, 255))
    assert np.allclose(_pixels(graph, [black, white]), np.array([-1.0, 1.0])[:, None, None, None], atol=0.02)


def test_mean_and_deviation_are_the_datas_own(tmp_path, photos):
    pixels = _pixels(graphs.build(tmp_path, photos, normalize="mean-deviation"), photos)
    assert np.abs(pixels.mean(axis=(0, 1, 2))).max() < 1e-3
    assert np.abs(pixels.std(axis=(0, 1, 2)) - 1).max() < 1e-3


def test_one_colour_alone_is_centred_and_stays_finite(tmp_path):
    photo = records.jpeg((90, 90, 90))
    pixels = _pixels(graphs.build(tmp_path, [photo] * 3, normalize="mean-deviation"), [photo])
    assert np.abs(pixels).max() < 0.5


@pytest.mark.parametrize("resize", ["fill-crop", "pad", "plain"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_becomes_one(tmp_path, photos, resize, channels):
    transform = graphs.build(tmp_path, photos[:2], resize=resize, channels=channels, image_size=32)
    pixels = _pixels(transform, photos)
    assert pixels.shape == (24, 32, 32, channels)
    assert pixels.dtype == np.float32
    assert -1.0 <= pixels.min() < -0.5
    assert 0.5 < pixels.max() <= 1.0


def test_the_input_pipeline_reads_through_the_graph(tmp_path, graph):
    files = [f"{records.folder(tmp_path / 'data', shards=2, per_shard=7)}/*"]
    assert input_pipeline.measure(files).records == 14
    batches = list(input_pipeline.evaluation(files, graph, 5, 4))
    assert [int(labels.shape[0]) for _, labels in batches] == [4, 4, 4, 2]
    classes = np.concatenate([np.argmax(labels, axis=1) for _, labels in batches])
    assert sorted(classes) == sorted([i % 5 for i in range(7)] * 2)
    whole = input_pipeline.evaluation(files, graph, 5, 4, drop_remainder=True)
    assert [len(labels) for _, labels in whole] == [4, 4, 4]
    assert [spec.shape for spec in whole.element_spec] == [(4, 48, 48, 3), (4, 5)]  # a TPU takes one shape only


def test_training_batches_have_static_shapes_and_no_end(tmp_path, graph):
    files = [f"{records.folder(tmp_path / 'data', shards=2, per_shard=7)}/*"]
    training = input_pipeline.training(files, graph, 5, 4)
    assert [spec.shape for spec in training.element_spec] == [(4, 48, 48, 3), (4, 5)]
    assert len(list(training.take(20))) == 20


def test_an_epoch_is_every_photo_once(tmp_path, graph):
    files = [f"{records.folder(tmp_path / 'data', shards=2, per_shard=8)}/*"]
    batches = list(input_pipeline.training(files, graph, 5, 4, seed=3).take(8))
    means = [round(float(mean), 4) for pixels, _ in batches for mean in np.mean(pixels, axis=(1, 2, 3))]
    assert sorted(means[:16]) == sorted(means[16:])


def test_each_epoch_has_an_order_and_changes_of_its_own(tmp_path, graph):
    files = [f"{records.folder(tmp_path / 'data', shards=2, per_shard=8)}/*"]

    def seen(seed: int = 3, first_epoch: int = 0, augment: tuple[str, ...] = ("saturation", "mixup")) -> list[float]:
        batches = input_pipeline.training(
            files, graph, 5, 4, seed, first_epoch, augmentation(Trainer(augment=augment).augment)
        )
        next(iter(batches))  # an iterator beside takes nothing from the next
        found = batches.take(4 * (3 - first_epoch))
        return [round(float(mean), 4) for pixels, _ in found for mean in np.mean(pixels, axis=(1, 2, 3))]

    epochs = seen()
    assert epochs[:16] != epochs[16:32] != epochs[32:]
    assert epochs == seen()
    assert epochs != seen(seed=4)
    assert epochs[16:] == seen(first_epoch=1)  # what a run that goes on reads
    assert epochs[32:] == seen(first_epoch=2)
    orders = seen(augment=())
    assert sorted(orders[:16]) == sorted(orders[16:32])
    assert orders[:16] != orders[16:32]


def test_the_training_graph_calls_no_python(graph):
    """A TPU's host cannot run tf.py_function."""
    layer = graph.transform_features_layer()
    traced = tf.function(lambda image: layer({"image": image})).get_concrete_function(
        tf.TensorSpec([None, 1], tf.string)
    )
    names = {node.op for function in traced.graph.as_graph_def().library.function for node in function.node_def}
    assert "DecodeImage" in names
    assert not names & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}


def test_what_is_made_of_records_goes_without_the_tuner_that_makes_its_end_wait(tmp_path, graph):
    files = [f"{records.folder(tmp_path / 'data', shards=2, per_shard=7)}/*"]
    for batches in (input_pipeline.training(files, graph, 5, 4), input_pipeline.evaluation(files, graph, 5, 4)):
        assert batches.options().autotune.enabled is False


def test_what_is_mixed_at_a_time_is_bounded_in_bytes(tmp_path):
    assert input_pipeline.Size(3670, 56 * 10**6).window == 2048  # the flowers at 192 px
    assert input_pipeline.Size(1000, 4 * 10**9).window == 33  # 128 MiB of photos of 4 MB
    assert input_pipeline.Size(2, 10**12).window == input_pipeline.Size(0, 0).window == 1
    examples = [records.example(0, bytes(size)) for size in (100, 200, 300)]
    file = records.write(tmp_path / "a.tfrec", examples)
    assert input_pipeline.measure([str(file)])[:2] == (3, sum(example.ByteSize() for example in examples))


def test_a_window_of_few_records_loses_and_repeats_none(tmp_path, graph):
    examples = [records.example(number % 5, records.jpeg((10 * number, 0, 0))) for number in range(12)]
    file = records.write(tmp_path / "a.tfrec", examples)
    for window in (1, 5, 2048):
        size = input_pipeline.Size(128, 2**34 // window)
        assert size.window == window
        pixels, _ = next(iter(input_pipeline.training([str(file)], graph, 5, 12, size=size)))
        reds = sorted(round(float(photo[..., 0].numpy().mean() + 1) * 12.75) for photo in pixels)
        assert reds == list(range(12)), window


def test_large_photos_are_decoded_a_few_at_a_time():
    def at_once(megabytes: float, batch_size: int = 16) -> int:
        return input_pipeline.Size(100, int(100 * megabytes * 10**6)).decoded_at_once(batch_size)

    assert [at_once(0.015, 128), at_once(0.2), at_once(12), at_once(100)] == [128, 16, 1, 1]
    assert [at_once(4), at_once(4, 9), at_once(4, 7)] == [4, 3, 1]  # parts of a batch, all alike
    assert input_pipeline.SMALL.decoded_at_once(1024) == 1024


def test_photos_decoded_a_few_at_a_time_make_the_same_batches(tmp_path, graph, monkeypatch):
    """No call is given more photos than that, and neither order nor random changes depend on it."""
    examples = [records.example(number % 5, records.jpeg((10 * number, 0, 0))) for number in range(20)]
    file = str(records.write(tmp_path / "a.tfrec", examples))
    given = []
    parse = tf.io.parse_example
    monkeypatch.setattr(tf.io, "parse_example", lambda part, spec: given.append(part.shape[0]) or parse(part, spec))
    augment = augmentation(Trainer(augment=("flip", "saturation", "mixup")).augment)
    few = input_pipeline.Size(20, 20 * 6 * 2**20)  # 2 for each call, and all 20 are mixed

    def seen(size: input_pipeline.Size) -> tuple[list, list]:
        training = input_pipeline.training([file], graph, 5, 6, 3, 0, augment, size)
        assert [spec.shape for spec in training.element_spec] == [(6, 48, 48, 3), (6, 5)]
        evaluation = input_pipeline.evaluation([file], graph, 5, 6, size=size)
        assert [len(labels) for _, labels in evaluation] == [6, 6, 6, 2]
        return list(training.take(7).as_numpy_iterator()), list(evaluation.as_numpy_iterator())

    whole, parts = seen(input_pipeline.SMALL), seen(few)
    assert given[:1] + given[2:3] == [6, 2]
    for ours, theirs in zip(sum(whole, []), sum(parts, []), strict=True):
        assert np.array_equal(ours[0], theirs[0])
        assert np.array_equal(ours[1], theirs[1])
