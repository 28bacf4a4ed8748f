"""Runs the node that finds the baseline in the folder of the pushed models."""

from tfx.types.standard_artifacts import Model

from components import baseline


def latest_pushed(pushed: str, candidate: Model, uri: str) -> Model:
    """Runs LatestPushedModel and returns its output."""
    model = Model()
    model.uri = uri
    executor = baseline.LatestPushedModel.EXECUTOR_SPEC.executor_class()
    executor.Do({"candidate": [candidate]}, {"model": [model]}, {"pushed": pushed})
    return model
