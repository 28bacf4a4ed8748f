"""Names of the files of IDX data sets, and of their classes by label. Imports only the standard library."""

import re
import string

FILE = re.compile(
    r"(?:(?P<dataset>.+)[-_.])?(?P<part>train|t10k|test)[-_.](?P<content>images[-_.]idx3|labels[-_.]idx1)[-_.]ubyte"
    r"(?:\.gz)?",
    re.IGNORECASE,
)
_DIGITS, _UPPER = string.digits, string.ascii_uppercase
_MERGED = _DIGITS + _UPPER + "abdefghnqrt"  # the other lower-case letters look like their capitals

NAMES = {
    "digits": tuple(_DIGITS),
    "fashion": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "kuzushiji": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}
# Cohen et al., EMNIST: an extension of MNIST to handwritten letters, arXiv:1702.05373
_EMNIST = {
    "emnist-balanced": dict(enumerate(_MERGED)),
    "emnist-byclass": dict(enumerate(_DIGITS + _UPPER + string.ascii_lowercase)),
    "emnist-bymerge": dict(enumerate(_MERGED)),
    "emnist-digits": dict(enumerate(_DIGITS)),
    "emnist-letters": dict(enumerate(_UPPER, 1)),
    "emnist-mnist": dict(enumerate(_DIGITS)),
}


def names_of(dataset: str) -> dict[int, str]:
    """Returns the class names of a set of EMNIST by label; {} for another data set.

    >>> names_of("emnist-letters")[1], names_of("mnist")
    ('A', {})
    """
    return _EMNIST.get(dataset, {})


def is_transposed(dataset: str) -> bool:
    """Returns whether the rows of a data set's images are columns, as EMNIST stores them."""
    return dataset.startswith("emnist-")
