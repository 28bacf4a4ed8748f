"""Files of the model for phones and other small devices: LiteRT in float16 and int8, and ONNX.

`component` is the node, `convert` makes the files, `litert_metadata` describes them for other programs, `runtimes` runs
them, and `judge` decides which of them may be pushed.
"""
