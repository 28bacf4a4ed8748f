"""Names that several packages share: features, signatures, files, properties and parameters."""

from typing import Any

IMAGE = "image"  # bytes[1]: the encoded photo
CLASS = "class"  # int64[1]: the index of its class
LABEL = "label"  # bytes[1]: the name of its class

PIXELS = "pixels"  # float32[height, width, channels]: the model's input

HISTORY = "history.json"  # the Trainer's record of a training, in its model_run
REFERENCE = "reference.tfrecord"  # its logits for some photos, in the same folder; see `trainer.reference`
RECORD, LOGITS = "record", "logits"  # the features of REFERENCE
PREDICTIONS = "predictions"  # the prefix of files in the Evaluator's evaluation: a tf.Example for each judged record
PAIRS = "pairs.jsonl"  # on how many judged records the candidate and the baseline are right, in the same folder
CHECKS = "checks.json"  # the gate's checks, in the Evaluator's evaluation
SET_ASIDE = "baseline_set_aside"  # a property of an evaluation: why it has no comparison with the baseline
BULK_DATA = "bulk_data"  # BulkInferrer's execution property with the folder of the photos
KEPT_ANSWERS = "kept_answers"  # ServingSkew's execution property with the folder of the kept answers
CODE = "code_files"  # the execution property with the digests of a node's code; see `lineage.source_code`

# the recipe's settings that are parameters on a cluster, by the name of the Trainer's execution property
CHANGEABLE = {
    "epochs": "trainer.epochs",
    "batch_size": "trainer.batch_size",
    "learning_rate": "trainer.learning_rate.peak",
}

# the thresholds that are parameters on a cluster; they are the Evaluator's execution properties
FLOORS = ("min_accuracy", "min_class_recall")
THRESHOLDS = (*FLOORS, "max_accuracy_drop")
UNSET = -1.0  # on a cluster, stands for a floor that the Evaluator computes, because parameters cannot be null

CLASSIFY = "classify"  # the signature of TensorFlow Serving's Classify API; the others are those of its Predict API
IMAGE_BYTES = "image_bytes"  # REST decodes base64 for names that end in _bytes
EXAMPLES = "examples"
CLASS_INDEX = "class_index"
PROBABILITIES = "probabilities"
SURE = "sure"  # whether the largest probability reaches the threshold; only with a setting of `serving`
FAMILIAR = "familiar"  # how familiar a photo is; only of a probe, see `trainer.familiarity`
LABELS = "labels"  # of a prediction set
SIZE = "size"
STATUS = "status"  # of each photo of a request: why it was not used


def setting_value(name: str, value: Any) -> Any:
    """Returns the value of the setting for a parameter's value: None if a floor is UNSET, otherwise the same value.

    >>> setting_value("min_accuracy", -1.0), setting_value("min_accuracy", 0.5), setting_value("epochs", -1)
    (None, 0.5, -1)
    """
    return None if name in FLOORS and value == UNSET else value
