"""Makes TFRecords from labelled photos, downloads public data, and validates data before a run."""
