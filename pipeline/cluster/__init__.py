"""Compiles the pipeline for Vertex AI or Kubeflow Pipelines, checks it, submits it, and executes it locally."""
