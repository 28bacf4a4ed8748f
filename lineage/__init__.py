"""Reads ML Metadata: runs, artifacts and their lineage, differences between runs, models in service."""
