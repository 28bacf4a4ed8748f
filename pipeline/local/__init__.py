"""Runs the pipeline on this machine: validates settings, runs the nodes, prints a summary."""
