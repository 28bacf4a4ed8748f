"""What a report is made from."""

from typing import Any, NamedTuple

RERUN_COMMAND = "python local_runner.py --config settings.yaml"  # a run on this machine
REPORT, NUMBERS = "report.html", "report.json"  # what it is written to
REPORT_NODE = "Report"  # the node that writes it


class Sources(NamedTuple):
    """The settings of a run and the folders of its artifacts; None for those that it has not made.

    Attributes:
      settings: all of them, as `pipeline.config.Config` gives them for JSON.
      code: the digest of the code of all nodes.
      command: what runs the pipeline again with the settings in `settings.yaml`.
      pushed_to: where the model was pushed.
      failed: why the run has not come to its end, if it failed.
      set_aside: why the baseline was not compared with, if it was not: it has other classes.
      root: the folder that holds all artifacts of this pipeline and the report, if any: what lies in it is linked.
    """

    settings: dict[str, Any]
    code: str = ""
    command: str = ""
    pushed_to: str = ""
    failed: str = ""
    set_aside: str = ""
    root: str = ""
    examples: str | None = None
    schema: str | None = None
    statistics: str | None = None
    anomalies: str | None = None
    data_blessing: str | None = None
    transform_graph: str | None = None
    best_hyperparameters: str | None = None
    base_model: str | None = None
    model: str | None = None
    model_run: str | None = None
    baseline_model: str | None = None
    baseline_examples: str | None = None
    evaluation: str | None = None
    blessing: str | None = None
    pushed_model: str | None = None


class Node(NamedTuple):
    """A node of the pipeline: what it reads and writes, by the names in `Sources`."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


NODES = (
    Node("ImportExampleGen", (), ("examples",)),
    Node("ImportSchemaGen", (), ("schema",)),
    Node("StatisticsGen", ("examples", "schema"), ("statistics",)),
    Node("ExampleValidator", ("statistics", "schema"), ("anomalies",)),
    Node("DataGate", ("examples", "statistics", "anomalies"), ("data_blessing",)),
    Node("Transform", ("examples", "schema"), ("transform_graph",)),
    Node("Tuner", ("examples", "transform_graph", "schema"), ("best_hyperparameters",)),
    Node("WarmStart", (), ("base_model",)),
    Node(
        "Trainer",
        ("examples", "transform_graph", "schema", "best_hyperparameters", "base_model"),
        ("model", "model_run"),
    ),
    Node("LatestBlessedModel", ("model",), ("baseline_model", "baseline_examples")),
    Node("Evaluator", ("examples", "model", "baseline_model"), ("evaluation", "blessing")),
    Node("Pusher", ("model", "blessing"), ("pushed_model",)),
)
