"""tf.train.Example as a protobuf message, without TensorFlow, whose import takes 5 s.

The messages have the fields of TensorFlow's example.proto and feature.proto, so the bytes are the same.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "ingest"  # not "tensorflow": the names of messages are unique in a process
_LISTS = {"BytesList": "bytes", "FloatList": "float", "Int64List": "int64"}


def _file() -> descriptor_pb2.FileDescriptorProto:
    Field = descriptor_pb2.FieldDescriptorProto  # noqa: N806 (a class)
    file = descriptor_pb2.FileDescriptorProto(name="ingest/example.proto", package=_PACKAGE, syntax="proto3")

    def message(name: str) -> descriptor_pb2.DescriptorProto:
        return file.message_type.add(name=name)

    def add(to: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str, **options: Any) -> None:
        scalar = getattr(Field, f"TYPE_{kind.upper()}", None)
        options |= {"type": scalar} if scalar else {"type": Field.TYPE_MESSAGE, "type_name": f".{_PACKAGE}.{kind}"}
        to.field.add(name=name, number=number, **({"label": Field.LABEL_OPTIONAL} | options))

    for name, kind in _LISTS.items():
        add(message(name), "value", 1, kind, label=Field.LABEL_REPEATED)
    feature = message("Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, field) in enumerate(zip(_LISTS, ("bytes_list", "float_list", "int64_list"), strict=True), 1):
        add(feature, field, number, name, oneof_index=0)
    features = message("Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, "string")
    add(entry, "value", 2, "Feature")
    add(features, "feature", 1, "Features.FeatureEntry", label=Field.LABEL_REPEATED)
    add(message("Example"), "features", 1, "Features")
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
Example = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.Example"))
