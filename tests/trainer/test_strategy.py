"""The choice of devices and strategy. No test needs an accelerator, and none ran on a TPU."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from tests.conftest import ROOT
from tests.helpers import records
from trainer import devices, recipe, strategy
from trainer.settings import Recipe


class FakeTpu(tf.distribute.TPUStrategy):
    """Stands in for a TPU of eight cores, which cannot be made without one."""

    num_replicas_in_sync = 8
    extended = SimpleNamespace(worker_devices=tuple(f"/job:worker/replica:0/task:0/device:TPU:{i}" for i in range(8)))
    cluster_resolver = None

    def __init__(self, resolver=None):
        self.resolver = resolver


def there(**counts):
    """Stands in for tf.config.list_physical_devices."""
    return lambda kind: [SimpleNamespace(name=f"{kind}:{index}") for index in range(counts.get(kind, 0))]


def no_tpu(tpu):
    return tf.distribute.cluster_resolver.TPUClusterResolver(tpu)


@pytest.fixture
def steps(monkeypatch):
    """Records what would be done to devices that are not here."""
    done = []
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", lambda cluster: done.append("connect"))
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", lambda cluster: done.append("initialize"))
    monkeypatch.setattr(strategy, "Tpu", FakeTpu)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: done.append((gpu.name, on)))
    monkeypatch.setattr(
        tf.config,
        "set_logical_device_configuration",
        lambda gpu, parts: done.append((gpu.name, [part.memory_limit for part in parts])),
    )
    return done


def test_a_tpu_comes_first(steps):
    asked = []

    def resolver(tpu):
        asked.append(tpu)
        return SimpleNamespace(cluster_spec=lambda: tf.train.ClusterSpec({}))

    chosen = strategy.choose(environment={"TPU_NAME": "local"}, resolver=resolver, physical=there(GPU=2))
    assert isinstance(chosen, FakeTpu)
    assert (asked, steps) == (["local"], ["connect", "initialize"])


@pytest.mark.parametrize(
    ("environment", "seen", "files", "expected"),
    [
        ({"TPU_NAME": "my-tpu"}, {}, [], ""),
        ({"KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS": "grpc://10.0.0.2:8470"}, {}, [], ""),
        ({"TPU_NAME": "local"}, {}, [], "local"),
        ({"TPU_WORKER_ID": "0"}, {}, [], "local"),
        ({"TPU_ACCELERATOR_TYPE": "v5litepod-4"}, {}, [], "local"),
        ({}, {"TPU": 4}, [], "local"),
        ({}, {}, ["dev/accel0"], "local"),
        ({}, {}, ["dev/vfio/0", "lib/libtpu.so"], "local"),
        ({"TF_PLUGGABLE_DEVICE_LIBRARY_PATH": "/opt/libtpu.so"}, {}, ["dev/vfio/0"], "local"),
        ({}, {}, ["dev/vfio/0"], None),
        ({}, {}, ["dev/accel/accel0"], None),
        ({"TPU_NAME": ""}, {}, [], None),
    ],
)
def test_the_signs_of_a_tpu(tmp_path, environment, seen, files, expected):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert devices.Machine.detect(environment, there(**seen), tmp_path).tpu == expected


def test_a_tpu_that_is_there_and_fails_is_an_error():
    with pytest.raises(devices.Unusable, match=r"TPU found by TPU_NAME=local, received NotFoundError: TPUs not"):
        strategy.choose(environment={"TPU_NAME": "local"})


@pytest.mark.parametrize("error", [ValueError("Could not lookup TPU metadata"), RuntimeError("not yet ready")])
def test_a_tpu_that_is_named_and_not_ready_is_an_error(error):
    def resolver(tpu):
        raise error

    with pytest.raises(devices.Unusable, match=f"TPU found by TPU_NAME=mine, received {type(error).__name__}: {error}"):
        strategy.choose(environment={"TPU_NAME": "mine"}, resolver=resolver, physical=there(GPU=2))


def test_a_tpu_that_does_not_answer_is_an_error_at_once():
    with pytest.raises(devices.Unusable, match=r"nothing answers at 127\.0\.0\.1:1 "):
        strategy.choose(environment={"KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS": "x"}, resolver=lambda tpu: _at("127.0.0.1:1"))


def _at(address):
    return SimpleNamespace(cluster_spec=lambda: tf.train.ClusterSpec({"worker": [address]}))


def test_several_gpus_are_mirrored_and_their_memory_grows(steps):
    chosen = strategy.choose(environment={}, resolver=no_tpu, physical=there(GPU=2))
    assert isinstance(chosen, tf.distribute.MirroredStrategy)
    assert steps == [("GPU:0", True), ("GPU:1", True)]


def test_one_gpu_takes_a_limit(steps):
    chosen = strategy.choose(4096, environment={}, resolver=no_tpu, physical=there(GPU=1))
    assert chosen is tf.distribute.get_strategy()
    assert steps == [("GPU:0", [4096])]


def test_without_any_it_is_the_cpu(steps):
    assert strategy.choose(environment={}, resolver=no_tpu, physical=there()) is tf.distribute.get_strategy()
    assert not steps


def test_several_workers_come_before_this_machines_gpus(steps, monkeypatch):
    monkeypatch.setattr(strategy, "Workers", lambda: "workers")
    config = json.dumps({"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}})
    assert strategy.choose(environment={"TF_CONFIG": config}, resolver=no_tpu, physical=there(GPU=2)) == "workers"
    assert len(steps) == 2


@pytest.mark.parametrize(
    ("config", "workers"),
    [("", 1), ("{}", 1), ('{"cluster": {"chief": ["a:1"]}}', 1), ('{"cluster": {"worker": ["a:1"]}}', 1)],
)
def test_one_worker_is_none(config, workers):
    assert devices.count_workers(config) == workers


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("worker", "expected TF_CONFIG as"),
        ("[]", "expected TF_CONFIG as"),
        ('{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}, "task": {"type": "worker"}}', "remove the parameter"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "evaluator"}}', "received 'evaluator'"),
    ],
)
def test_a_tf_config_that_cannot_be_read(config, says):
    with pytest.raises(devices.Unusable, match=says):
        devices.count_workers(config)


def test_memory_cannot_be_changed_later(monkeypatch):
    def late(gpu, on):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", late)
    with pytest.raises(devices.Unusable, match="memory to be set before TensorFlow runs anything, received Runtime"):
        devices.limit_gpu_memory(there(GPU=1)("GPU"), None)


def test_batch_and_rates_grow_with_the_replicas():
    assert strategy.scaled(FakeTpu(), 16) == 128
    assert strategy.scaled(FakeTpu(), 5e-5) == 4e-4
    assert strategy.scaled(tf.distribute.get_strategy(), 16) == 16


def test_precision():
    cpu = tf.distribute.get_strategy()
    assert strategy.precision_policy(cpu) == "float32"
    assert strategy.precision_policy(cpu, "mixed_float16") == "mixed_float16"
    assert strategy.precision_policy(FakeTpu()) == "mixed_bfloat16"
    assert strategy.precision_policy(FakeTpu(), "float32") == "float32"
    with pytest.raises(ValueError, match="expected mixed_bfloat16 or float32 on 8 × TPU, received 'mixed_float16'"):
        strategy.precision_policy(FakeTpu(), "mixed_float16")


@pytest.mark.parametrize(
    ("examples", "batch", "size"), [(130, 256, 128), (700, 128, 112), (16, 16, 16), (13, 16, 8), (64, 8, 8)]
)
def test_evaluation_gives_each_replica_something(examples, batch, size):
    assert strategy.evaluation_batch(FakeTpu(), examples, batch) == (size, True)
    assert strategy.evaluation_batch(tf.distribute.get_strategy(), examples, batch) == (batch, False)


def test_evaluation_with_too_few_examples():
    with pytest.raises(ValueError, match=r"expected an example for each replica of 8 × TPU .*received 7 examples"):
        strategy.evaluation_batch(FakeTpu(), 7, 64)


@pytest.mark.parametrize(("steps", "wanted", "given"), [(10, 4, 2), (10, 5, 5), (10, 99, 10), (7, 4, 1), (8, 0, 1)])
def test_steps_per_execution_divides_the_epoch(steps, wanted, given):
    assert strategy.steps_per_execution(tf.distribute.get_strategy(), steps, wanted) == given
    assert strategy.steps_per_execution(FakeTpu(), steps, wanted) == given


def test_xla_is_a_setting_where_keras_can_and_always_on_a_tpu():
    assert [strategy.jit_compile(tf.distribute.get_strategy(), wanted) for wanted in (True, False)] == [True, False]
    assert strategy.jit_compile(FakeTpu(), True) is False  # TPUStrategy compiles; Keras is not to do it again
    several = SimpleNamespace(num_replicas_in_sync=2, extended=SimpleNamespace(worker_devices=["/device:GPU:0"] * 2))
    several.cluster_resolver = None
    assert strategy.jit_compile(several, False) is False
    with pytest.raises(ValueError, match="expected one replica or a TPU for XLA, received 2 × GPU"):
        strategy.jit_compile(several, True)


def test_the_record_of_a_tpu_can_be_written():
    record = json.loads(json.dumps(strategy.details(FakeTpu())))
    assert (record["kind"], record["replicas"], record["workers"], len(record["devices"])) == ("TPU", 8, 1, 8)
    assert strategy.describe(FakeTpu()) == "8 × TPU"


def test_the_flag_lists_devices_without_tfx():
    code = (
        "import sys, local_runner\n"
        "code = local_runner.main(['--devices'])\n"
        "heavy = {'tfx', 'apache_beam'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)"
    )
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (rows["strategy"], rows["kind"], rows["replicas"]) == ("DefaultDistributionStrategy", "CPU", "1")
    assert rows["devices"] == "/device:CPU:0"


@pytest.mark.parametrize(
    ("examples", "remedy"),
    [
        (7, "use fewer replicas or give more data"),
        (8, r"lower trainer.batch_size \(at most 1\) or give more data"),
        (31, r"lower trainer.batch_size \(at most 3\) or give more data"),
    ],
)
def test_too_few_examples_for_a_global_batch_name_what_works(tmp_path, examples, remedy):
    file = str(records.write(tmp_path / "train.tfrec", [records.example()] * examples))
    read, made_of = FnArgs(train_files=[file], eval_files=[file]), Recipe(trainer={"batch_size": 4})
    with pytest.raises(ValueError, match=f"has {examples} examples, fewer than one global batch of 32; {remedy}$"):
        recipe.inputs_of(read, made_of, None, FakeTpu())


def test_the_chiefs_arrays_are_sent_together_bit_by_bit(monkeypatch):
    """On one worker, whose collectives are the same; tests/trainer/test_replicas.py has two."""
    workers, runs = strategy.Workers(), []
    run = workers.run
    monkeypatch.setattr(workers, "run", lambda function: runs.append(function) or run(function))
    odd = np.array([np.nan, -0.0, np.inf, 1e-45], np.float32)  # an arithmetic sum would change some
    values = [odd, np.float32(3), np.zeros((0, 2), np.float32), np.arange(6).reshape(2, 3) - (1 << 40), np.uint32([7])]
    received = strategy.from_chief(workers, values)
    assert [(each.shape, each.dtype) for each in received] == [(each.shape, each.dtype) for each in values]
    assert [each.tobytes() for each in received] == [each.tobytes() for each in values]
    assert len(runs) == 1
    assert strategy.from_chief(tf.distribute.get_strategy(), values) == values
