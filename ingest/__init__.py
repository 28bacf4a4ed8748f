"""Making TFRecords of labelled photos, fetching them, and checking them before anything runs."""
