"""Which devices train: a TPU, several workers, several GPUs, or the one device that is there.

TensorFlow takes its devices as they are when it first runs an operation: `choose` comes before all else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import devices

Resolver = Callable[..., Any]


class _ForKeras:
    """Gives a strategy the `reduce` that Keras 3's `fit` counts on (keras issue 20585).

    `fit` reduces a whole (pixels, class) batch, of which it takes only shapes and dtypes, to build the model: several
    workers refuse that, and so do several devices when the batch is shared out unevenly, as a small eval split is.
    And `fit` reduces metrics, which are scalars, along axis 0, which several workers refuse too.
    """

    def reduce(self, reduce_op: Any, value: Any, axis: int | None = None) -> Any:
        """Reduces a tensor over the replicas; of a structure of tensors, returns the first replica's."""
        if isinstance(value, (tuple, list, dict)):
            return tf.nest.map_structure(lambda part: self.experimental_local_results(part)[0], value)  # type: ignore
        scalar = self.experimental_local_results(value)[0].shape.rank == 0  # type: ignore[attr-defined]
        return super().reduce(reduce_op, value, None if scalar else axis)  # type: ignore[misc]


class Tpu(_ForKeras, tf.distribute.TPUStrategy):
    """TPUStrategy for Keras 3; not run on a TPU."""


class Workers(_ForKeras, tf.distribute.MultiWorkerMirroredStrategy):
    """MultiWorkerMirroredStrategy for Keras 3."""


class Mirrored(_ForKeras, tf.distribute.MirroredStrategy):
    """MirroredStrategy for Keras 3."""


def choose(
    gpu_memory_mb: int | None = None,
    environment: Mapping[str, str] | None = None,
    resolver: Resolver | None = None,
    physical: Callable[[str], Sequence[Any]] | None = None,
) -> tf.distribute.Strategy:
    """Returns the strategy for the best devices that are there.

    Tpu where there is a TPU; else Workers where TF_CONFIG names several; else Mirrored on several
    GPUs; else TensorFlow's default, on the one GPU or the CPU. The TPU branch has not been run on a TPU.

    Args:
      gpu_memory_mb: the most that each GPU may take, in megabytes; None lets it grow as needed.
      environment, resolver, physical: stand-ins for os.environ, TPUClusterResolver and
        tf.config.list_physical_devices.

    Raises:
      devices.Unusable: when a TPU is there and fails, TF_CONFIG cannot be read, or TensorFlow has already started
        with another use of the GPUs' memory.
    """
    found = devices.Machine.look(environment, physical)
    if tpu := _tpu(found, resolver or tf.distribute.cluster_resolver.TPUClusterResolver):
        return tpu
    devices.limit_gpu_memory(found.gpus, gpu_memory_mb)
    if found.workers > 1:
        return _started(Workers)
    return Mirrored() if len(found.gpus) > 1 else tf.distribute.get_strategy()


def _tpu(found: "devices.Machine", resolver: Resolver) -> tf.distribute.Strategy | None:
    """Returns the strategy for the TPU, None when there is none; whatever else goes wrong is an error.

    The steps of TPUClusterResolver.connect one by one: in TF 2.16 that method calls the last of them without an
    argument that it needs, and fails everywhere.
    """
    try:
        try:
            cluster = resolver(tpu=found.tpu or "")
        except ValueError:
            if found.tpu is None:  # "Please provide a TPU Name to connect to."
                return None
            raise
        devices.reach(cluster.cluster_spec().as_dict())
        tf.config.experimental_connect_to_cluster(cluster)
        tf.tpu.experimental.initialize_tpu_system(cluster)
        return Tpu(cluster)
    except Exception as error:
        raise devices.Unusable(
            f"expected to train on the TPU that {found.tpu_sign} speaks of, received {devices.first_line(error)}; "
            "see that the TPU is up and that this TensorFlow was built for it, or take that sign away to train without"
        ) from error


def _started(strategy: Callable[[], tf.distribute.Strategy]) -> tf.distribute.Strategy:
    try:
        return strategy()
    except RuntimeError as error:
        raise devices.Unusable(
            "expected several workers (TF_CONFIG) to be set up before TensorFlow runs anything, received "
            f"{devices.first_line(error)}; call strategy.choose first"
        ) from error


def expect(strategy: tf.distribute.Strategy, kind: str | None) -> None:
    """Lets a strategy pass on devices of a kind, 'CPU', 'GPU' or 'TPU'; None lets all pass.

    Raises:
      trainer.devices.Unusable: on others: a machine that was asked, and is paid, for a TPU is not to train on its CPU.
    """
    found = details(strategy)["kind"]
    if kind not in (None, found):
        raise devices.Unusable(
            f"expected to train on a {kind}, as the machine was asked for, received {describe(strategy)}; see that the "
            f"image is the one for a {kind}"
        )


def scaled(strategy: tf.distribute.Strategy, per_replica: float) -> Any:
    """Returns a batch size (int) or a learning rate (float) per replica times the replicas, as in the codelab."""
    return per_replica * strategy.num_replicas_in_sync


def evaluation_batch(strategy: tf.distribute.Strategy, examples: int, batch: int) -> tuple[int, bool]:
    """Returns the global batch for evaluation while training, and whether to drop what is left at its end.

    Under several replicas a last, smaller batch leaves some without any example, at which convolutions fail on CPUs
    ("input depth must be evenly divisible by filter depth"), and a TPU takes one shape only: it is dropped, and of
    the batches between half of `batch` and `batch` the one that drops least is taken.

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
    """Returns what to give to `model.compile(jit_compile=…)` when XLA is wanted or not.

    A TPU compiles all with XLA by itself. Under several other replicas Keras would compile the step of all of them
    as one, and XLA cannot reach a variable on another device (keras issue 19005).

    Raises:
      ValueError: when XLA is wanted under several replicas that are not a TPU's.
    """
    if _is_tpu(strategy):
        return False
    if wanted and strategy.num_replicas_in_sync > 1:
        raise ValueError(f"expected one replica or a TPU for XLA, received {describe(strategy)}; turn XLA off")
    return wanted


def steps_per_execution(strategy: tf.distribute.Strategy, steps: int, wanted: int) -> int:
    """Returns how many steps one call of the training function makes: the most that `wanted` and `steps` allow.

    It divides `steps`, since Keras would otherwise train past the end of each epoch. It is 1 under several replicas
    that are not a TPU's: Keras passes the batches through a `tf.cond` in a loop, which TensorFlow splits over the
    devices wrongly ("You must feed a value for placeholder tensor 'while/cond/…'": TF 2.16, Keras 3.15, eight CPUs).
    """
    if strategy.num_replicas_in_sync > 1 and not _is_tpu(strategy):
        return 1
    return next(count for count in range(max(1, min(wanted, steps)), 0, -1) if steps % count == 0)


def describe(strategy: tf.distribute.Strategy) -> str:
    """Returns the replicas and the kind of device in a few words, as in '1 × CPU' or '4 × GPU on 2 workers'."""
    record = details(strategy)
    text = f"{record['replicas']} × {record['kind']}"
    return f"{text} on {record['workers']} workers" if record["workers"] > 1 else text


def details(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """Returns what the model's metadata record: the strategy, its kind of device, devices, replicas and workers.

    Of several workers, `devices` are this worker's own.
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
    """Returns whether this process is the one that writes: the only one, the chief, or else worker 0."""
    resolver = strategy.cluster_resolver
    if not several_workers(strategy) or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (resolver.task_id == 0 and not _chiefs(strategy))


def own_folder(strategy: tf.distribute.Strategy, folder: str) -> str:
    """Returns `folder` for the chief, and a folder beside it for each other worker.

    All workers have to export and to save checkpoints, since that may take all of them; what the others wrote may
    be thrown away.
    """
    resolver = strategy.cluster_resolver
    return folder if is_chief(strategy) else f"{folder.rstrip('/')}-{resolver.task_type}-{resolver.task_id}"


def several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether other processes train beside this one, each with its own input and its own folder."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def from_chief(strategy: tf.distribute.Strategy, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the chief's arrays on every worker, bit by bit; all workers call this at the same time.

    Each call traces a function and runs a collective, about 50 ms: give all arrays at once.

    Args:
      strategy: of all the workers.
      values: of the same shapes and dtypes on each, of 4 or 8 bytes an item. Without several workers they are returned.
    """
    if not several_workers(strategy):
        return list(values)
    parts = [np.ascontiguousarray(value).reshape(-1).view(np.int32) for value in values]  # collectives take no unsigned
    bits = tf.constant(np.concatenate(parts))

    def of_replica() -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        first = replica.replica_id_in_sync_group == 0  # the chief's
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, bits if first else tf.zeros_like(bits))

    received = strategy.experimental_local_results(strategy.run(tf.function(of_replica)))[0].numpy()
    split = np.split(received, np.cumsum([part.size for part in parts])[:-1])
    return [part.view(value.dtype).reshape(value.shape) for part, value in zip(split, values, strict=True)]


def _chiefs(strategy: tf.distribute.Strategy) -> int:
    return len(strategy.cluster_resolver.cluster_spec().as_dict().get("chief", []))


def _is_tpu(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.TPUStrategy)
