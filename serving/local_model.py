"""Predicts photos with a model in a folder, without a server."""

from collections.abc import Sequence
from typing import Any

import orjson
import tensorflow as tf

from errors import UserError, shortened
from serving import folders, forms


class LocalModel:
    """The version of a folder that is served by default; it has the methods of `serving.client.Server`."""

    def __init__(self, folder: str, name: str):
        """Loads the model.

        Raises:
          UserError: when the folder has no complete version, or the version is damaged or of another kind.
        """
        self.name = name
        self.version, path = folders.served(folder.rstrip("/"))
        try:
            self._model = tf.saved_model.load(path)  # keeps the variables
            self._signature = self._model.signatures[forms.DEFAULT]
        except Exception as error:  # TensorFlow's loader raises many kinds
            raise UserError(
                f"--model: cannot load {path}: {shortened(str(error))}; give a model of this pipeline"
            ) from None
        if inputs := set(self._signature.structured_input_signature[1]) ^ {"image_bytes"}:
            raise UserError(
                f"--model: expected a model of photos in {path}, received other inputs: {', '.join(inputs)}"
            )

    def predict(self, photos: Sequence[bytes]) -> tuple[int, list[dict[str, Any]]]:
        """Returns the version, and an answer for each photo."""
        outputs = self._signature(image_bytes=tf.constant(list(photos), tf.string))
        answer = forms.answer({name: tensor.numpy() for name, tensor in outputs.items()}, by_row=True)
        return self.version, orjson.loads(answer)["predictions"]  # the same digits as a server's
