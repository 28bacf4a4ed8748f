"""The names of the features: as they are in the records, as Transform gives them, as the signatures show them."""

from typing import Any

IMAGE = "image"  # bytes[1]: the encoded photo
CLASS = "class"  # int64[1]: the index of its class
LABEL = "label"  # bytes[1]: the name of its class

PIXELS = "pixels"  # float32[height, width, channels]: what the model sees

HISTORY = "history.json"  # the Trainer's record of a training, in its model_run
PREDICTIONS = "predictions"  # the start of the names of files there: a tf.Example for each eval record
CHECKS = "checks.json"  # the gate's checks, in the Evaluator's evaluation
SET_ASIDE = "baseline_set_aside"  # of an evaluation: why its baseline was not compared with, where it was not
CODE = "code_files"  # the execution property with what a node's executor runs; see `lineage.source_code`

# what of the recipe a run on a cluster may change, by the name that the Trainer's execution properties have for it
CHANGEABLE = {
    "epochs": "trainer.epochs",
    "batch_size": "trainer.batch_size",
    "learning_rate": "trainer.learning_rate.peak",
}

# the thresholds that it may change, by the name that the Evaluator's have
FLOORS = ("min_accuracy", "min_class_recall")
THRESHOLDS = (*FLOORS, "max_accuracy_drop")
UNSET = -1.0  # a floor that the Evaluator computes, on a cluster: its parameters are numbers and have no null

IMAGE_BYTES = "image_bytes"  # REST decodes base64 for names that end in _bytes
EXAMPLES = "examples"
CLASS_INDEX = "class_index"
PROBABILITIES = "probabilities"


def setting_value(name: str, value: Any) -> Any:
    """Returns the setting that a cluster's parameter stands for: None for a floor of UNSET, else the same value.

    >>> setting_value("min_accuracy", -1.0), setting_value("min_accuracy", 0.5), setting_value("epochs", -1)
    (None, 0.5, -1)
    """
    return None if name in FLOORS and value == UNSET else value
