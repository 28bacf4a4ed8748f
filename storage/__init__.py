"""Files in buckets, and the local folders that Kubeflow's launcher copies them from and to."""
