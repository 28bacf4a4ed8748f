"""Equal records, settings and seeds give equal weights on one machine, for any Beam bundles."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import keras
import numpy as np
import pytest
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components import record_order
from components.photos import Measured
from components.record_check import Good
from testing import graphs
from tests.helpers import records
from trainer import fitting, models, recipe, strategy
from trainer.checkpoints import Checkpoints
from trainer.settings import Recipe, Trainer


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> tft.TFTransformOutput:
    return graphs.build(tmp_path_factory.mktemp("graph"), [records.jpeg()], image_size=24)


def _keyed(data: bytes) -> tuple[tuple[str, int], Good]:
    measured = Measured(0, (8, 8), 0.5, 0.1, (0.5, 0.5, 0.5), (0,) * 8, b"name")
    return ("data", record_order.shard_of(data, 3)), Good(data, measured)


def _train(folder: Path, graph: tft.TFTransformOutput, order: int, at_a_time: int) -> list[np.ndarray]:
    """Trains from nothing on 60 photos that reach ExampleGen in this order and in bundles of this size."""
    photos = [records.example(number % 5, records.jpeg((4 * number, 0, 50 * (number % 5)))) for number in range(60)]
    mixed = [photos[number].SerializeToString() for number in np.random.default_rng(order).permutation(60)]
    bundles = [mixed[start : start + at_a_time] for start in range(0, 60, at_a_time)]
    with beam.Pipeline() as pipeline:
        created = pipeline | beam.Create(bundles) | beam.Reshuffle()
        _ = (
            created
            | beam.FlatMap(lambda bundle: bundle)
            | beam.Map(_keyed).with_output_types(tuple[tuple[str, int], Any])
            | record_order.Write(record_order.Folders(*[str(folder)] * 3), ["data"], range(3), 3)
        )
    settings = Trainer(epochs=2, batch_size=8, seed=3, augment=["flip"])
    made_of = Recipe(data={"classes": list("abcde")}, trainer=settings)
    files = [f"{folder}/Split-data/data_tfrecord-*"]
    chosen = strategy.choose()
    keras.utils.set_random_seed(settings.seed)
    inputs = recipe.inputs_of(FnArgs(train_files=files, eval_files=files), made_of, graph, chosen)
    model = models.build("cnn", (24, 24, 3), 5)
    fitting.fit(model, settings, chosen, inputs, Checkpoints(str(folder / "checkpoints")))
    return [variable.numpy() for variable in model.variables]


def test_a_second_training_from_nothing_ends_with_equal_weights(tmp_path, graph):
    first = _train(tmp_path / "first", graph, order=1, at_a_time=60)
    second = _train(tmp_path / "second", graph, order=2, at_a_time=7)
    assert [np.array_equal(*pair) for pair in zip(first, second, strict=True)] == [True] * len(first)
