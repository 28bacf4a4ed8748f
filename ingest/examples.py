"""Builds the tf.Example of a labelled photo."""

from collections.abc import Sequence

from ingest.example_proto import Example


def make_example(
    image: bytes, label: int, classes: Sequence[str], size: tuple[int, int], filename: str = "", digest: str = ""
) -> Example:
    """Returns a tf.Example with the features of the public flowers' TFRecords, and those that name the photo's file.

    Args:
      image: an encoded photo.
      label: the index of the photo's class in `classes`.
      classes: the class names.
      size: (height, width) in pixels.
      filename: the file's path relative to the source of the data; "" to leave out the feature.
      digest: of the decoded pixels, in hex; "" to leave out the feature.
    """
    example = Example()
    features = example.features.feature
    features["image"].bytes_list.value.append(image)
    features["class"].int64_list.value.append(label)
    features["label"].bytes_list.value.append(classes[label].encode())
    features["size"].int64_list.value.extend(size)
    features["one_hot_class"].float_list.value.extend(float(index == label) for index in range(len(classes)))
    if filename:
        features["filename"].bytes_list.value.append(filename.encode())
    if digest:
        features["digest"].bytes_list.value.append(digest.encode())
    return example
