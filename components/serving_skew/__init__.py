"""Skew between training and serving: the photos of the train split against those that a server with `--keep` received.

`answers` reads the kept answers, `compare` computes statistics of both and compares them with TensorFlow Data
Validation, `section` writes the report's section, and `component` is the node. It writes three artifacts:

  statistics: the statistics of both, as the splits `train` and `serving`; StatisticsGen has the same files.
  anomalies: TensorFlow Data Validation's anomalies of the split `train`; ExampleValidator has the same file.
  section: the report's section, with the property `skew`, a sentence.

Skew never stops a run. docs/decisions/data-review.md explains the thresholds.
"""
