"""The names that data sets give their splits, in folders and in file names."""

import re

TRAIN, EVAL, TEST = "train", "eval", "test"
SPLITS = (TRAIN, EVAL, TEST)

_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "eval": EVAL,
    "evaluation": EVAL,
    "dev": EVAL,
    "val": EVAL,
    "valid": EVAL,
    "validate": EVAL,
    "validation": EVAL,
    "test": TEST,
    "testing": TEST,
    "t10k": TEST,
}
_IN_FILE = re.compile(rf"(?:^|[-_.])({'|'.join(_NAMES)})(?=[-_.]|\d|$)", re.IGNORECASE)


def split_of(name: str) -> str | None:
    """Returns the split that a name stands for, such as a folder's or Vertex AI's ML_USE; None for another name.

    >>> split_of("Validation"), split_of("TEST"), split_of("cats")
    ('eval', 'test', None)
    """
    return _NAMES.get(name.strip().lower())


def split_in_file_name(name: str) -> str | None:
    """Returns the split that a file's name contains as a word; None if it contains none, or several different ones.

    >>> split_in_file_name("tf_flowers-train.tfrecord-00000-of-00002"), split_in_file_name("validation-00003-of-00128")
    ('train', 'eval')
    >>> split_in_file_name("trains-00.tfrec"), split_in_file_name("train-test-00.tfrec")
    (None, None)
    """
    found = {_NAMES[word.lower()] for word in _IN_FILE.findall(name)}
    return found.pop() if len(found) == 1 else None


def split_in_folder(name: str) -> str | None:
    """Returns the split that a folder stands for, or that its name contains as a word.

    >>> split_in_folder("Val"), split_in_folder("train2017"), split_in_folder("seg_test"), split_in_folder("cats")
    ('eval', 'train', 'test', None)
    """
    return split_of(name) or split_in_file_name(name.strip().replace(" ", "_"))
