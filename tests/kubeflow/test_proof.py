"""Compares what this project compiles with what Kubeflow Pipelines' own code has accepted (make kubeflow-proof)."""

from tests.kubeflow import runs


def test_the_summary_of_the_proof_is_up_to_date(tmp_path):
    """After a change of the compiled files or of the table of machines: make kubeflow-proof, which needs git and Go."""
    files = {name: runs.compile_run(name, tmp_path) for name in runs.RUNS}
    assert runs.summary(files).splitlines() == runs.SUMMARY.read_text().splitlines()
