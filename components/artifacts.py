"""The artifact types that TFX has not."""

from tfx import types
from tfx import v1 as tfx

Artifacts = dict[str, list[types.Artifact]]  # of a node, by its names for them


class DataBlessing(tfx.dsl.Artifact):
    """The word that the data may be used: `examples`, counts by split, in blessing.json."""

    TYPE_NAME = "components.DataBlessing"  # a cluster's tasks import the type by this name, of two parts


class RunReport(tfx.dsl.Artifact):
    """The report of a run: report.html, and its numbers in report.json; see `lineage.report`."""

    TYPE_NAME = "components.RunReport"
