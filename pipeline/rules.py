"""The rules between settings, each of which is valid alone."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from errors import quoted, shortened
from ingest.sources import SOURCES
from trainer.augmentation.table import OPERATIONS
from trainer.families import FAMILIES, PROBE
from trainer.settings import Architecture

if TYPE_CHECKING:
    from pipeline.config import Config, Data

UNSEARCHABLE = (
    "model.weights",
    "model.head",
    "trainer.epochs",
    "trainer.frozen_epochs",
    "trainer.minutes",
    "trainer.gpu_memory_mb",
    "trainer.seed",
)


def check(config: "Config") -> None:
    """Raises ValueError with a line for each broken rule."""
    problems = [text for _, text in disagreements(config)]
    if problems:
        raise ValueError("\n".join(problems))


def disagreements(config: "Config") -> Iterator[tuple[set[str], str]]:
    """Yields the broken rules between settings: the keys that a rule concerns, and an error."""
    data, trainer = config.data, config.trainer
    yield from _family_problems(data, config.model, "model")
    for number, trunk in enumerate(config.embeddings.trunks):
        yield from _family_problems(data, trunk, f"embeddings.trunks.{number}")
    yield from _probe_problems(config)
    if trainer.frozen_epochs > trainer.epochs:
        limit = f"at most trainer.epochs ({trainer.epochs})"
        text = f"trainer.frozen_epochs: expected {limit}, received {trainer.frozen_epochs}"
        yield {"trainer.frozen_epochs", "trainer.epochs"}, text
    if config.serving.sure_accuracy and config.serving.sure_coverage:
        text = "serving.sure_accuracy: expected null together with serving.sure_coverage; remove one of them"
        yield {"serving.sure_accuracy", "serving.sure_coverage"}, text
    check = config.serving_check
    if check.server == "docker" and (check.max_latency_ms or check.max_memory_mb):
        text = (
            "serving_check.server: expected process together with serving_check.max_latency_ms or max_memory_mb, "
            "because InfraValidator measures neither; received docker"
        )
        yield {"serving_check.server", "serving_check.max_latency_ms", "serving_check.max_memory_mb"}, text
    for text in _search_problems(config):
        yield {"tuner.search"}, text
    yield from _trial_problems(config)
    sizes = SOURCES[data.source].buckets if data.source and not data.directory else {}
    if sizes and data.image_size not in sizes:
        text = (
            f"data.image_size: expected one of {', '.join(map(str, sizes))}, the sizes of {data.source}; received "
            f"{data.image_size}. For other sizes, give data.directory (--data)"
        )
        yield {"data.source", "data.directory", "data.image_size"}, text
    if data.eval_fraction + data.test_fraction >= 1:
        text = (
            "data.eval_fraction: expected less than 1 together with data.test_fraction, so that data is left to train "
            f"on; received {data.eval_fraction} and {data.test_fraction}"
        )
        yield {"data.eval_fraction", "data.test_fraction"}, text
    for name in [chosen.name for chosen in trainer.augment if not OPERATIONS[chosen.name].fits(data)]:
        needs = f"data.normalize 'range' and data.channels {' or '.join(map(str, OPERATIONS[name].channels))}"
        text = f"trainer.augment: {name} needs {needs}; received {data.normalize!r} and {data.channels}"
        yield {"trainer.augment", "data.normalize", "data.channels"}, text


def _family_problems(data: "Data", model: Architecture, key: str) -> Iterator[tuple[set[str], str]]:
    """Yields the rules of a model's family that are broken; `key` is the model's setting."""
    name, family = model.name, FAMILIES[model.name]
    if model.weights == "imagenet" and not family.imagenet:
        have = ", ".join(name for name, each in FAMILIES.items() if each.imagenet)
        text = f"{key}.weights: no ImageNet weights to download for {name}, only for {have}; give a file"
        yield {f"{key}.weights", f"{key}.name"}, text
    if model.weights == "imagenet" and model.weights_sha256:
        text = (
            f"{key}.weights_sha256: expected none with {key}.weights 'imagenet', whose checksum is known; received "
            f"{model.weights_sha256}. Remove it, or give a file as {key}.weights"
        )
        yield {f"{key}.weights", f"{key}.weights_sha256"}, text
    if model.weights == "imagenet" and family.normalize not in (None, data.normalize):
        text = (
            f"data.normalize: expected {family.normalize!r} for {name}'s ImageNet weights, received "
            f"{data.normalize!r}; or remove {key}.weights"
        )
        yield {f"{key}.weights", f"{key}.name", "data.normalize"}, text
    if data.image_size < family.smallest or data.channels not in family.channels:
        channels = " or ".join(map(str, family.channels))
        text = (
            f"{key}.name: {name} needs data.image_size of {family.smallest} or more and data.channels {channels}; "
            f"received {data.image_size} and {data.channels}"
        )
        yield {f"{key}.name", "data.image_size", "data.channels"}, text


def _probe_problems(config: "Config") -> Iterator[tuple[set[str], str]]:
    """Yields the settings that do not fit a model whose last layer is fitted to the embeddings."""
    model, trunks = config.model, config.embeddings.trunks
    if config.trainer.minutes and (model.head != PROBE or config.trainer.frozen_epochs):
        text = (
            "trainer.minutes: expected model.head probe and trainer.frozen_epochs 0, so that there is a model even if "
            f"no epoch fits in the time; received {model.head} and {config.trainer.frozen_epochs}"
        )
        yield {"trainer.minutes", "model.head", "trainer.frozen_epochs"}, text
    if not model.reads_embeddings:
        return
    if model.name == PROBE and not trunks:
        text = "embeddings.trunks: expected a trunk for a probe, for example [efficientnet_lite0]; received none"
        yield {"model.name", "embeddings.trunks"}, text
    if model.name == PROBE and model.weights:
        text = (
            "model.weights: expected none for a probe, whose weights are those of embeddings.trunks; received "
            f"{model.weights}"
        )
        yield {"model.name", "model.weights"}, text
    if model.name == PROBE and model.head == PROBE:
        text = (
            "model.head: expected random for a probe, whose last layer is always fitted; for a fine-tuning, set "
            "model.name to the trunk's name and model.weights to its weights"
        )
        yield {"model.name", "model.head"}, text
    same = [(each.name, each.options, each.weights) for each in trunks if not each.layer]
    if model.name != PROBE and same != [(model.name, model.options, model.weights)]:
        text = (
            "model.head: expected embeddings.trunks to be the model alone, with its options and weights, because the "
            f"features of other trunks are not its own; received {', '.join(each.name for each in trunks) or 'none'}"
        )
        yield {"model.head", "embeddings.trunks", "model.weights"}, text
    if config.tuner.trials or config.trainer.warm_start:
        text = (
            "model.head: expected tuner.trials 0 and trainer.warm_start false for a last layer that is fitted to the "
            "embeddings, because they start from other weights"
        )
        yield {"model.head", "model.name", "tuner.trials", "trainer.warm_start"}, text


def _trial_problems(config: "Config") -> Iterator[tuple[set[str], str]]:
    """Yields the settings that would make the tuner's trials different from the training after them."""
    if not config.tuner.trials:
        return
    ramp = config.trainer.learning_rate.ramp_epochs
    if ramp >= config.tuner.epochs:
        text = (
            f"tuner.epochs: expected more than trainer.learning_rate.ramp_epochs ({ramp}), because otherwise no trial "
            f"reaches the peak; received {config.tuner.epochs}"
        )
        yield {"tuner.epochs", "trainer.learning_rate"}, text
    if config.trainer.frozen_epochs or config.trainer.warm_start:
        text = (
            "tuner.trials: expected 0 with trainer.frozen_epochs or trainer.warm_start, because trials train all "
            f"layers from model.weights; received {config.tuner.trials}"
        )
        yield {"tuner.trials", "trainer.frozen_epochs", "trainer.warm_start"}, text


def _search_problems(config: "Config") -> Iterator[str]:
    """Yields the errors of the values that the tuner tries; each value must be valid in the recipe."""
    if config.tuner.trials and not config.tuner.search:
        yield "tuner.search: expected values, for example {trainer.learning_rate.peak: [0.001, 0.002]}; received none"
    for key, values in config.tuner.search.items():
        if key.partition(".")[0] not in ("model", "trainer") or "." not in key or key in UNSEARCHABLE:
            expected = f"expected keys of model and trainer except {', '.join(UNSEARCHABLE)}"
            yield f"tuner.search: {expected}; received {quoted(key)}"
            continue
        if not values:
            yield f"tuner.search: {shortened(key)}: expected at least one value, received none"
        if key == "model.name" and PROBE in values:
            yield f"tuner.search: model.name: expected no probe, which no trial trains; received {quoted(values)}"
        for value, name in itertools.product(values, _models_for(config, key)):
            try:
                config.recipe.changed({"model.name": name, key: value})
            except ValidationError as error:
                why = error.errors()[0]["msg"].removeprefix("Value error, ")
                yield f"tuner.search: {shortened(key)}: {why}; received {quoted(value)}"


def _models_for(config: "Config", key: str) -> list[Any]:
    """Returns the models that a key of the search is validated with, because each model has its own options."""
    searched = config.tuner.search.get("model.name", ()) if key.startswith("model.options.") else ()
    return [name for name in searched if name in FAMILIES] or [config.model.name]
