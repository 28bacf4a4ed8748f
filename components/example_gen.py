"""Reads the record files, checks each record, and writes the splits train, eval and test.

Records that cannot be used go to the quarantine. The data gate stops the run if there are too many of them.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import tensorflow as tf
from apache_beam.options.pipeline_options import StandardOptions
from google.protobuf import json_format, struct_pb2
from rich.filesize import decimal
from tfx import types
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.example_gen.driver import FileBasedDriver
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME, SPAN_PROPERTY_NAME, VERSION_PROPERTY_NAME
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter
from tfx.types.standard_component_specs import FileBasedExampleGenSpec

from components import edits, hash_split, quarantine, record_order
from components.artifacts import Artifacts, PhotoTable, Quarantine
from components.edits import Applied
from components.quarantine import QUARANTINE
from components.record_check import Expected, Good, LeftOut, check_file
from components.record_order import Folders
from components.stage import Stage
from ingest.bad_records import BadRecord
from ingest.label_edits import Edits
from ingest.records import INPUT_FILES, list_files, splits_of_files
from ingest.split_names import SPLITS
from storage.files import fileio

_COUNT_IN_NAME = re.compile(r"\d-(\d+)\.tfrec$")  # the form of the public flowers: flowers00-230.tfrec
_MAX_DIGESTS = 1000  # files; the digests of more files would add over 100 kB to ML Metadata in each run
_ROUND_BYTES = 64 * 2**20  # of record files that one pipeline of the DirectRunner reads, because it groups in memory


class Driver(FileBasedDriver):
    """FileBasedExampleGen's driver with a fingerprint of the names, sizes and times of the files that are read.

    The fingerprint includes names because the names decide which files are held out. Vertex AI runs TFX's own driver,
    whose fingerprint has only the number of matching files, their sizes and times. The property INPUT_FILES has a
    digest of each file, from which `lineage why` lists the files that changed. The property `edits_sha256` follows
    the content of `data.edits`.
    """

    def resolve_exec_properties(self, exec_properties: dict[str, Any], *args: Any) -> dict[str, Any]:
        """Adds the fingerprint and span 0. The method of the base class would list and stat the files again."""
        files = _files(exec_properties)
        stats = [fileio.stat(file) for file in files]
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
            names = [_name(file, exec_properties) for file in files]
            resolved[INPUT_FILES] = json.dumps(dict(zip(names, map(_digest, versions), strict=True)))
        if corrections := _corrections(_options(exec_properties)):
            resolved[edits.DIGEST_PROPERTY] = corrections.sha256
        return resolved


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _File(NamedTuple):
    """A record file.

    Attributes:
      path: the file, local or in a bucket.
      name: its name in messages.
      split: its split, or '' if records are divided by their hash.
      size: its length in bytes.
    """

    path: str
    name: str
    split: str
    size: int


class _Round(NamedTuple):
    """Files whose records are sorted together, and the numbers of the shards that they are written to."""

    files: list[_File]
    shards: list[int]


_KEYED = tuple[tuple[str, int], Any]  # gives the key a deterministic coder


class Executor(BaseBeamExecutor):
    """Reads, checks and divides the records; writes them with `record_order.Write`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Writes the examples, the table of the photos and the quarantine."""
        (examples,), (table,), (bad,) = (output_dict[name] for name in ("examples", "table", QUARANTINE))
        folders = Folders(examples.uri, table.uri, bad.uri)
        options = _options(exec_properties)
        corrections = _corrections(options)
        files = _split_files(exec_properties, options)
        splits = [
            split for split in SPLITS if split in {file.split for file in files} | set(hash_split.fractions(options))
        ]
        rounds = _rounds(files)
        total = sum(len(each.shards) for each in rounds)
        for number, parts in enumerate([[each] for each in rounds] if self._groups_in_memory() else [rounds]):
            with self._make_beam_pipeline() as pipeline:
                written = []
                for index, part in enumerate(parts):
                    step = f"Round{number + index}"
                    written += _check_and_write(
                        pipeline, step, part, options | {"edits": corrections}, folders, splits, total
                    )
                _ = (
                    written
                    | beam.Flatten()
                    | beam.combiners.ToList()
                    | beam.Map(quarantine.write_counts, folders.quarantine, number)
                )
        counts = quarantine.merge_counts(folders.quarantine, corrections)
        if counts.edited:
            edits.record(counts.edited, options["edits"], table, examples)
        examples.split_names = artifact_utils.encode_split_names(splits)
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")

    def _groups_in_memory(self) -> bool:
        runner = self._make_beam_pipeline().options.view_as(StandardOptions).runner
        return runner in (None, "DirectRunner")


def _check_and_write(
    pipeline: beam.Pipeline,
    step: str,
    part: _Round,
    options: dict[str, Any],
    folders: Folders,
    splits: Sequence[str],
    total: int,
) -> list[beam.PCollection]:
    """Adds the steps for the files of a round; returns the counts of the files that are read and written."""
    expected = Expected(options["classes"], options["features"], options["first_class"], options["edits"])
    checked = (
        pipeline
        | f"{step}Files" >> beam.Create(part.files)
        | f"{step}Shuffle" >> beam.Reshuffle()
        | f"{step}Check"
        >> beam.FlatMap(_keyed, expected, options, part.shards)
        .with_output_types(_KEYED)
        .with_outputs("sources", main="records")
    )
    written = checked.records | f"{step}Write" >> record_order.Write(folders, splits, part.shards, total)
    return [checked.sources, written]


def _keyed(file: _File, expected: Expected, options: dict[str, Any], shards: Sequence[int]) -> Iterator[Any]:
    """Yields ((split or QUARANTINE, shard), Good or BadRecord) for each record, and the file's counts as 'sources'."""
    good, bad, lost = 0, 0, 0
    applied: list[Applied] = []
    for each in check_file(file.path, file.size, file.name, expected):
        if isinstance(each, LeftOut):
            split = file.split or (hash_split.split_of_photo(each.image, options) if each.image else edits.NO_SPLIT)
            applied.append(Applied(*each.edit, split=split, photo=""))
            continue
        key = each.data if isinstance(each, Good) else f"{each.source} {each.record}".encode()
        shard = shards[record_order.shard_of(key, len(shards))]
        if isinstance(each, BadRecord):
            bad, lost = bad + 1, lost + each.lost
            yield (QUARANTINE, shard), each
        else:
            good, split = good + 1, file.split or hash_split.split_of(each.data, options)
            if each.edit:
                applied.append(Applied(*each.edit, split=split, photo=bytes(each.measured.digest).hex()))
            yield (split, shard), each
    dropped = sum(each.kind == edits.DROPPED for each in applied)
    counts = quarantine.SourceCounts(file.name, good, bad, lost, _named_count(file.name, options), dropped)
    yield beam.pvalue.TaggedOutput("sources", counts._asdict())
    yield beam.pvalue.TaggedOutput("sources", edits.as_row(applied))


def _named_count(name: str, options: dict[str, Any]) -> int | None:
    found = _COUNT_IN_NAME.search(name) if options["counts_in_names"] else None
    return int(found[1]) if found else None


def _split_files(exec_properties: dict[str, Any], options: dict[str, Any]) -> list[_File]:
    paths = _files(exec_properties)
    sizes = [fileio.stat(path).length for path in paths]
    empty = {path for path, size in zip(paths, sizes, strict=True) if not size}
    splits = splits_of_files(paths, options["split"], options["eval_fraction"], options["test_fraction"], empty)
    named = zip(paths, splits or [""] * len(paths), sizes, strict=True)
    return [_File(path, _name(path, exec_properties), split, size) for path, split, size in named]


def _rounds(files: Sequence[_File]) -> list[_Round]:
    """Divides the files into rounds of about _ROUND_BYTES. Neighbours are in different rounds, so that classes mix."""
    count = min(len(files), max(1, round(sum(file.size for file in files) / _ROUND_BYTES)))
    rounds, first = [], 0
    for number in range(count):
        part = list(files[number::count])
        shards = record_order.shard_count(sum(file.size for file in part))
        rounds.append(_Round(part, list(range(first, first + shards))))
        first += shards
    return rounds


def _options(exec_properties: dict[str, Any]) -> dict[str, Any]:
    custom = json_format.Parse(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
    options = struct_pb2.Struct()
    custom.custom_config.Unpack(options)
    values = json_format.MessageToDict(options)
    return {**values, "first_class": int(values["first_class"])}  # a Struct has only floats


def _corrections(options: dict[str, Any]) -> Edits | None:
    return edits.read(options["edits"], options["classes"]) if options["edits"] else None


def _files(exec_properties: dict[str, Any]) -> list[str]:
    config = json_format.Parse(exec_properties["input_config"], example_gen_pb2.Input())
    return list_files(exec_properties["input_base"], config.splits[0].pattern)


def _name(path: str, exec_properties: dict[str, Any]) -> str:
    return path.removeprefix(exec_properties["input_base"].rstrip("/") + "/")


class Spec(FileBasedExampleGenSpec):
    """FileBasedExampleGen's spec with the table and the quarantine."""

    OUTPUTS = {
        **FileBasedExampleGenSpec.OUTPUTS,
        "table": ChannelParameter(type=PhotoTable),
        QUARANTINE: ChannelParameter(type=Quarantine),
    }


class CheckingExampleGen(FileBasedExampleGen):
    """FileBasedExampleGen that reads exactly the files of `ingest.records.list_files`, and checks each record."""

    SPEC_CLASS = Spec
    DRIVER_CLASS = Driver
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, input_base: str, pattern: str, options: dict[str, Any]):
        packed = struct_pb2.Struct()
        packed.update(options)  # not as text: ML Metadata cannot store backslashes in PostgreSQL
        custom = example_gen_pb2.CustomConfig()
        custom.custom_config.Pack(packed)
        spec = Spec(
            input_base=input_base,
            input_config=example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern=pattern)]),
            output_config=example_gen_pb2.Output(),
            output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
            output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
            custom_config=custom,
            examples=types.Channel(type=standard_artifacts.Examples),
            table=types.Channel(type=PhotoTable),
            quarantine=types.Channel(type=Quarantine),
        )
        base_beam_component.BaseBeamComponent.__init__(self, spec=spec)


def example_gen(input_base: str, pattern: str, **options: Any) -> FileBasedExampleGen:
    """Returns the ExampleGen.

    Args:
      input_base: the folder of the record files.
      pattern: matches the files, relative to `input_base`.
      **options: the settings of the section `data` with the same names: classes, features, first_class, split,
        eval_fraction, test_fraction, counts_in_names and edits.
    """
    return CheckingExampleGen(input_base, pattern, options)


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (bad,) = outputs[QUARANTINE]
    counts = quarantine.read_counts(bad.uri)
    size = decimal(sum(tf.io.gfile.stat(path).length for path in tf.io.gfile.glob(f"{outputs['examples'][0].uri}/*/*")))
    return " · ".join([f"{size} from {properties['input_base']}", *quarantine.notices(counts)])


STAGE = Stage("ImportExampleGen", ("examples", "table", QUARANTINE), _figure, parameters={"data": "input_base"})
