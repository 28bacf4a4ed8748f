"""The curated schemas, which data is compared with (TensorFlow Metadata, text format)."""

from pathlib import Path

FOLDER = Path(__file__).parent
