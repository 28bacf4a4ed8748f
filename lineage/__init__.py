"""Questions to ML Metadata: what ran, what made what, what changed, what is served."""
