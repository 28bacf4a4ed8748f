"""Predicts photos with a model in a folder, without a server."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from serving import folders, forms


class LocalModel:
    """The newest version in a folder; it has the methods of `serving.client.Server`."""

    def __init__(self, folder: str, name: str):
        """Loads the model.

        Raises:
          UserError: when the folder has no complete version.
        """
        folders.check(folder)
        self.name = name
        self.version, path = max(folders.find(folder).items())
        self._model = tf.saved_model.load(path)  # keeps the variables
        self._signature = self._model.signatures[forms.DEFAULT]

    def predict(self, photos: Sequence[bytes]) -> tuple[int, list[dict[str, Any]]]:
        """Returns the version, and an answer for each photo."""
        outputs = self._signature(image_bytes=tf.constant(list(photos), tf.string))
        columns = {name: [_plain(each) for each in tensor.numpy()] for name, tensor in outputs.items()}
        return self.version, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.tolist()
