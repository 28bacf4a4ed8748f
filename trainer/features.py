"""The names of the features: as they are in the records, as Transform gives them, as the signatures show them."""

IMAGE = "image"  # bytes[1]: the encoded photo
CLASS = "class"  # int64[1]: the index of its class
LABEL = "label"  # bytes[1]: the name of its class

PIXELS = "pixels"  # float32[height, width, channels]: what the model sees

HISTORY = "history.json"  # what the Trainer records of a training

IMAGE_BYTES = "image_bytes"  # REST decodes base64 for names that end in _bytes
EXAMPLES = "examples"
CLASS_INDEX = "class_index"
PROBABILITIES = "probabilities"
