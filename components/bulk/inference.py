"""Calls the SavedModel in batches, with Beam's RunInference, which loads it once in each process of a worker."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from apache_beam.ml.inference.base import ModelHandler

from components.bulk import table
from components.bulk.reading import Item
from trainer.features import IMAGE_BYTES

_BATCH = 32  # photos, or MiB of photos
_SIGNATURE = "serving_default"


class Handler(ModelHandler[Item, table.Row, Any]):
    """Predicts Items and returns their rows.

    An Item with a problem goes through the model as an empty photo, so that it keeps its place in the batch.
    """

    def __init__(self, path: str, name: str, version: int | None):
        """Creates the handler.

        Args:
          path: the folder of the SavedModel.
          name: the model's name in the rows.
          version: the model's version in the rows.
        """
        super().__init__()
        self._path, self._name, self._version = path, name, version

    def load_model(self) -> Any:
        """Returns the loaded SavedModel."""
        return tf.saved_model.load(self._path)

    def run_inference(
        self, batch: Sequence[Item], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterator[table.Row]:
        """Yields the row of each Item, in their order."""
        photos = tf.constant([each.photo for each in batch], tf.string)
        outputs = model.signatures[_SIGNATURE](**{IMAGE_BYTES: photos})
        arrays = {name: value.numpy() for name, value in outputs.items()}
        for index, item in enumerate(batch):
            answer = {name: values[index] for name, values in arrays.items()}
            yield table.row(item, answer, self._name, self._version)

    def get_num_bytes(self, batch: Sequence[Item]) -> int:
        """Returns the size of the photos; the base class would pickle them."""
        return sum(len(each.photo) for each in batch)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """Returns a fixed size of batches: Beam's search for the fastest size starts with single photos."""
        return {"min_batch_size": _BATCH, "max_batch_size": _BATCH, "element_size_fn": _size}


def _size(item: Item) -> int:
    return 1 + len(item.photo) // 2**20
