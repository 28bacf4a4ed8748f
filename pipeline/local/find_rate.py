"""Finds a learning rate with the data and the transform graph of a run; see `trainer.range_test`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from errors import UserError
from ingest.split_names import EVAL, TRAIN
from lineage.text import safe
from pipeline.config import Config
from pipeline.exit_codes import DONE, FAILED
from pipeline.local.part import Part

if TYPE_CHECKING:
    from pipeline.local.dag_runner import NodeResult
    from trainer.range_test import RangeTest


def check(config: Config) -> None:
    """Checks that a range test fits the settings.

    Raises:
      UserError: when the training has no learning rate, or would start from other weights than the test.
    """
    if config.model.reads_embeddings:
        raise UserError(
            "a range test of the learning rate expects a model.name other than probe, and model.head random, because a "
            f"probe is fitted without a learning rate; received {config.model.name} and {config.model.head}"
        )
    if config.trainer.warm_start:
        raise UserError(
            "--find-learning-rate: expected trainer.warm_start false, because the test starts from model.weights; add "
            "--set trainer.warm_start=false"
        )


def run(config: Config, console: Console, results: "dict[str, NodeResult]", log: Path) -> int:
    """Runs the test, writes the plot, prints the suggestion, and returns the exit code.

    See `print_result` for the code.

    Args:
      config: the settings of the run.
      console: the output.
      results: of the nodes of PART, by name.
      log: the run's log, after which the plot is named.
    """
    from tfx.components.trainer.fn_args_utils import FnArgs

    from pipeline.local.spinner import spinner
    from trainer import range_test

    (examples,), (graph,) = (
        results[node].outputs[output]
        for node, output in (("ImportExampleGen", "examples"), ("Transform", "transform_graph"))
    )
    files = {split: [f"{examples.uri}/Split-{split}/*"] for split in (TRAIN, EVAL)}
    fn_args = FnArgs(train_files=files[TRAIN], eval_files=files[EVAL], transform_graph_path=graph.uri)
    with spinner(console, "trains one epoch with rising learning rates …"):
        test = range_test.run(fn_args, config.recipe)
    plot = config.output / "learning-rates" / f"{log.stem}.png"
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_bytes(_png(test))
    code = print_result(console, test)
    console.print(Text("plot: ").append_text(safe(plot)), soft_wrap=True)
    return code


PART = Part(
    ("ImportExampleGen", "ImportSchemaGen", "StatisticsGen", "ExampleValidator", "DataGate", "Transform"),
    lambda config: config.data.directory,
    run,
)


def print_result(console: Console, test: "RangeTest") -> int:
    """Returns the exit code: FAILED if the loss diverged, or was not finite, in the first steps, otherwise DONE."""
    if test.lowest is None:
        console.print(
            "[red]No learning rate:[/] the loss diverges in the first steps; check the data and the settings."
        )
        return FAILED
    if test.suggestion is None:
        console.print("[yellow]Uncertain:[/] the loss does not fall more than its noise, so look at the plot.")
        console.print(f"The loss is lowest at {test.lowest:.2g}; this may be chance.", highlight=False)
    else:
        console.print(Text(f"suggested: --set trainer.learning_rate.peak={test.suggestion:.2g}", "bold"))
        console.print(f"The loss is lowest at {test.lowest:.2g}; higher rates may diverge.", highlight=False)
    return DONE


def _png(test: "RangeTest") -> bytes:
    """Draws the losses, the smoothed losses and the suggestion over the rates."""
    import vl_convert

    points = zip(test.rates, test.losses, test.smoothed, strict=True)
    rows = [{"rate": rate, "loss": loss, "smoothed": smoothed} for rate, loss, smoothed in points]
    limits = [0.9 * min(test.smoothed, default=0.0), 1.2 * max(test.losses[:10], default=1.0)]  # without the divergence
    y = {"type": "quantitative", "title": "loss of a batch", "scale": {"domain": limits}}
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "circle", "clip": True, "opacity": 0.4}, "encoding": {"y": {"field": "loss", **y}}},
        {"mark": {"type": "line", "clip": True}, "encoding": {"y": {"field": "smoothed", **y}}},
    ]
    if test.suggestion:
        suggested = [{"rate": test.suggestion}]
        layers.append({"data": {"values": suggested}, "mark": {"type": "rule", "strokeDash": [4, 4], "color": "red"}})
    axis = {"format": "~e", "tickCount": 7}
    x = {"field": "rate", "type": "quantitative", "title": "learning rate", "scale": {"type": "log"}, "axis": axis}
    spec = {"width": 640, "height": 360, "data": {"values": rows}, "encoding": {"x": x}, "layer": layers}
    return vl_convert.vegalite_to_png(spec, scale=2)
