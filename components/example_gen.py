"""Reads the record files and writes the splits train, eval and test, divided by files or by records."""

import hashlib
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from google.protobuf import json_format, struct_pb2
from rich.filesize import decimal
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.example_gen.driver import FileBasedDriver
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME, SPAN_PROPERTY_NAME, VERSION_PROPERTY_NAME
from tfx.components.example_gen.write_split import to_file_format_str
from tfx.components.util import examples_utils
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from components import record_order
from components.artifacts import Artifacts
from components.stage import Stage
from ingest.records import INPUT_FILES, list_files, splits_of_files
from ingest.split_names import EVAL, SPLITS, TEST, TRAIN

_FILES = "_files"  # the execution property in which Do passes the list of files to the transforms
_MAX_DIGESTS = 1000  # files; the digests of more files would add over 100 kB to ML Metadata in each run


class Driver(FileBasedDriver):
    """FileBasedExampleGen's driver with a fingerprint of the names, sizes and times of the files that are read.

    The fingerprint includes names because the names decide which files are held out. Vertex AI runs TFX's own driver,
    whose fingerprint has only the number of matching files, their sizes and times. The property INPUT_FILES has a
    digest of each file, from which `lineage why` lists the files that changed.
    """

    def resolve_exec_properties(self, exec_properties: dict[str, Any], *args: Any) -> dict[str, Any]:
        """Adds the fingerprint and span 0. The method of the base class would list and stat the files again."""
        files = _files(exec_properties)
        stats = [tf.io.gfile.stat(file) for file in files]
        versions = [f"{stat.length}\0{stat.mtime_nsec}" for stat in stats]
        digest = _digest("".join(f"{file}\0{each}\0" for file, each in zip(files, versions, strict=True)))
        total = sum(stat.length for stat in stats)
        resolved = {
            **exec_properties,
            SPAN_PROPERTY_NAME: 0,
            VERSION_PROPERTY_NAME: None,
            FINGERPRINT_PROPERTY_NAME: f"split:all,num_files:{len(files)},total_bytes:{total},sha256:{digest}",
        }
        if len(files) <= _MAX_DIGESTS:
            base = exec_properties["input_base"].rstrip("/") + "/"
            names = [file.removeprefix(base) for file in files]
            resolved[INPUT_FILES] = json.dumps(dict(zip(names, map(_digest, versions), strict=True)))
        return resolved


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class HashSplitExecutor(BaseExampleGenExecutor):
    """ImportExampleGen's executor for the files of `ingest.records.list_files`, divided by the hash of each record.

    It writes with `record_order.Write`, so that the same records always have the same order.
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Writes the splits. The method of the base class would not write the records in a fixed order."""
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        files = _files(exec_properties)
        count = record_order.shard_count(sum(tf.io.gfile.stat(file).length for file in files))
        with self._make_beam_pipeline() as pipeline:
            splits = self.GenerateExamplesByBeam(pipeline, {**exec_properties, _FILES: files})
            examples.split_names = artifact_utils.encode_split_names(list(splits))
            for split, records in splits.items():
                folder = artifact_utils.get_split_uri([examples], split)
                _ = records | f"Write[{split}]" >> record_order.Write(folder, count)
        examples_utils.set_payload_format(examples, exec_properties["output_data_format"])
        examples_utils.set_file_format(examples, to_file_format_str(exec_properties["output_file_format"]))

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:  # noqa: N802 (TFX's name)
        """Returns the transform that reads tf.Examples from the files; TFX then divides them by hash."""
        return _read_examples


class ShardSplitExecutor(HashSplitExecutor):
    """Divides the files; see `ingest.records.splits_of_files`."""

    def GenerateExamplesByBeam(  # noqa: N802 (TFX's name)
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.pvalue.PCollection]:
        """Returns the serialized examples of each split."""
        files, options = _files(exec_properties), _options(exec_properties)
        splits = splits_of_files(files, options["split"], options["eval_fraction"], options["test_fraction"])
        return {
            split: pipeline
            | f"Files[{split}]"
            >> beam.Create([file for file, each in zip(files, splits, strict=True) if each == split])
            | f"Read[{split}]" >> beam.io.ReadAllFromTFRecord()
            for split in SPLITS
            if split in splits
        }


def _options(exec_properties: dict[str, Any]) -> struct_pb2.Struct:
    custom = json_format.Parse(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
    options = struct_pb2.Struct()
    custom.custom_config.Unpack(options)
    return options


@beam.ptransform_fn
@beam.typehints.with_input_types(beam.Pipeline)
@beam.typehints.with_output_types(tf.train.Example)
def _read_examples(pipeline: beam.Pipeline, exec_properties: dict[str, Any], pattern: str) -> beam.pvalue.PCollection:
    del pattern  # the file list in the properties comes from the same pattern
    return (
        pipeline
        | beam.Create(_files(exec_properties))
        | beam.io.ReadAllFromTFRecord()
        | beam.Map(tf.train.Example.FromString)
    )


def _files(exec_properties: dict[str, Any]) -> list[str]:
    """Returns the record files. Uses the list that Do passes, because listing a large bucket takes seconds."""
    if _FILES in exec_properties:
        return exec_properties[_FILES]
    config = json_format.Parse(exec_properties["input_config"], example_gen_pb2.Input())
    return list_files(exec_properties["input_base"], config.splits[0].pattern)


class ListingExampleGen(FileBasedExampleGen):
    """FileBasedExampleGen that reads exactly the files of `ingest.records.list_files`."""

    DRIVER_CLASS = Driver


def example_gen(
    input_base: str, pattern: str, split: str, eval_fraction: float, test_fraction: float
) -> FileBasedExampleGen:
    """Returns the ExampleGen.

    Args:
      input_base: the folder of the record files.
      pattern: matches the files, relative to `input_base`.
      split: see `ingest.records.splits_of_files`; 'hash' divides the records by their hash.
      eval_fraction: between 0 and 1.
      test_fraction: at least 0, less than 1; 0 for no test split.
    """
    options = struct_pb2.Struct()
    options.update({"split": split, "eval_fraction": eval_fraction, "test_fraction": test_fraction})
    custom = example_gen_pb2.CustomConfig()
    custom.custom_config.Pack(options)
    # ShardSplitExecutor does not read the splits
    buckets = {EVAL: max(1, round(100 * eval_fraction)), TEST: round(100 * test_fraction)}
    buckets = {TRAIN: max(1, 100 - sum(buckets.values())), **buckets}
    Split = example_gen_pb2.SplitConfig.Split  # noqa: N806 (a class)
    splits = [Split(name=name, hash_buckets=count) for name, count in buckets.items() if count]
    executor = HashSplitExecutor if split == "hash" else ShardSplitExecutor
    return ListingExampleGen(
        input_base=input_base,
        input_config=example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern=pattern)]),
        output_config=example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=splits)),
        custom_config=custom,
        custom_executor_spec=executor_spec.BeamExecutorSpec(executor),
    )


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (examples,) = outputs["examples"]
    size = sum(path.stat().st_size for path in Path(examples.uri).rglob("*.gz"))
    return f"{decimal(size)} from {properties['input_base']}"


STAGE = Stage("ImportExampleGen", ("examples",), _figure, parameters={"data": "input_base"})
