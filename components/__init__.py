"""The nodes of the pipeline: one file a stage, each returning a configured TFX node."""

from components.artifacts import DataBlessing as DataBlessing
from components.artifacts import RunReport as RunReport
