"""The curated schemas (TensorFlow Metadata, text form): the contract that data is checked against."""
