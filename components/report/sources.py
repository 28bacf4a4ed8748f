"""The sources of a report: the settings and the artifacts of a run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ingest.split_names import EVAL

RERUN_COMMAND = "python local_runner.py --config settings.yaml"  # for a run on this machine
REPORT, NUMBERS = "report.html", "report.json"  # the files of a report
REPORT_NODE = "Report"  # the node that writes the report
VERSION_REPORT, VERSION_VERDICT = (f"assets.extra/{name}" for name in (REPORT, "verdict.json"))  # in a pushed version
# For servers of the page, which embeds its style and pictures. Its content may come from hostile data.
POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class NodeOutputs(NamedTuple):
    """A node of a run.

    Attributes:
      node: the node's name.
      reads: the outputs of other nodes that the node reads, for example 'Trainer.model'.
      artifacts: the folders of the node's outputs, by the name of the output.
    """

    node: str
    reads: list[str]
    artifacts: dict[str, str]


class Sources(NamedTuple):
    """The settings of a run and the artifacts that the run has written so far.

    Attributes:
      settings: all settings as JSON values. The report displays them and computes only with the properties below.
      nodes: the nodes that have outputs, in the order of the pipeline.
      code: the digest of the code of all nodes.
      command: the command that reruns the pipeline with the settings in `settings.yaml`.
      pushed_to: the folder of the pushed model, or ''.
      failed: why the run failed, or ''.
      set_aside: why the baseline was not compared with the candidate (its classes differ), or ''.
      judged: the split that the Evaluator judged.
      root: the folder of all artifacts of this pipeline; the page links to artifacts in it.
    """

    settings: dict[str, Any]
    nodes: Sequence[NodeOutputs] = ()
    code: str = ""
    command: str = ""
    pushed_to: str = ""
    failed: str = ""
    set_aside: str = ""
    judged: str = EVAL
    root: str = ""

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.settings["name"]

    @property
    def classes(self) -> list[str]:
        """The class names, in the order of the indices."""
        return self.settings["data"]["classes"]

    @property
    def pixels(self) -> tuple[int, str]:
        """The side of the model's input and how photos are resized; see `trainer.images.resize`."""
        return self.settings["data"]["image_size"], self.settings["data"]["resize"]

    @property
    def data_directory(self) -> str:
        """The folder or URI of the data; '' if the settings have none."""
        return self.settings["data"]["directory"] or ""

    @property
    def provenance(self) -> str:
        """How the data were made, or ''."""
        return self.settings["data"].get("provenance", "")

    def folder(self, channel: str) -> str | None:
        """Returns the folder of an output, given 'Node.output'; None if the run has not written it."""
        node, _, output = channel.partition(".")
        return next((each.artifacts.get(output) for each in self.nodes if each.node == node), None)
