"""The model that a candidate is held against: the latest blessed one that is not the candidate itself."""

import ml_metadata as mlmd
from tfx import types
from tfx import v1 as tfx


class LatestOtherBlessedModelStrategy(tfx.dsl.experimental.ResolverStrategy):
    """TFX's LatestBlessedModelStrategy, leaving the candidate out.

    A model taken from the cache would else be its own baseline in the next run, which compares nothing and makes
    Evaluator run again.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """Resolves `model` and `model_blessing`, given all of them and the `candidate`; see the base class."""
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        others = {
            "model": [model for model in input_dict["model"] if model.id not in candidates],
            "model_blessing": input_dict["model_blessing"],
        }
        resolved = tfx.dsl.experimental.LatestBlessedModelStrategy().resolve_artifacts(store, others)
        return {"candidate": input_dict["candidate"], **(resolved or {})}


def model_to_start_from() -> tfx.dsl.Resolver:
    """Returns the Resolver whose `model` output is the latest blessed model before this run, or empty."""
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("WarmStart")


def latest_blessed_model(candidate: types.BaseChannel) -> tfx.dsl.Resolver:
    """Returns the Resolver whose `model` output is the baseline, or empty in a first run."""
    return tfx.dsl.Resolver(
        strategy_class=LatestOtherBlessedModelStrategy,
        candidate=candidate,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")
