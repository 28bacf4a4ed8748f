"""Defines the pipeline: settings, presets and nodes; pipeline.local and pipeline.cluster run it."""
