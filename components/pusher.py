"""A blessed model into a versioned folder that TensorFlow Serving can watch."""

from tfx import types
from tfx import v1 as tfx


def pusher(model: types.BaseChannel, model_blessing: types.BaseChannel, base_directory: str) -> tfx.components.Pusher:
    """Returns the Pusher; the version is the time in seconds."""
    return tfx.components.Pusher(
        model=model,
        model_blessing=model_blessing,
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=base_directory)
        ),
    )
