"""The names of the features that a run reads from records. Imports only the standard library."""

from collections.abc import Mapping, Sequence

IMAGE, CLASS, LABEL, FILENAME = "image", "class", "label", "filename"

# The values of `data.features`. '' means that the records do not have the feature.
FEATURES: dict[str, dict[str, str]] = {
    "flowers": {IMAGE: "image", CLASS: "class", LABEL: "label", FILENAME: "filename"},  # also Kaggle's flowers
    "tf-slim": {
        IMAGE: "image/encoded",
        CLASS: "image/class/label",
        LABEL: "image/class/text",
        FILENAME: "image/filename",
    },
    "tfds": {IMAGE: "image", CLASS: "label", LABEL: "", FILENAME: "file_name"},
    "kaggle": {IMAGE: "image", CLASS: "target", LABEL: "", FILENAME: "image_name"},
}


def fitting(found: Sequence[str]) -> str | None:
    """Returns the first value of `data.features` whose image and class are among the features found."""
    return next((name for name, row in FEATURES.items() if {row[IMAGE], row[CLASS]} <= set(found)), None)


def is_default(features: Mapping[str, str]) -> bool:
    """Returns whether the records need no renaming."""
    return dict(features) == FEATURES["flowers"]
