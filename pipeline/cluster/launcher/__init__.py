"""Executes a compiled pipeline on this machine, task by task, in place of a cluster's launcher."""
