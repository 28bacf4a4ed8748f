"""Serves a pushed model: TensorFlow Serving's REST API, photos as they are, batches, new versions, metrics."""
