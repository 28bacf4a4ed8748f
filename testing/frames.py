"""Examples of one length, and TFRecord frames with wrong lengths or checksums, which no library writes."""

import struct
from collections.abc import Mapping
from typing import Any

import google_crc32c
import tensorflow as tf

CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
LENGTH = 20_000  # bytes of an example, so that the number of lost records is exact


def example(photo: bytes, label: int, features: Mapping[str, Any] = {}) -> bytes:
    """Returns a serialized example of LENGTH bytes, if the photo fits; a feature with None is left out."""
    values = {"image": photo, "class": label, "label": CLASSES[label % 5].encode(), **features}
    result = tf.train.Example()
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value] if value is not None else []:
            kinds = result.features.feature[name]
            kind = {bytes: kinds.bytes_list, int: kinds.int64_list, float: kinds.float_list}[type(each)]
            kind.value.append(each)
    if (room := LENGTH - result.ByteSize()) > 100:
        padding = result.features.feature["padding"].bytes_list.value
        padding.append(bytes(room - 30))
        padding[0] += bytes(LENGTH - result.ByteSize())
    return result.SerializeToString(deterministic=True)


def framed(data: bytes, length: int | None = None, length_sum: int | None = None, data_sum: int | None = None) -> bytes:
    """Returns a record of a TFRecord file, perhaps with a wrong length or wrong checksums."""
    header = struct.pack("<Q", len(data) if length is None else length)
    sums = (_masked(header) if length_sum is None else length_sum, _masked(data) if data_sum is None else data_sum)
    return header + struct.pack("<I", sums[0]) + data + struct.pack("<I", sums[1])


def _masked(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
