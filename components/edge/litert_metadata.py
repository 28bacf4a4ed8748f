"""Describes a LiteRT file for other programs, by TensorFlow Lite's model metadata: its pixels and the labels' file.

No package that is maintained, and small enough for the lock, writes these metadata; the `flatbuffers` package does it
here, with the numbers of the fields in metadata_schema.fbs. MediaPipe and Android Studio read them.
"""

from collections.abc import Callable, Sequence

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from components.edge.formats import LABELS
from trainer.features import PIXELS, PROBABILITIES

_NAME, _IDENTIFIER = "TFLITE_METADATA", b"M001"
_IMAGE_PROPERTIES, _AXIS_LABELS = 2, 2  # of the unions and enumerations in the schema
_COLOURS = {3: 1, 1: 2}  # RGB and GRAYSCALE, by channels

Field = Callable[[flatbuffers.Builder, int], None]  # sets the field of a number in the open table


def add(model: bytes, classes: Sequence[str], shape: tuple[int, int, int]) -> bytes:
    """Returns a LiteRT model with metadata that name the file LABELS, which the caller appends as a zip file.

    Args:
      model: the converter's result.
      classes: the class names.
      shape: height, width and channels of the pixels.
    """
    unpacked = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(_metadata(len(classes), shape))
    unpacked.buffers.append(buffer)
    entry.name, entry.buffer = _NAME, len(unpacked.buffers) - 1
    unpacked.metadata = [*(unpacked.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked))


def _metadata(classes: int, shape: tuple[int, int, int]) -> bytes:
    height, width, channels = shape
    builder = flatbuffers.Builder()
    size = _table(builder, [_uint32(width), _uint32(height)])
    colour = _COLOURS[channels]
    image = _table(builder, [lambda each, slot: each.PrependInt8Slot(slot, colour, 0), _reference(size)])
    content = _table(builder, [lambda each, slot: each.PrependUint8Slot(slot, _IMAGE_PROPERTIES, 0), _reference(image)])
    text = f"{height} x {width} pixels from 0 to 255, after the resizing"
    pixels = _table(builder, [*_texts(builder, PIXELS, text), None, _reference(content)])
    kind: Field = lambda each, slot: each.PrependInt8Slot(slot, _AXIS_LABELS, 0)  # noqa: E731
    labels = _table(builder, [*_texts(builder, LABELS, "the class names"), kind])
    text = f"the probabilities of {classes} classes"
    files = _vector(builder, [labels])
    answer = _table(builder, [*_texts(builder, PROBABILITIES, text), None, None, None, None, _reference(files)])
    inputs, outputs = _vector(builder, [pixels]), _vector(builder, [answer])
    graph = _table(builder, [None, None, _reference(inputs), _reference(outputs)])
    graphs = _vector(builder, [graph])
    name = builder.CreateString("photo classifier")
    version = builder.CreateString("1.0.0")  # of the schema that a reader needs
    fields = [_reference(name), None, None, _reference(graphs), None, None, None, _reference(version)]
    builder.Finish(_table(builder, fields), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, fields: Sequence[Field | None]) -> int:
    """Writes a table whose fields are in the order of the schema; None is a field without a value."""
    builder.StartObject(len(fields))
    for slot, field in enumerate(fields):
        if field:
            field(builder, slot)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, tables: Sequence[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for each in reversed(tables):
        builder.PrependUOffsetTRelative(each)
    return builder.EndVector()


def _texts(builder: flatbuffers.Builder, *texts: str) -> list[Field]:
    return [_reference(builder.CreateString(text)) for text in texts]


def _reference(offset: int) -> Field:
    return lambda builder, slot: builder.PrependUOffsetTRelativeSlot(slot, offset, 0)


def _uint32(value: int) -> Field:
    return lambda builder, slot: builder.PrependUint32Slot(slot, value, 0)
