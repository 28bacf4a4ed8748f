"""Several replicas, on this CPU as eight and in two processes, train as one (see `tests.helpers.replicas`)."""

import json
import os
import socket
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.conftest import ROOT


def _start(folder, *arguments, **environment):
    hidden = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.helpers.replicas", str(folder), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | hidden | environment, stdout=-1, stderr=-1, text=True)


def _result(process):
    out, errors = process.communicate(timeout=1200)  # ends a hang, however slow the machine
    assert process.returncode == 0, errors[-2000:]
    return json.loads(out.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A transform graph and records, each of a class of its own: 37 for training in two files, 20 held out in one."""
    from testing import graphs
    from tests.helpers import records

    folder = tmp_path_factory.mktemp("recorded")
    graphs.build(folder / "graph", [records.jpeg()])
    numbers = {"train0": range(20), "train1": range(20, 37), "eval": range(20)}
    for name, classes in numbers.items():
        records.write(folder / f"{name}.tfrec", [_example(number, records.jpeg()) for number in classes])
    return folder


def _example(number, photo):
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo])),
        "class": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


@pytest.fixture(scope="module")
def one_device(tmp_path_factory, recorded):
    """What came of training on one device, by the model's name, and what it read."""
    return _result(_start(tmp_path_factory.mktemp("one"), "dense", "convolution", "--records", str(recorded)))


@pytest.fixture(scope="module")
def eight_devices(tmp_path_factory, recorded):
    """What came of training on eight, and the loss of a model on the records."""
    flags = ["--cpus", "8", "--records", str(recorded)]
    return _result(_start(tmp_path_factory.mktemp("eight"), "dense", "convolution", *flags))


def test_eight_devices_give_the_loss_of_one(eight_devices, one_device):
    for name in (
        "dense",
        "convolution",
    ):  # with further epochs from the checkpoints of two, and EMA in the convolution's
        one, eight = one_device[name], eight_devices[name]
        assert (eight["words"], one["words"]) == ("8 × CPU", "1 × CPU")
        assert (eight["details"]["strategy"], len(eight["details"]["devices"])) == ("Mirrored", 8)
        assert (eight["steps_per_execution"], one["steps_per_execution"]) == (1, 3)
        assert eight["loss"] == pytest.approx(one["loss"], abs=1e-4)
        assert len(eight["loss"]) == (4 if name == "dense" else 3)
        assert eight["loss"][2] < eight["loss"][1] < eight["loss"][0]
        assert eight["weights"] == pytest.approx(one["weights"], rel=1e-4)
        if name == "convolution":  # the dense model's batch is uneven: each replica's loss weighs alike
            assert eight["val_loss"] == pytest.approx(one["val_loss"], abs=1e-4)


def test_replicas_keep_one_average_of_what_they_see(one_device, eight_devices):
    assert one_device["average"] == [0.0]
    assert eight_devices["average"] == [3.5] * 8


@pytest.fixture(scope="module")
def workers(tmp_path_factory, recorded):
    """What came of training by two workers, the chief first."""
    folder, addresses = tmp_path_factory.mktemp("workers"), [f"127.0.0.1:{port}" for port in _free_ports(2)]
    configs = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(2)]
    arguments = folder, "dense", "--records", str(recorded)
    processes = [_start(*arguments, TF_CONFIG=json.dumps(config)) for config in configs]
    return [_result(process) for process in processes]


def test_two_workers_give_the_loss_of_one_though_one_lost_its_last_commit(workers, one_device):
    assert [result["average"] for result in workers] == [[0.5], [0.5]]
    chief, other = (result["dense"] for result in workers)
    assert chief["words"] == other["words"] == "2 × CPU on 2 workers"
    assert (chief["details"]["strategy"], chief["details"]["workers"]) == ("Workers", 2)
    assert (chief["chief"], other["chief"]) == (True, False)
    assert (chief["folder"], other["folder"]) == ("/dense", "/dense-worker-1")
    assert len(chief["loss"]) == 4
    assert chief["loss"] == other["loss"] == pytest.approx(one_device["dense"]["loss"], abs=1e-4)
    assert chief["val_loss"] == other["val_loss"]
    assert chief["weights"] == other["weights"] == pytest.approx(one_device["dense"]["weights"], rel=1e-4)


def test_the_chief_of_two_workers_writes_one_model(workers):
    """Each worker returns after the chief has written everything, and has deleted its own checkpoints."""
    chief, other = (result["exported"] for result in workers)
    assert chief["model"] == other["model"] == ["model.weights.h5", "serving"]
    written = ["history.json", "reference.tfrecord"]
    assert other["run"] == ["checkpoints", *written]
    assert chief["run"] in (other["run"], ["checkpoints", "checkpoints-worker-1", *written])


def test_the_figures_of_a_validation_are_those_of_its_photos(eight_devices):
    """Without a known number of batches, batches of zeros counted as photos."""
    by_keras, by_hand = eight_devices["evaluated"]
    assert by_keras == pytest.approx(by_hand, rel=1e-4)


def test_two_workers_share_out_what_one_reads(workers, one_device):
    chief, other = (result["training"] for result in workers)
    assert [len(step) for step in chief] == [8] * 4  # two epochs of two steps, in batches of 16
    assert [mine + yours for mine, yours in zip(chief, other, strict=True)] == one_device["training"]
    held_out = [number for result in workers for step in result["evaluation"] for number in step]
    assert sorted(held_out) == list(range(20))
    assert [len(step) for step in workers[0]["evaluation"]] == [len(step) for step in workers[1]["evaluation"]]


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
