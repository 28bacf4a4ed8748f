"""The curated schemas, which data is compared with (TensorFlow Metadata, text format)."""
