"""Builds the tf.Example of a labelled photo."""

from collections.abc import Sequence

from ingest.example_proto import Example


def make_example(image: bytes, label: int, classes: Sequence[str], size: tuple[int, int]) -> Example:
    """Returns a tf.Example with the same features as the public flowers' TFRecords.

    Args:
      image: an encoded photo.
      label: the index of the photo's class in `classes`.
      classes: the class names.
      size: (height, width) in pixels.
    """
    example = Example()
    features = example.features.feature
    features["image"].bytes_list.value.append(image)
    features["class"].int64_list.value.append(label)
    features["label"].bytes_list.value.append(classes[label].encode())
    features["size"].int64_list.value.extend(size)
    features["one_hot_class"].float_list.value.extend(float(index == label) for index in range(len(classes)))
    return example
