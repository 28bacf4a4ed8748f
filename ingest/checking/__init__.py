"""Looks at labelled photos before a training: `python -m ingest check`. Imports no TensorFlow."""
