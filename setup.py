"""Lists what the package holds: the code, its curated schemas, presets and pages. pyproject.toml has the rest."""

from setuptools import setup

setup(
    packages=[
        "serving",
        "pipeline",
        "pipeline.local",
        "pipeline.cluster",
        "pipeline.cluster.launcher",
        "pipeline.presets",
        "components",
        "trainer",
        "trainer.augmentation",
        "trainer.models",
        "schemas",
        "storage",
        "ingest",
        "ingest.checking",
        "ingest.layouts",
        "lineage",
        "lineage.remote",
        "components.bulk",
        "components.data_review",
        "components.edge",
        "components.report",
        "components.serving_check",
        "components.serving_skew",
    ],
    py_modules=["errors"],
    package_data={
        "serving": ["pages/*"],
        "pipeline.presets": ["*.yaml"],
        "schemas": ["*.pbtxt"],
        "lineage": ["pages/*"],
        "components.report": ["templates/*"],
        "ingest": ["templates/*"],
    },
)
