"""Packages the pipeline: the code, its curated schemas and its presets."""

from setuptools import setup

setup(
    name="tfx-photo-pipeline",
    version="0.1.0",
    description="Labelled photos in, a gated SavedModel out: a TFX pipeline",
    python_requires=">=3.11,<3.12",
    packages=[
        "pipeline",
        "pipeline.cluster",
        "pipeline.cluster.launcher",
        "pipeline.presets",
        "components",
        "trainer",
        "trainer.models",
        "schemas",
        "datasets",
        "lineage",
        "lineage.report",
    ],
    package_data={
        "pipeline.presets": ["*.yaml"],
        "schemas": ["*.pbtxt"],
        "lineage": ["pages/*"],
        "lineage.report": ["templates/*"],
    },
    install_requires=[
        "tfx==1.16.0",
        "apache-beam==2.67.0",
        "filelock",
        "flask>=3.1",
        "google-cloud-aiplatform",
        "google-crc32c",
        "jinja2",
        "kfp>=2",
        "ml-metadata",
        "pillow",
        "platformdirs",
        "psutil",
        "pydantic>=2",
        "pyyaml",
        "requests",
        "rich",
        "scipy",
        "vl-convert-python",
    ],
)
