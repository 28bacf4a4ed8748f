"""Predicts photos in bulk with the pushed model, on Beam."""
