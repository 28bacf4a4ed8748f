"""Chooses the devices that train: a TPU, several workers, several GPUs, one GPU, or the CPU.

TensorFlow's devices are fixed when it first runs an operation, so call `choose` before anything else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import devices

Resolver = Callable[..., Any]


class _KerasReduce:
    """Gives a strategy the `reduce` that Keras 3's `fit` needs (keras issue 20585).

    To build the model, `fit` reduces a whole (pixels, class) batch, of which it uses only shapes and dtypes. This fails
    with several workers, and if the batch is divided unevenly, as with a small eval split. `fit` also reduces metrics,
    which are scalars, along axis 0; this fails with several workers.
    """

    def reduce(self, reduce_op: Any, value: Any, axis: int | None = None) -> Any:
        """Reduces a tensor over the replicas. For a structure of tensors, returns the first replica's tensors."""
        if isinstance(value, (tuple, list, dict)):
            return tf.nest.map_structure(lambda part: self.experimental_local_results(part)[0], value)  # type: ignore
        scalar = self.experimental_local_results(value)[0].shape.rank == 0  # type: ignore[attr-defined]
        return super().reduce(reduce_op, value, None if scalar else axis)  # type: ignore[misc]


class Tpu(_KerasReduce, tf.distribute.TPUStrategy):
    """TPUStrategy for Keras 3; not tested on a TPU."""


class Workers(_KerasReduce, tf.distribute.MultiWorkerMirroredStrategy):
    """MultiWorkerMirroredStrategy for Keras 3."""


class Mirrored(_KerasReduce, tf.distribute.MirroredStrategy):
    """MirroredStrategy for Keras 3."""


def choose(
    gpu_memory_mb: int | None = None,
    environment: Mapping[str, str] | None = None,
    resolver: Resolver | None = None,
    physical: Callable[[str], Sequence[Any]] | None = None,
) -> tf.distribute.Strategy:
    """Returns the strategy for the best available devices.

    Tpu if there is a TPU; else Workers if TF_CONFIG names several workers; else Mirrored for several GPUs; else
    TensorFlow's default strategy, on one GPU or the CPU. The TPU branch was not tested on a TPU.

    Args:
      gpu_memory_mb: the memory limit for each GPU, in megabytes; None lets it grow as needed.
      environment, resolver, physical: replacements for os.environ, TPUClusterResolver and
        tf.config.list_physical_devices.

    Raises:
      devices.Unusable: when a TPU exists but fails, TF_CONFIG cannot be parsed, or TensorFlow has already started with
        another GPU memory limit.
    """
    found = devices.Machine.detect(environment, physical)
    if tpu := _tpu(found, resolver or tf.distribute.cluster_resolver.TPUClusterResolver):
        return tpu
    devices.limit_gpu_memory(found.gpus, gpu_memory_mb)
    if found.workers > 1:
        return _create_workers(Workers)
    return Mirrored() if len(found.gpus) > 1 else tf.distribute.get_strategy()


def _tpu(found: "devices.Machine", resolver: Resolver) -> tf.distribute.Strategy | None:
    """Returns the strategy for the TPU; None without a TPU. Any other failure is an error.

    These are the steps of TPUClusterResolver.connect. In TF 2.16, that method always fails, because it calls the last
    step without a required argument.
    """
    try:
        try:
            cluster = resolver(tpu=found.tpu or "")
        except ValueError:
            if found.tpu is None:  # "Please provide a TPU Name to connect to."
                return None
            raise
        devices.check_reachable(cluster.cluster_spec().as_dict())
        tf.config.experimental_connect_to_cluster(cluster)
        tf.tpu.experimental.initialize_tpu_system(cluster)
        return Tpu(cluster)
    except Exception as error:
        raise devices.Unusable(
            f"expected to train on the TPU found by {found.tpu_source}, received {devices.first_line(error)}; check "
            "that the TPU is running and that this TensorFlow was built for it. To train without the TPU, unset the "
            "variable"
        ) from error


def _create_workers(strategy: Callable[[], tf.distribute.Strategy]) -> tf.distribute.Strategy:
    try:
        return strategy()
    except RuntimeError as error:
        raise devices.Unusable(
            "expected several workers (TF_CONFIG) to be set up before TensorFlow runs anything, received "
            f"{devices.first_line(error)}; call strategy.choose first"
        ) from error


def check_kind(strategy: tf.distribute.Strategy, kind: str | None) -> None:
    """Checks that a strategy's devices are of a kind, 'CPU', 'GPU' or 'TPU'; None accepts any.

    Raises:
      trainer.devices.Unusable: when they are of another kind. A training never falls back to the CPU on a machine that
        is billed for a TPU.
    """
    found = details(strategy)["kind"]
    if kind not in (None, found):
        raise devices.Unusable(
            f"expected to train on a {kind}, because the task requested one, received {describe(strategy)}; check that "
            f"the image is built for a {kind}"
        )


def scaled(strategy: tf.distribute.Strategy, per_replica: float) -> Any:
    """Returns a batch size (int) or a learning rate (float) times the number of replicas, as in the codelab."""
    return per_replica * strategy.num_replicas_in_sync


def evaluation_batch(strategy: tf.distribute.Strategy, examples: int, batch: int) -> tuple[int, bool]:
    """Returns the global batch size for validation, and whether the last, smaller batch is dropped.

    With several replicas, a smaller batch leaves some replicas without examples, and then convolutions fail on CPUs
    ("input depth must be evenly divisible by filter depth"). A TPU needs static shapes. So the last batch is dropped.
    The size is between half of `batch` and `batch`, and drops as few examples as possible.

    Raises:
      ValueError: when there are fewer examples than replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 and not _is_tpu(strategy):
        return batch, False
    most = min(batch, examples) // replicas
    if most == 0:
        raise ValueError(
            f"expected an example for each replica of {describe(strategy)} in the eval split and in a batch, received "
            f"{examples} examples and a batch of {batch}; hold out more data (data.eval_fraction) or use fewer devices"
        )
    sizes = [each * replicas for each in range(max(1, most // 2), most + 1)]
    return min(sizes, key=lambda size: (examples % size, -size)), True


def precision_policy(strategy: tf.distribute.Strategy, setting: str = "auto") -> str:
    """Returns the name of Keras's dtype policy; 'auto' is mixed_bfloat16 on a TPU and float32 elsewhere.

    Raises:
      ValueError: for mixed_float16 on a TPU, which multiplies in bfloat16.
    """
    if setting == "auto":
        return "mixed_bfloat16" if _is_tpu(strategy) else "float32"
    if setting == "mixed_float16" and _is_tpu(strategy):
        raise ValueError(f"expected mixed_bfloat16 or float32 on {describe(strategy)}, received {setting!r}")
    return setting


def jit_compile(strategy: tf.distribute.Strategy, wanted: bool) -> bool:
    """Returns the argument for `model.compile(jit_compile=…)`.

    A TPU always compiles with XLA. With several replicas on other devices, Keras would compile their steps as one
    program, and XLA cannot read a variable on another device (keras issue 19005).

    Raises:
      ValueError: when XLA is wanted with several replicas that are not TPU cores.
    """
    if _is_tpu(strategy):
        return False
    if wanted and strategy.num_replicas_in_sync > 1:
        raise ValueError(f"expected one replica or a TPU for XLA, received {describe(strategy)}; turn XLA off")
    return wanted


def steps_per_execution(strategy: tf.distribute.Strategy, steps: int, wanted: int) -> int:
    """Returns the number of steps in one call of the training function: the largest divisor of `steps` up to `wanted`.

    With other numbers, Keras runs more steps than an epoch has. The number is 1 with several replicas that are not
    TPU cores: Keras passes batches through a `tf.cond` in a loop, which TensorFlow places on the wrong devices ("You
    must feed a value for placeholder tensor 'while/cond/…'": TF 2.16, Keras 3.15, eight CPUs).
    """
    if strategy.num_replicas_in_sync > 1 and not _is_tpu(strategy):
        return 1
    return next(count for count in range(max(1, min(wanted, steps)), 0, -1) if steps % count == 0)


def describe(strategy: tf.distribute.Strategy) -> str:
    """Returns the replicas and the kind of device as text, such as '1 × CPU' or '4 × GPU on 2 workers'."""
    record = details(strategy)
    text = f"{record['replicas']} × {record['kind']}"
    return f"{text} on {record['workers']} workers" if record["workers"] > 1 else text


def details(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """Returns the strategy, its kind of device, devices, replicas and workers, for the model's metadata.

    With several workers, `devices` are this worker's.
    """
    several = several_workers(strategy)
    names = devices.names(strategy)
    return {
        "strategy": type(strategy).__name__.lstrip("_"),
        "kind": devices.kind(names[0]),
        "devices": names,
        "replicas": strategy.num_replicas_in_sync,
        "workers": strategy.cluster_resolver.cluster_spec().num_tasks("worker") + _chiefs(strategy) if several else 1,
    }


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the results: the only process, the chief, or worker 0 if no chief exists."""
    resolver = strategy.cluster_resolver
    if not several_workers(strategy) or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (resolver.task_id == 0 and not _chiefs(strategy))


def own_folder(strategy: tf.distribute.Strategy, folder: str) -> str:
    """Returns `folder` for the chief, and a sibling folder for each other worker.

    All workers must save checkpoints, because this may be a collective operation. The other workers' folders can be
    deleted.
    """
    resolver = strategy.cluster_resolver
    return folder if is_chief(strategy) else f"{folder.rstrip('/')}-{resolver.task_type}-{resolver.task_id}"


def several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether there are other worker processes, each with its own input and folder."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def from_chief(strategy: tf.distribute.Strategy, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the chief's arrays, bit for bit, on every worker. All workers must call this at the same time.

    Each call traces a function and runs a collective operation, about 50 ms, so pass all arrays in one call.

    Args:
      strategy: the strategy of all workers.
      values: arrays with the same shapes and dtypes on each worker, 4 or 8 bytes an item. With one worker they are
        returned unchanged.
    """
    if not several_workers(strategy):
        return list(values)
    parts = [np.ascontiguousarray(value).reshape(-1).view(np.int32) for value in values]  # no unsigned types
    bits = tf.constant(np.concatenate(parts))

    def contribution() -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        is_chief = replica.replica_id_in_sync_group == 0
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, bits if is_chief else tf.zeros_like(bits))

    received = strategy.experimental_local_results(strategy.run(tf.function(contribution)))[0].numpy()
    split = np.split(received, np.cumsum([part.size for part in parts])[:-1])
    return [part.view(value.dtype).reshape(value.shape) for part, value in zip(split, values, strict=True)]


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have called this."""
    from_chief(strategy, [np.zeros(1, np.int32)])


def _chiefs(strategy: tf.distribute.Strategy) -> int:
    return len(strategy.cluster_resolver.cluster_spec().as_dict().get("chief", []))


def _is_tpu(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.TPUStrategy)
