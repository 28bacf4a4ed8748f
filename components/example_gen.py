"""Records in, Examples out: the train and the eval split, by whole shards or by record."""

from typing import Any

import apache_beam as beam
import tensorflow as tf
from google.protobuf import json_format, struct_pb2
from tfx import v1 as tfx
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.example_gen.import_example_gen.executor import Executor as ImportExecutor
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from datasets.records import held_out_shards


class ShardSplitExecutor(ImportExecutor):
    """ImportExampleGen's executor, with the first shards (sorted by name) as the eval split."""

    def GenerateExamplesByBeam(  # noqa: N802 (TFX's own name)
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.pvalue.PCollection]:
        """Reads each split from its own files; see the base class."""
        config = json_format.Parse(exec_properties["input_config"], example_gen_pb2.Input())
        custom = json_format.Parse(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
        options = struct_pb2.Struct()
        custom.custom_config.Unpack(options)
        files = sorted(tf.io.gfile.glob(tf.io.gfile.join(exec_properties["input_base"], config.splits[0].pattern)))
        held_out = held_out_shards(len(files), options["eval_fraction"])
        return {
            split: pipeline
            | f"Files[{split}]" >> beam.Create(paths)
            | f"Read[{split}]" >> beam.io.ReadAllFromTFRecord()
            for split, paths in (("train", files[held_out:]), ("eval", files[:held_out]))
        }


def by_shards(input_base: str, pattern: str, eval_fraction: float) -> FileBasedExampleGen:
    """Returns an ImportExampleGen whose eval split is about `eval_fraction` of the files, the first ones by name."""
    options = struct_pb2.Struct()
    options.update({"eval_fraction": eval_fraction})
    custom = example_gen_pb2.CustomConfig()
    custom.custom_config.Pack(options)
    return FileBasedExampleGen(
        input_base=input_base,
        input_config=_one_input(pattern),
        output_config=_output(eval_buckets=50),  # names the splits; the executor fills them by shard
        custom_config=custom,
        custom_executor_spec=executor_spec.BeamExecutorSpec(ShardSplitExecutor),
    ).with_id("ImportExampleGen")


def by_hash(input_base: str, pattern: str, eval_fraction: float) -> tfx.components.ImportExampleGen:
    """Returns an ImportExampleGen whose eval split is about `eval_fraction` of the records, by their hash."""
    return tfx.components.ImportExampleGen(
        input_base=input_base,
        input_config=_one_input(pattern),
        output_config=_output(eval_buckets=max(1, min(99, round(100 * eval_fraction)))),
    )


def _one_input(pattern: str) -> example_gen_pb2.Input:
    return example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern=pattern)])


def _output(eval_buckets: int) -> example_gen_pb2.Output:
    split = example_gen_pb2.SplitConfig.Split
    return example_gen_pb2.Output(
        split_config=example_gen_pb2.SplitConfig(
            splits=[
                split(name="train", hash_buckets=100 - eval_buckets),
                split(name="eval", hash_buckets=eval_buckets),
            ]
        )
    )
