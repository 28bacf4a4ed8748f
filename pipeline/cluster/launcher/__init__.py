"""Executes a compiled pipeline on this machine, task by task, as a cluster's launcher would."""
