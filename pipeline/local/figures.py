"""The key figure of each node, for its line on the terminal, read from what the node put out."""

import json
from collections.abc import Callable
from pathlib import Path

import tensorflow_data_validation as tfdv
from rich.filesize import decimal
from tfx.types import artifact_utils

from components import checks
from components.report.sources import REPORT
from pipeline.config import Config
from pipeline.local.dag_runner import NodeResult, Outputs
from trainer.features import HISTORY, SET_ASIDE


def figure(result: NodeResult, config: Config) -> str:
    """Returns a few words about a node's output, or nothing for a node that has no figure."""
    describe = _FIGURES.get(result.node)
    return describe(result.outputs, config) if describe else ""


def history(outputs: Outputs) -> dict:
    """Returns what the trainer recorded; see `trainer.run`."""
    return json.loads((Path(outputs["model_run"][0].uri) / HISTORY).read_text())


def plural(count: int, noun: str) -> str:
    """Returns the count with its noun, as in '1 epoch' and '7 epochs'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _examples(outputs: Outputs, config: Config) -> str:
    uri = Path(outputs["examples"][0].uri)
    size = sum(path.stat().st_size for path in uri.rglob("*.gz"))
    return f"{decimal(size)} from {config.data.directory}"


def _statistics(outputs: Outputs, config: Config) -> str:
    artifact = outputs["statistics"][0]
    counts = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        stats = tfdv.load_stats_binary(f"{artifact_utils.get_split_uri([artifact], split)}/FeatureStats.pb")
        counts.append(f"{stats.datasets[0].num_examples:,.0f} {split}")
    return " · ".join(counts)


def _gate(outputs: Outputs, config: Config) -> str:
    counts = json.loads((Path(outputs["blessing"][0].uri) / "blessing.json").read_text())["examples"]
    return f"{sum(counts.values()):,} photos keep the schema and can be decoded"


def _transform(outputs: Outputs, config: Config) -> str:
    data = config.data
    return f"{data.resize} to {data.image_size}×{data.image_size}×{data.channels}, normalised by {data.normalize}"


def _trainer(outputs: Outputs, config: Config) -> str:
    record = history(outputs)
    best = f"val_accuracy {max(record['history']['val_accuracy']):.3f} in epoch {record['best_epoch']}"
    return f"{best} of {record['epochs']} · {record['devices']}"


def _tuner(outputs: Outputs, config: Config) -> str:
    path = Path(outputs["best_hyperparameters"][0].uri) / "best_hyperparameters.txt"
    best = json.loads(path.read_text())["values"]
    return " · ".join(f"{key} {value}" for key, value in best.items())


def _baseline(outputs: Outputs, config: Config) -> str:
    models = outputs.get("model")
    return f"model {models[0].id}" if models else "no other blessed model"


def _evaluator(outputs: Outputs, config: Config) -> str:
    evaluation = checks.read(outputs)
    verdict = "blessed" if evaluation.blessed else "not blessed"
    reason = outputs["evaluation"][0].get_string_custom_property(SET_ASIDE)
    aside = f" · no comparison with the baseline, only the floors apply: {reason}" if reason else ""
    return f"accuracy {evaluation.accuracy:.3f} · {verdict}{aside}"


def _pusher(outputs: Outputs, config: Config) -> str:
    pushed = outputs["pushed_model"][0].get_string_custom_property("pushed_destination")
    return pushed or "not pushed"


def _report(outputs: Outputs, config: Config) -> str:
    return decimal((Path(outputs["report"][0].uri) / REPORT).stat().st_size)


_FIGURES: dict[str, Callable[[Outputs, Config], str]] = {
    "ImportExampleGen": _examples,
    "StatisticsGen": _statistics,
    "DataGate": _gate,
    "Transform": _transform,
    "Tuner": _tuner,
    "WarmStart": _baseline,
    "Trainer": _trainer,
    "LatestBlessedModel": _baseline,
    "Evaluator": _evaluator,
    "Pusher": _pusher,
    "Report": _report,
}
