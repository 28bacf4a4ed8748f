"""Calls a signature of a version, for REST and for gRPC."""

import logging

import tensorflow as tf

from errors import shortened
from serving.errors import RequestError, refuse_unknown
from serving.forms import Arrays
from serving.versions import Signature, Version

PREDICT, CLASSIFY = "tensorflow/serving/predict", "tensorflow/serving/classify"  # the methods of signatures

_log = logging.getLogger("serving")


def signature_of(version: Version, name: str, method: str) -> Signature:
    """Returns a signature by its name.

    Raises:
      RequestError: 400, when the version has no signature of this method and name.
    """
    known = [each for each, signature in version.signatures.items() if signature.method == method]
    if name not in known:
        refuse_unknown(400, f"signature of {method}", name, known)
    return version.signatures[name]


async def run(signature: Signature, inputs: Arrays, most: int) -> Arrays:
    """Returns the outputs of a signature.

    Args:
      signature: the signature.
      inputs: its inputs.
      most: the largest number of bytes of the outputs. Without a limit, an answer may be much larger than its request,
        such as the pixels of many small photos.

    Raises:
      RequestError: what `Batcher` raises; 400, when the model refuses the inputs; 413, when the outputs are too large;
        500, when the model fails.
    """
    outputs = await _outputs(signature, inputs)
    if sum(each.nbytes for each in outputs.values()) > most:
        raise RequestError(413, f"the answer has more than {most:,} bytes; send fewer photos")
    return outputs


async def _outputs(signature: Signature, inputs: Arrays) -> Arrays:
    try:
        return await signature.batch(inputs)
    except tf.errors.InvalidArgumentError as error:
        raise RequestError(400, f"the model refuses the inputs: {shortened(error.message)}") from None
    except tf.errors.OpError as error:
        _log.exception("the model failed")
        raise RequestError(500, f"the model failed: {shortened(error.message)}; see the server's log") from None
