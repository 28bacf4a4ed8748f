"""Several replicas, on this CPU taken for eight and in two processes, train as one does (see `tests.replicas`)."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def _start(folder, *arguments, **environment):
    hidden = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.replicas", str(folder), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | hidden | environment, stdout=-1, stderr=-1, text=True)


def _result(process):
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    return json.loads(out.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What came of training on one device and on eight, each by the model's name; the two run side by side."""
    folder = tmp_path_factory.mktemp("replicas")
    one = _start(folder / "one", "dense", "convnet")
    processes = one, _start(folder / "eight", "dense", "convnet", "--cpus", "8")
    return tuple(_result(process) for process in processes)


@pytest.fixture(scope="module")
def one_device(trained):
    return trained[0]


def test_eight_devices_give_the_loss_of_one(trained, one_device):
    for name in ("dense", "convnet"):  # with a third epoch from the checkpoints of two, and EMA in the convnet's
        one, eight = one_device[name], trained[1][name]
        assert (eight["words"], one["words"]) == ("8 × CPU", "1 × CPU")
        assert (eight["details"]["strategy"], len(eight["details"]["devices"])) == ("Mirrored", 8)
        assert (eight["steps_per_execution"], one["steps_per_execution"]) == (1, 3)
        assert eight["loss"] == pytest.approx(one["loss"], abs=1e-4)
        assert len(eight["loss"]) == 3
        assert eight["loss"][2] < eight["loss"][1] < eight["loss"][0]
        assert eight["weights"] == pytest.approx(one["weights"], rel=1e-4)
        if name == "convnet":  # the dense model's batch is uneven: each replica's loss weighs alike
            assert eight["val_loss"] == pytest.approx(one["val_loss"], abs=1e-4)


def test_replicas_keep_one_average_of_what_they_see(trained):
    assert trained[0]["average"] == [0.0]
    assert trained[1]["average"] == [3.5] * 8


def test_two_workers_give_the_loss_of_one(tmp_path, one_device):
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    processes = [
        _start(
            tmp_path,
            "dense",
            TF_CONFIG=json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}),
        )
        for i in range(2)
    ]
    results = [_result(process) for process in processes]
    assert [result["average"] for result in results] == [[0.5], [0.5]]
    chief, other = (result["dense"] for result in results)
    assert chief["words"] == other["words"] == "2 × CPU on 2 workers"
    assert (chief["details"]["strategy"], chief["details"]["workers"]) == ("Workers", 2)
    assert (chief["chief"], other["chief"]) == (True, False)
    assert (chief["folder"], other["folder"]) == ("/dense", "/dense-worker-1")
    assert chief["loss"] == other["loss"] == pytest.approx(one_device["dense"]["loss"], abs=1e-4)
    assert chief["val_loss"] == other["val_loss"]
    assert chief["weights"] == other["weights"] == pytest.approx(one_device["dense"]["weights"], rel=1e-4)


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
