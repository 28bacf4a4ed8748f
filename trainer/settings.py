"""The settings that Tuner and Trainer read, validated when they are created. Imports no TensorFlow."""

from typing import Any, Literal, TypeVar

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from errors import choices
from trainer.augmentation.table import Chosen
from trainer.families import FAMILIES, PROBE
from trainer.section import Section, Shape, options_of


class Labelled(Shape):
    """The classes, and the size of the photos."""

    classes: tuple[str, ...] = Field(default=("daisy", "dandelion", "roses", "sunflowers", "tulips"), min_length=2)

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) != len(classes):
            raise ValueError("expected each class only once")
        return classes


class Architecture(Section):
    """A row of the table of families, its options, and its initial weights."""

    name: str = Field(default="convnet", description="a row of trainer/families.py")
    options: SerializeAsAny[Section] = Field(default={}, validate_default=True, description="the family's own options")
    weights: str | None = Field(default=None, description="'imagenet', a weights file, or null for random")
    weights_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")

    @field_validator("weights")
    @classmethod
    def _not_empty(cls, weights: str | None) -> str | None:
        if weights == "":
            raise ValueError("expected 'imagenet' or the path of a weights file")
        return weights

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FAMILIES:
            raise ValueError(f"unknown model; {cls._choices(name)}")
        return name

    @classmethod
    def _choices(cls, name: str) -> str:
        return choices(name, FAMILIES)

    @field_validator("options", mode="before")
    @classmethod
    def _of_family(cls, value: Any, info: ValidationInfo) -> Section:
        if "name" not in info.data:  # the name is not valid, which is reported
            return Section()
        return options_of(FAMILIES[info.data["name"]].options, info.data["name"], value)


class Model(Architecture):
    """The model, and its initial weights."""

    weights_match: Literal["base", "whole", "matching"] = Field(
        default="base", description="all layers except the last, all layers, or the layers that match"
    )
    head: Literal["random", "probe"] = Field(
        default="random", description="how the last layer starts: random, or fitted to the embeddings"
    )

    @property
    def reads_embeddings(self) -> bool:
        """Whether the last layer, or its start, is fitted to the embeddings."""
        return self.name == PROBE or self.head == "probe"


class Trunk(Architecture):
    """A frozen model without its last layer: it computes the features of a photo. A name alone has ImageNet weights."""

    weights: str = "imagenet"
    layer: str | None = Field(
        default=None, min_length=1, description="its input, averaged, is the features; null: the last"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _no_probe(cls, name: str) -> str:
        if name == PROBE:  # which is itself made of trunks
            raise ValueError(f"unknown model; {cls._choices(name)}")
        return name

    @classmethod
    def _choices(cls, name: str) -> str:
        published = [each for each, family in FAMILIES.items() if family.imagenet]
        others = ", ".join(each for each in FAMILIES if each not in (*published, PROBE))
        return f"{choices(name, published)}; or, with a file of weights (`weights`), one of: {others}"


ArchitectureType = TypeVar("ArchitectureType", bound=Architecture)


class Embeddings(Section):
    """The features of every photo, from one trunk or several; computed once and kept as an artifact."""

    trunks: tuple[Trunk, ...] = Field(default=(), description="their features are concatenated; none: no embeddings")
    views: tuple[Literal["flip", "crop"], ...] = Field(
        default=(), description="changed copies of each training photo that the probe is fitted to as well"
    )


class LearningRate(Section):
    """The learning rate of each epoch, for one replica. The number of replicas multiplies it, like the batch size.

    It rises from `start` to `peak` over `ramp_epochs`, then falls by the factor `decay` an epoch, or as a cosine to 0.
    """

    schedule: Literal["exponential", "cosine"] = "exponential"
    start: float = Field(default=1e-3, gt=0)
    peak: float = Field(default=1e-3, gt=0)
    ramp_epochs: int = Field(default=0, ge=0)
    decay: float = Field(default=1.0, gt=0, le=1)


class Trainer(Section):
    """The training recipe. `batch_size` is per replica; the first `frozen_epochs` train only the last layer."""

    epochs: int = Field(default=10, ge=1)
    frozen_epochs: int = Field(default=0, ge=0)
    minutes: float | None = Field(default=None, gt=0, description="a time that limits the epochs; see --minutes")
    batch_size: int = Field(default=32, ge=1)
    learning_rate: LearningRate = LearningRate()
    weight_decay: float = Field(default=0.0, ge=0, lt=1, description="above 0, AdamW")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    ema: float = Field(default=0.0, ge=0, lt=1, description="momentum of the weights' moving average; 0 for none")
    augment: tuple[Chosen, ...] = Field(default=(), description="rows of trainer/augmentation/table.py")
    balance: Literal["none", "loss", "sampling"] = Field(
        default="none", description="equal shares of the classes, by weights in the loss or by the records of an epoch"
    )
    seed: int = Field(default=0, ge=0, lt=2**32)
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    xla: bool = Field(default=False, description="compile the steps; always on a TPU")
    steps_per_execution: int = Field(default=1, ge=1, description="steps in one call of TensorFlow")
    gpu_memory_mb: int | None = Field(default=None, ge=256, description="limit for each GPU; null grows as needed")
    profile_steps: tuple[int, int] | None = Field(default=None, description="first and last step to profile")
    warm_start: bool = Field(default=False, description="start from the latest blessed model's weights")

    @field_validator("augment")
    @classmethod
    def _once(cls, augment: tuple[Chosen, ...]) -> tuple[Chosen, ...]:
        names = [chosen.name for chosen in augment]
        if len(set(names)) != len(names):
            raise ValueError("expected each operation only once")
        return augment

    @field_validator("profile_steps")
    @classmethod
    def _in_order(cls, steps: tuple[int, int] | None) -> tuple[int, int] | None:
        if steps and not 1 <= steps[0] <= steps[1]:
            raise ValueError("expected a first step of 1 or more, and a last step that is not smaller")
        return steps


class Serving(Section):
    """What the exported model says about its certainty. Each value is chosen on the eval split after the training.

    With `sure_accuracy` or `sure_coverage`, `serving_default` also returns `sure`. With `set_coverage`, the
    model has the signature `prediction_set`: a set of classes that contains the true class with this probability.
    """

    sure_accuracy: float | None = Field(default=None, gt=0, le=1, description="of the photos that are sure")
    sure_coverage: float | None = Field(default=None, gt=0, le=1, description="the fraction of photos that are sure")
    set_coverage: float | None = Field(default=None, gt=0, lt=1, description="of prediction sets; null for none")


class Tuner(Section):
    """A random search before the training: `trials` (0 for none) of `epochs` each, over the values in `search`."""

    trials: int = Field(default=0, ge=0)
    epochs: int = Field(default=1, ge=1)
    search: dict[str, tuple[int, ...] | tuple[float, ...] | tuple[str, ...]] = Field(
        default={}, description="values by key, such as trainer.learning_rate.peak"
    )


class Recipe(Section):
    """All settings that a trained model depends on. They are stored with the model, as JSON."""

    data: Labelled = Labelled()
    model: Model = Model()
    embeddings: Embeddings = Embeddings()
    trainer: Trainer = Trainer()
    serving: Serving = Serving()


_OF_PROBE = ("seed", "balance")  # the settings of `trainer` that `trainer.probing` reads


def with_effect(recipe: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of a stored recipe that affect its model: a probe has no training with epochs.

    >>> with_effect({"model": {"name": "probe", "head": "random"}, "trainer": {"epochs": 9, "seed": 0}})
    {'model': {'name': 'probe'}, 'trainer': {'seed': 0}}
    """
    model, trainer = (recipe.get("model"), recipe.get("trainer")) if isinstance(recipe, dict) else (None, None)
    if not (isinstance(model, dict) and isinstance(trainer, dict) and model.get("name") == PROBE):
        return recipe  # a store may have anything in its place
    trainer = {key: value for key, value in trainer.items() if key in _OF_PROBE}
    return {**recipe, "model": {"name": PROBE}, "trainer": trainer}
