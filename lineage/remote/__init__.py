"""Reads runs and artifacts from the APIs of Kubeflow Pipelines and Vertex AI."""
