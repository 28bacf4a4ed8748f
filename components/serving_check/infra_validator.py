"""TFX's InfraValidator in place of ServingCheck: TensorFlow Serving in a Docker container of this machine."""

from tfx import types
from tfx import v1 as tfx

from ingest.split_names import EVAL

_SIGNATURE = "serve_examples"  # InfraValidator sends tf.Examples
_LOADING_S, _TRIES = 300, 2


def infra_validator(model: types.BaseChannel, examples: types.BaseChannel) -> tfx.components.InfraValidator:
    """Returns the node: it loads the model in the image tensorflow/serving:latest and sends one example of eval.

    Args:
      model: the candidate.
      examples: the examples, of all splits.
    """
    return tfx.components.InfraValidator(
        model=model,
        examples=examples,
        serving_spec=tfx.proto.ServingSpec(
            tensorflow_serving=tfx.proto.TensorFlowServing(tags=["latest"]),
            local_docker=tfx.proto.LocalDockerConfig(),
        ),
        validation_spec=tfx.proto.ValidationSpec(max_loading_time_seconds=_LOADING_S, num_tries=_TRIES),
        request_spec=tfx.proto.RequestSpec(
            tensorflow_serving=tfx.proto.TensorFlowServingRequestSpec(signature_names=[_SIGNATURE]),
            split_name=EVAL,
            num_examples=1,
        ),
    )
