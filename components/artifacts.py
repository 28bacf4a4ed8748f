"""The artifact types of this project."""

from tfx import types
from tfx import v1 as tfx

Artifacts = dict[str, list[types.Artifact]]  # the inputs or outputs of a node, by name


class DataBlessing(tfx.dsl.Artifact):
    """Marks the data as approved for training; blessing.json contains `examples`, the number of examples by split."""

    TYPE_NAME = "components.DataBlessing"  # a task on a cluster imports the type by this name: MODULE.CLASS


class EdgeFiles(tfx.dsl.Artifact):
    """The model's files for devices: accepted/ and edge.json; see `components.edge`."""

    TYPE_NAME = "components.EdgeFiles"


class EmbeddingTable(tfx.dsl.Artifact):
    """The features of each photo, in Split-NAME/embeddings-*.npz; see `trainer.embeddings`."""

    TYPE_NAME = "components.EmbeddingTable"


class PhotoTable(tfx.dsl.Artifact):
    """The measurements of each photo, in Split-NAME/photos-*.npz; see `components.photos`.

    `edits.csv` is a copy of `data.edits`, if there is one.
    """

    TYPE_NAME = "components.PhotoTable"


class Quarantine(tfx.dsl.Artifact):
    """The records that cannot be used, and the counts of all records; see `components.quarantine`."""

    TYPE_NAME = "components.Quarantine"


class ReportSection(tfx.dsl.Artifact):
    """A section of the report: section.json; see `components.sections`."""

    TYPE_NAME = "components.ReportSection"


class RunReport(tfx.dsl.Artifact):
    """The report of a run: report.html, and its numbers in report.json; see `components.report`."""

    TYPE_NAME = "components.RunReport"
