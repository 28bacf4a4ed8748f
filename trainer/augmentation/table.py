"""The table of augmentations: everything that other modules read about an operation. Imports no TensorFlow."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import Field, SerializeAsAny, model_serializer, model_validator

from errors import choices
from trainer.section import Pixels, Section, options_of


class ResizedCrop(Section):
    """Szegedy et al., 2015 (arXiv:1409.4842), section 6."""

    scale: float = Field(default=0.08, gt=0, le=1, description="the smallest area of a crop, as a share of the photo's")
    ratio: float = Field(default=4 / 3, ge=1, le=4, description="the largest ratio of a crop's sides")


class Rotation(Section):
    """The largest angle of RandAugment (Cubuk et al., 2020, arXiv:1909.13719) is 30 degrees, and half of it here."""

    degrees: float = Field(default=15.0, ge=0, le=180, description="the largest angle in each direction")


class RandAugment(Section):
    """Cubuk et al., 2020 (arXiv:1909.13719), with the values for ResNet-50 and ImageNet."""

    layers: int = Field(default=2, ge=1, le=8, description="operations for each photo, the paper's N")
    magnitude: int = Field(default=9, ge=0, le=30, description="the strength, the paper's M")


class Brightness(Section):
    """TF-Slim's value for Inception, 32/255, after Howard, 2013 (arXiv:1312.5402)."""

    delta: float = Field(default=0.125, ge=0, le=1, description="the largest shift, as a share of the range of pixels")


class Contrast(Section):
    """TF-Slim's value for Inception, after Howard, 2013 (arXiv:1312.5402)."""

    strength: float = Field(
        default=0.5, ge=0, le=1, description="the factor is drawn from 1 - strength to 1 + strength"
    )


class Saturation(Section):
    """The codelab's value for the flowers."""

    strength: float = Field(
        default=1.0, ge=0, le=1, description="the factor is drawn from 1 - strength to 1 + strength"
    )


class Hue(Section):
    """SimCLR's and TF-Slim's value is 0.2 (Chen et al., 2020, arXiv:2002.05709), and half of it here.

    A shift of 0.2 makes yellow flowers green.
    """

    delta: float = Field(default=0.1, ge=0, le=0.5, description="the largest shift, as a share of the colour circle")


class Blur(Section):
    """SimCLR's values (Chen et al., 2020, arXiv:2002.05709, appendix A), for photos of 224 pixels."""

    sigma: float = Field(default=2.0, ge=0.1, le=20, description="the largest deviation in pixels; the smallest is 0.1")
    probability: float = Field(default=0.5, ge=0, le=1, description="the share of photos that are changed")


class CutOut(Section):
    """DeVries and Taylor, 2017 (arXiv:1708.04552), with the value for CIFAR-10."""

    size: float = Field(default=0.5, gt=0, le=1, description="the side of the square, as a share of the photo's")


class MixUp(Section):
    """Zhang et al., 2018 (arXiv:1710.09412), with the value for ImageNet."""

    alpha: float = Field(default=0.2, gt=0, le=10, description="both parameters of the Beta distribution of the share")


class CutMix(Section):
    """Yun et al., 2019 (arXiv:1905.04899), with the values for CIFAR."""

    alpha: float = Field(default=1.0, gt=0, le=10, description="both parameters of the Beta distribution of the area")
    probability: float = Field(default=0.5, ge=0, le=1, description="the share of photos that are changed")


class Operation(NamedTuple):
    """A row of OPERATIONS.

    Attributes:
      function: the dotted path of a function of (seed, pixels, classes, **options) that returns changed pixels and
        classes. The seed is an int [2]; pixels are float32 [batch, height, width, channels]; classes are one-hot
        float32 [batch, classes], whose sums stay 1. What is drawn for a photo depends only on the seed.
      number: folded into the seed of a batch, so that what an operation draws does not depend on other operations.
        Numbers are never changed or used twice, because each change gives other batches.
      options: the section of its options. The docstring gives the source of the defaults.
      needs_range: whether it needs pixels in [-1, 1] (`data.normalize: range`), and returns such pixels. The others
        accept any range.
      channels: the numbers of channels that it accepts.
    """

    function: str
    number: int
    options: type[Section] = Section
    needs_range: bool = False
    channels: tuple[int, ...] = (1, 3)

    def fits(self, pixels: Pixels) -> bool:
        """Returns whether the operation can change such photos."""
        return pixels.channels in self.channels and not (self.needs_range and pixels.normalize != "range")


# in the order in which they are applied: geometry, colours, parts of photos, several photos
OPERATIONS = {
    "flip": Operation("trainer.augmentation.geometry.flip", 0),
    "resized_crop": Operation("trainer.augmentation.geometry.resized_crop", 3, ResizedCrop),
    "rotation": Operation("trainer.augmentation.geometry.rotation", 7, Rotation),
    "randaugment": Operation("trainer.augmentation.randaugment.randaugment", 11, RandAugment, needs_range=True),
    "brightness": Operation("trainer.augmentation.colour.brightness", 4, Brightness, needs_range=True),
    "contrast": Operation("trainer.augmentation.colour.contrast", 5, Contrast, needs_range=True),
    "saturation": Operation("trainer.augmentation.colour.saturation", 1, Saturation, needs_range=True, channels=(3,)),
    "hue": Operation("trainer.augmentation.colour.hue", 6, Hue, needs_range=True, channels=(3,)),
    "blur": Operation("trainer.augmentation.filters.blur", 8, Blur),
    "cutout": Operation("trainer.augmentation.mixing.cutout", 9, CutOut),
    "mixup": Operation("trainer.augmentation.mixing.mixup", 2, MixUp),
    "cutmix": Operation("trainer.augmentation.mixing.cutmix", 10, CutMix),
}


class Chosen(Section):
    """An operation and its options. A setting contains its name, or {NAME: {OPTION: VALUE}}."""

    name: str
    options: SerializeAsAny[Section]

    @model_validator(mode="before")
    @classmethod
    def _from_setting(cls, value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            value = {value: {}}
        if not isinstance(value, Mapping) or len(value) != 1:
            raise ValueError("expected the name of an operation, or its name and options as {NAME: {OPTION: VALUE}}")
        ((name, options),) = value.items()
        if name not in OPERATIONS:
            raise ValueError(f"unknown operation; {choices(str(name), OPERATIONS)}")
        kind = OPERATIONS[name].options
        return {"name": name, "options": options_of(kind, name, options)}

    @model_serializer
    def _as_setting(self) -> str | dict[str, Any]:
        options = self.options.model_dump(mode="json")
        return {self.name: options} if options else self.name
