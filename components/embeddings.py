"""Computes the features of every photo by frozen, pretrained trunks, and keeps them for other nodes.

Each shard of the examples is one piece of work for Beam.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils

from components.artifacts import Artifacts, EmbeddingTable
from components.photos import digests
from components.stage import Stage, plural
from errors import UserError
from ingest.split_names import TRAIN
from trainer import embeddings as table
from trainer import input_pipeline, trunks
from trainer.features import PIXELS
from trainer.settings import Embeddings, Trunk

# a row for each shard: its split, its number of photos, the number of features, and the photos with NaN or Inf in them
_COUNTS = "counts.json"


class Executor(BaseBeamExecutor):
    """Writes the features of all splits."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Converts the trunks, and computes the features of each shard; see the base class.

        Raises:
          UserError: when features are NaN or Inf.
        """
        examples, (graph,), (output,) = input_dict["examples"], input_dict["transform_graph"], output_dict["embeddings"]
        settings = Embeddings.model_validate_json(exec_properties["settings"])
        size, *_ = tft.TFTransformOutput(graph.uri).transformed_feature_spec()[PIXELS].shape
        lite = f"{output.uri}/trunks.tflite"  # the workers read it; the artifact does not keep it
        with tf.io.gfile.GFile(lite, "wb") as file:
            file.write(trunks.to_lite(settings.trunks, size))
        origin = {"trunks": settings.model_dump(mode="json")["trunks"], "pixels": json.loads(exec_properties["pixels"])}
        table.write_origin(output.uri, origin)
        splits = artifact_utils.decode_split_names(examples[0].split_names)
        files = [(split, file) for split in splits for file in _files(examples, split)]
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create(files)
                | beam.Reshuffle()
                | beam.ParDo(_Compute(graph.uri, lite, output.uri, settings.views))
                | beam.combiners.ToList()
                | beam.Map(lambda rows: io_utils.write_string_file(f"{output.uri}/{_COUNTS}", json.dumps(sorted(rows))))
            )
        tf.io.gfile.remove(lite)
        if any(damaged for *_, damaged in _counts(output)):
            raise UserError(_not_finite(output.uri, splits, settings.trunks, size))


def _counts(output: types.Artifact) -> list[tuple[str, int, int, int]]:
    return [tuple(row) for row in json.loads(io_utils.read_string_file(f"{output.uri}/{_COUNTS}"))]


def _not_finite(folder: str, splits: Sequence[str], used: Sequence[Trunk], size: int) -> str:
    """Returns an error with the number of photos that have features with NaN or Inf, by trunk."""
    rows = np.concatenate([~np.isfinite(table.read(folder, split, views=True).features) for split in splits])
    parts = np.split(rows, np.cumsum(trunks.widths(used, size))[:-1], axis=1)
    counts = [(trunk.name, part.any(axis=1).sum()) for trunk, part in zip(used, parts, strict=True)]
    received = " and ".join(f"{name} for {count:,} of {len(rows):,} photos" for name, count in counts if count)
    return (
        f"embeddings.trunks: expected finite features, received NaN or Inf from {received}. The weights are damaged, "
        "or the features exceed 65,504, the limit of float16; give the trunk other weights, or choose another trunk or "
        "layer"
    )


def _files(examples: list[types.Artifact], split: str) -> list[str]:
    return sorted(tf.io.gfile.glob(io_utils.all_files_pattern(artifact_utils.get_split_uri(examples, split))))


class _Compute(beam.DoFn):
    """Writes the features of a shard, given its split and file; returns a row of _COUNTS."""

    def __init__(self, graph: str, lite: str, folder: str, views: Sequence[str]):
        self._graph, self._lite, self._folder, self._views = graph, lite, folder, views

    def setup(self) -> None:
        """Loads the transform graph and the trunks, once in each worker."""
        self._transform = tft.TFTransformOutput(self._graph)
        with tf.io.gfile.GFile(self._lite, "rb") as file:
            self._features = trunks.with_lite(file.read())

    def process(self, element: tuple[str, str]) -> Iterator[tuple[str, int, int, int]]:
        """Computes and writes the features."""
        split, file = element
        names = (table.ORIGINAL, *(self._views if split == TRAIN else ()))
        shards: dict[str, list[table.Embeddings]] = {name: [] for name in names}
        damaged = 0
        for records, pixels, labels in input_pipeline.with_records(file, self._transform, trunks.BATCH):
            finite = np.ones(len(labels), bool)
            for name, rows in shards.items():
                with np.errstate(over="ignore"):  # reported below
                    features = self._features(trunks.VIEWS[name](pixels).numpy()).astype(np.float16)
                finite &= np.isfinite(features).all(axis=1)
                rows.append(table.Embeddings(digests(records).numpy(), labels.numpy(), features))
            damaged += int((~finite).sum())
        shard = Path(file).name.partition("-")[2].removesuffix(".gz")
        table.write(shards, self._folder, split, shard)
        photos = shards[table.ORIGINAL]
        width = photos[0].features.shape[1] if photos else 0
        yield split, sum(len(rows.labels) for rows in photos), width, damaged


class Spec(ComponentSpec):
    """The node's interface; `settings` and `pixels` are a `trainer.settings.Embeddings` and a `Pixels` as JSON."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("settings", "pixels")}
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {"embeddings": ChannelParameter(type=EmbeddingTable)}


class EmbeddingsOfPhotos(base_beam_component.BaseBeamComponent):
    """The node Embeddings."""

    SPEC_CLASS = Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def embeddings(
    examples: types.BaseChannel, transform_graph: types.BaseChannel, settings: Embeddings, pixels: dict[str, Any]
) -> EmbeddingsOfPhotos:
    """Returns the node. Its cache key contains the digests of the trunks' weights, which are in the settings.

    Args:
      examples: the photos.
      transform_graph: the graph that turns photos into pixels.
      settings: the trunks.
      pixels: the settings of the graph, a `Pixels` as JSON values.
    """
    output = types.Channel(type=EmbeddingTable)
    return EmbeddingsOfPhotos(
        Spec(
            examples=examples,
            transform_graph=transform_graph,
            settings=settings.model_dump_json(),
            pixels=json.dumps(pixels),
            embeddings=output,
        )
    )


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    rows = _counts(outputs["embeddings"][0])
    features = max(width for _, _, width, _ in rows)
    return f"{features:,} features of {plural(sum(count for _, count, *_ in rows), 'photo')}"


STAGE = Stage("Embeddings", ("embeddings",), _figure)
