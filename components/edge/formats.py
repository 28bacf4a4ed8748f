"""The formats of the node Edge. Imports nothing."""

LITERT_FLOAT16, LITERT_INT8, ONNX = "litert-float16", "litert-int8", "onnx"

LABELS = "labels.txt"  # in a LiteRT file, which is also a zip file: a class name in each line
PROPERTY = "labels"  # of an ONNX file: the class names as JSON

ACCEPTED = "accepted"  # the folder of the accepted files in the node's artifact, and the property with their names
FIGURES = "edge.json"  # size, speed, checks and verdict of each file, in the same artifact
FOLDER = "assets.extra/edge"  # in the folder of a pushed version; TensorFlow Serving does not read it


def file_name(form: str) -> str:
    """Returns the name of a format's file.

    >>> file_name("litert-int8"), file_name("onnx")
    ('litert-int8.tflite', 'model.onnx')
    """
    return "model.onnx" if form == ONNX else f"{form}.tflite"
