"""Whether the photos that a server gets differ from the training photos: training-serving skew.

The node reads the answers of `python -m serving --keep`. It compares the predicted classes with the classes of the
training photos, and brightness, contrast and mean colours with theirs, by TFDV's skew check. It writes three artifacts:

  statistics: TFDV's statistics of the splits `train` and `serving`.
  anomalies: TFDV's anomalies of the split `serving`.
  section: a section for the report (`components.sections`).

Skew stops no run: new training data is the answer to it.
"""
