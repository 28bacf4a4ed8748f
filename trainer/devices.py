"""What this machine and its environment say of TPUs, GPUs and other workers."""

import dataclasses
import importlib.util
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

# Where TPUClusterResolver looks for a name by itself: GKE's, then a Cloud TPU's, then a managed service's (JSON).
_NAMES = ("KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "TPU_NAME", "TPU_CONFIG")
_LOCAL = ("TPU_WORKER_ID", "TPU_ACCELERATOR_TYPE")  # set on TPU VMs: Cloud TPU, GKE, Vertex AI
_LIBRARIES = ("TPU_LIBRARY_PATH", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH")  # libtpu's place; the second under PJRT


class Unusable(RuntimeError):
    """Devices that are there, or said to be, and cannot be used."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """What was found.

    `tpu` is None without a TPU, 'local' for one in this machine, '' where TensorFlow's resolver knows the name, else
    the name; `tpu_sign` says how it was found. `gpus` are physical devices. `workers` counts TF_CONFIG's.
    """

    tpu: str | None
    tpu_sign: str
    gpus: tuple[Any, ...]
    workers: int

    @classmethod
    def look(
        cls,
        environment: Mapping[str, str] | None = None,
        physical: Callable[[str], Sequence[Any]] | None = None,
        root: Path = Path("/"),
    ) -> "Machine":
        """Looks at the environment, TensorFlow's devices and the device files under `root`."""
        environment = os.environ if environment is None else environment
        physical = physical or tf.config.list_physical_devices
        tpu, sign = _tpu(environment, physical, root)
        return cls(tpu, sign, tuple(physical("GPU")), count_workers(environment.get("TF_CONFIG", "")))


def _tpu(
    environment: Mapping[str, str], physical: Callable[[str], Sequence[Any]], root: Path
) -> tuple[str | None, str]:
    """Returns the argument for TPUClusterResolver, or None, and the sign that it was taken from."""
    for key in _NAMES:
        if value := environment.get(key):
            # given outright, 'local' spares the resolver from asking Google Cloud for the project
            return ("local" if value == "local" else ""), f"{key}={value[:80]}"
    for key in _LOCAL:
        if key in environment:
            return "local", f"{key}={environment[key]}"
    if physical("TPU"):
        return "local", "TensorFlow's list of devices"
    if files := sorted((root / "dev").glob("accel[0-9]*")):
        return "local", str(files[0])
    # from v5e on; other passed-through devices have such a file too, so that libtpu has to be there as well
    if (files := sorted((root / "dev" / "vfio").glob("[0-9]*"))) and _has_libtpu(environment, root):
        return "local", f"{files[0]} (with libtpu)"
    return None, ""


def _has_libtpu(environment: Mapping[str, str], root: Path) -> bool:
    if any(environment.get(key) for key in _LIBRARIES) or importlib.util.find_spec("libtpu"):
        return True
    return any((root / folder / "libtpu.so").exists() for folder in ("lib", "usr/lib"))


def reach(cluster: Mapping[str, Sequence[str]], seconds: float = 20.0) -> None:
    """Sees that something listens at each address, since TensorFlow waits without end where nothing does.

    Args:
      cluster: the jobs' 'HOST:PORT' addresses, as `ClusterSpec.as_dict` gives them; none for a TPU in this machine.
      seconds: the time given to each.

    Raises:
      OSError: with the address that cannot be reached.
    """
    for address in (address for job in cluster.values() for address in job):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), seconds).close()
        except OSError as error:
            raise OSError(f"nothing answers at {address} ({error})") from None


def count_workers(tf_config: str) -> int:
    """Returns how many workers, the chief among them, TF_CONFIG names; 1 when it is empty or names none.

    Raises:
      Unusable: when it is not JSON as TensorFlow's documentation gives it, or has parameter servers.
    """
    if not tf_config:
        return 1
    try:
        content = json.loads(tf_config)
        tasks = {job: len(addresses) for job, addresses in content.get("cluster", {}).items()}
    except (ValueError, AttributeError, TypeError):
        raise Unusable(
            'expected TF_CONFIG as {"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}, '
            f"received {tf_config[:200]!r}"
        ) from None
    workers = tasks.get("chief", 0) + tasks.get("worker", 0)
    if workers > 1 and tasks.get("ps"):
        raise Unusable("expected a TF_CONFIG of chief and worker, received one with ps: leave parameter servers out")
    kind = content.get("task", {}).get("type")
    if workers > 1 and kind not in ("chief", "worker"):
        raise Unusable(f"expected TF_CONFIG's task.type to be chief or worker, received {kind!r}")
    return max(1, workers)


def limit_gpu_memory(gpus: Sequence[Any], megabytes: int | None) -> None:
    """Lets each GPU's memory grow as needed, or up to a limit.

    Raises:
      Unusable: when TensorFlow has already started in this process with something else.
    """
    try:
        for gpu in gpus:
            if megabytes:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=megabytes)
                tf.config.set_logical_device_configuration(gpu, [limit])
            else:
                tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise Unusable(
            "expected the GPUs' memory to be set before TensorFlow runs anything, received "
            f"{first_line(error)}; call devices.limit_gpu_memory when the process starts"
        ) from error


def names(strategy: tf.distribute.Strategy) -> list[str]:
    """Returns the devices of a strategy's replicas (of this worker) as '/device:GPU:0' or with job and task."""
    if strategy is tf.distribute.get_strategy() and not tf.distribute.has_strategy():
        return [f"/device:{'GPU' if tf.config.list_physical_devices('GPU') else 'CPU'}:0"]
    return [str(name) for name in strategy.extended.worker_devices]


def inventory() -> list[str]:
    """Returns all devices that TensorFlow sees, GPUs with their model's name."""
    result = []
    for device in tf.config.list_physical_devices():
        model = tf.config.experimental.get_device_details(device).get("device_name", "")
        result.append(f"{device.device_type} {device.name.rpartition(':')[2]} {model}".strip())
    return result


def kind(name: str) -> str:
    """Returns TPU, GPU or CPU.

    >>> kind("/job:worker/replica:0/task:0/device:GPU:1")
    'GPU'
    """
    return str(tf.DeviceSpec.from_string(name).device_type)


def first_line(error: BaseException) -> str:
    """Returns an error's class and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
