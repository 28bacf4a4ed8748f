"""What a report is made from."""

from collections.abc import Sequence
from typing import Any, NamedTuple

RERUN_COMMAND = "python local_runner.py --config settings.yaml"  # a run on this machine
REPORT, NUMBERS = "report.html", "report.json"  # the files of a report
REPORT_NODE = "Report"  # the node that writes it


class NodeOutputs(NamedTuple):
    """A node of a run.

    Attributes:
      node: its name.
      reads: the outputs of other nodes that it reads, as 'Trainer.model'.
      artifacts: the folders of its outputs, by the output's name.
    """

    node: str
    reads: list[str]
    artifacts: dict[str, str]


class Sources(NamedTuple):
    """The settings of a run and the artifacts that it has written so far.

    Attributes:
      settings: all settings, as JSON values.
      nodes: the nodes that have outputs, in order.
      code: the digest of the code of all nodes.
      command: reruns the pipeline with the settings in `settings.yaml`.
      pushed_to: the folder that the model was pushed to.
      failed: why the run failed, if it did.
      set_aside: why the baseline was not compared, if it has other classes.
      root: the folder of all artifacts of this pipeline; the page links to artifacts inside it.
    """

    settings: dict[str, Any]
    nodes: Sequence[NodeOutputs] = ()
    code: str = ""
    command: str = ""
    pushed_to: str = ""
    failed: str = ""
    set_aside: str = ""
    root: str = ""

    def folder(self, channel: str) -> str | None:
        """Returns the folder of an output, given 'Node.output'; None if the run has not written it."""
        node, _, output = channel.partition(".")
        return next((each.artifacts.get(output) for each in self.nodes if each.node == node), None)
