"""Finds TPUs and GPUs on this machine, and other workers, from environment variables, devices and device files."""

import dataclasses
import importlib.util
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainer import device_files

# The variables that TPUClusterResolver reads: GKE's, then Cloud TPU's, then a managed service's (JSON).
_NAMES = ("KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "TPU_NAME", "TPU_CONFIG")
_LOCAL = ("TPU_WORKER_ID", "TPU_ACCELERATOR_TYPE")  # set on TPU VMs: Cloud TPU, GKE, Vertex AI
_LIBRARIES = ("TPU_LIBRARY_PATH", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH")  # the path of libtpu; the second is for PJRT


class Unusable(RuntimeError):
    """Devices exist, or are configured, but cannot be used."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """The devices that were found.

    Attributes:
      tpu: None without a TPU, 'local' for a TPU in this machine, '' if TensorFlow's resolver reads its name.
      tpu_source: the variable, the list or the file that shows that there is a TPU.
      gpus: the physical devices.
      workers: the number of workers in TF_CONFIG.
    """

    tpu: str | None
    tpu_source: str
    gpus: tuple[Any, ...]
    workers: int

    @classmethod
    def detect(
        cls,
        environment: Mapping[str, str] | None = None,
        physical: Callable[[str], Sequence[Any]] | None = None,
        root: Path = Path("/"),
    ) -> "Machine":
        """Reads the environment, TensorFlow's devices and the device files under `root`."""
        environment = os.environ if environment is None else environment
        physical = physical or tf.config.list_physical_devices
        tpu, source = _tpu(environment, physical, root)
        return cls(tpu, source, tuple(physical("GPU")), count_workers(environment.get("TF_CONFIG", "")))


def _tpu(
    environment: Mapping[str, str], physical: Callable[[str], Sequence[Any]], root: Path
) -> tuple[str | None, str]:
    """Returns `Machine.tpu` and `Machine.tpu_source`."""
    for key in _NAMES:
        if value := environment.get(key):
            # with 'local', the resolver does not ask Google Cloud for the project
            return ("local" if value == "local" else ""), f"{key}={value[:80]}"
    for key in _LOCAL:
        if key in environment:
            return "local", f"{key}={environment[key]}"
    if physical("TPU"):
        return "local", "TensorFlow's list of devices"
    for file in device_files.tpus(root)[:1]:
        if file.parent.name != "vfio":
            return "local", str(file)
        if _has_libtpu(environment, root):  # because other devices have such files too
            return "local", f"{file} (with libtpu)"
    return None, ""


def _has_libtpu(environment: Mapping[str, str], root: Path) -> bool:
    if any(environment.get(key) for key in _LIBRARIES) or importlib.util.find_spec("libtpu"):
        return True
    return any((root / folder / "libtpu.so").exists() for folder in ("lib", "usr/lib"))


def check_reachable(cluster: Mapping[str, Sequence[str]], seconds: float = 20.0) -> None:
    """Checks that something listens on each address, because TensorFlow would wait without a limit.

    Args:
      cluster: the jobs' 'HOST:PORT' addresses, as `ClusterSpec.as_dict` returns them; empty for a TPU in this machine.
      seconds: the timeout for each address.

    Raises:
      OSError: naming the address that does not answer.
    """
    for address in (address for job in cluster.values() for address in job):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), seconds).close()
        except OSError as error:
            raise OSError(f"nothing answers at {address} ({error})") from None


def count_workers(tf_config: str) -> int:
    """Returns the number of workers in TF_CONFIG, including the chief; at least 1.

    Raises:
      Unusable: when TF_CONFIG is not JSON as TensorFlow documents it, or has parameter servers.
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
        raise Unusable("expected a TF_CONFIG of chief and worker, received one with ps; remove the parameter servers")
    kind = content.get("task", {}).get("type")
    if workers > 1 and kind not in ("chief", "worker"):
        raise Unusable(f"expected TF_CONFIG's task.type to be chief or worker, received {kind!r}")
    return max(1, workers)


def limit_gpu_memory(gpus: Sequence[Any], megabytes: int | None) -> None:
    """Lets the memory of each GPU grow as needed, or sets a limit.

    Raises:
      Unusable: when TensorFlow has already started in this process with another limit.
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
    """Returns TensorFlow's devices, with their model names."""
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
    """Returns an error's class and the first line of its text."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
