"""The whole pipeline on an engine that is another process: Beam's own local job service."""

import re
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, without_network
from tests.test_local_runner import LINE, NODES

JOB = re.compile(r"Completed job in .* seconds with state (\w+)")
LOCAL = {"no_proxy": "127.0.0.1,localhost"}  # gRPC asks a proxy for this machine, too


@pytest.fixture
def job_service(cache, tmp_path):
    """Starts the service on a free port of this machine; gives the port, and the file that it logs to."""
    log, port_file = tmp_path / "service.log", tmp_path / "port"
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    command += ["--port_file", str(port_file), "--staging_dir", str(tmp_path / "staging")]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=without_network(cache) | LOCAL, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 60
        while not port_file.exists():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield int(port_file.read_text()), log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def test_the_sample_goes_through_every_node_on_a_job_service(job_service, sample, main, monkeypatch, tmp_path):
    """One epoch of the least model, so the floors are 0: what is tested is Beam, not the gate.

    With this normalisation Transform has something to count, and is a job as well.
    """
    port, log = job_service
    settings = ["beam.runner=PortableRunner"]
    settings += [f"beam.args=[--job_endpoint=127.0.0.1:{port}, --environment_type=LOOPBACK]"]
    settings += ["data.normalize=mean-deviation", "data.image_size=16", "model.name=softmax", "trainer.epochs=1"]
    settings += ["evaluator.min_accuracy=0", "evaluator.min_class_recall=0"]
    flags = [word for setting in settings for word in ("--set", setting)]
    monkeypatch.setenv("no_proxy", LOCAL["no_proxy"])
    code, printed = main("--output", tmp_path / "out", *flags)
    assert code == 0, printed
    assert {node: state for state, node in LINE.findall(printed)} == dict.fromkeys(NODES, "done")
    assert "1,000 train · 200 eval · 400 test" in printed
    assert len(list((tmp_path / "out" / "pushed" / "sample").iterdir())) == 1
    assert JOB.findall(log.read_text()) == ["DONE"] * 4, "examples, statistics, transform graph, evaluation"
