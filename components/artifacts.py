"""The artifact types that TFX has not."""

from tfx import types
from tfx import v1 as tfx

Artifacts = dict[str, list[types.Artifact]]  # of a node, by its names for them


class DataBlessing(tfx.dsl.Artifact):
    """Marks the data as approved for training; blessing.json holds `examples`, the counts by split."""

    TYPE_NAME = "components.DataBlessing"  # a cluster's tasks import the type by this name, of two parts


class PhotoTable(tfx.dsl.Artifact):
    """What each photo is like: Split-NAME/photos.npz; see `components.photos`."""

    TYPE_NAME = "components.PhotoTable"


class ReportSection(tfx.dsl.Artifact):
    """A section of the report: section.json; see `components.report.sections`."""

    TYPE_NAME = "components.ReportSection"


class RunReport(tfx.dsl.Artifact):
    """The report of a run: report.html, and its numbers in report.json; see `components.report`."""

    TYPE_NAME = "components.RunReport"
