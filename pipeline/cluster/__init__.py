"""The pipeline on a cluster, Vertex AI or Kubeflow Pipelines: compiled, checked, submitted, and executed here."""
