"""Machines for the Trainer: maps one name to the machine names of Vertex AI and of Kubernetes.

Sources, as of 2026: Vertex AI's "Configure compute resources for training", "Train with TPU accelerators" and "TPU
regions and zones"; GKE's "Plan TPUs in GKE"; Cloud TPU's "TPU v5e" and "Train a model using TPU v6e". A project's quota
is not checked.
"""

from typing import Any, NamedTuple

_NAMES = """
africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 europe-central2 europe-north1
europe-north2 europe-southwest1 europe-west1 europe-west2 europe-west3 europe-west4 europe-west6 europe-west8
europe-west9 europe-west12 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2
southamerica-east1 southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2
us-west3 us-west4
"""
REGIONS = frozenset(_NAMES.split())  # of Vertex AI; its TPUs are in the regions below
_V5E = frozenset({"us-central1", "us-south1", "us-west1", "us-west4", "europe-west4", "asia-southeast1"})
_V3 = frozenset({"us-central1", "europe-west4"})
_V2 = _V3 | {"asia-east1"}


class Machine(NamedTuple):
    """A machine for training.

    Attributes:
      kind: 'cpu', 'gpu' or 'tpu'.
      cost: the range of its list price, in US dollars per hour.
      vertex: the machine_spec of a worker pool.
      regions: the Vertex AI regions that have the machine.
      cpu: cores that the Trainer requests from Kubernetes, less than the node has, because GKE reserves some.
      memory_gb: memory that the Trainer requests, in GB, also less than the node has.
      resource: the accelerator's resource name in Kubernetes.
      accelerators: the number of accelerators.
      selector: node labels; None if GKE has no such nodes.
    """

    kind: str
    cost: str
    vertex: dict[str, Any]
    regions: frozenset[str] = REGIONS
    cpu: int = 0
    memory_gb: int = 0
    resource: str = ""
    accelerators: int = 0
    selector: dict[str, str] | None = {}


def _cpu(cores: int, cost: str) -> Machine:
    return Machine("cpu", cost, {"machine_type": f"n1-standard-{cores}"}, cpu=cores - 1, memory_gb=3 * cores)


def _gpu(machine: str, gpu: str, count: int, label: str, cores: int, memory_gb: int, cost: str) -> Machine:
    vertex = {"machine_type": machine, "accelerator_type": gpu, "accelerator_count": count}
    selector = {"cloud.google.com/gke-accelerator": label}
    return Machine("gpu", cost, vertex, REGIONS, cores, memory_gb, "nvidia.com/gpu", count, selector)


def _v5e(chips: int, topology: str, cores: int, memory_gb: int, cost: str) -> Machine:
    vertex = {"machine_type": f"ct5lp-hightpu-{chips}t", "tpu_topology": topology}
    return Machine("tpu", cost, vertex, _V5E, cores, memory_gb, *_slice("tpu-v5-lite-podslice", chips, topology))


def _slice(label: str, chips: int, topology: str) -> tuple[str, int, dict[str, str]]:
    labels = {"cloud.google.com/gke-tpu-accelerator": label, "cloud.google.com/gke-tpu-topology": topology}
    return "google.com/tpu", chips, labels


def _cloud_tpu(name: str) -> dict[str, Any]:
    return {"machine_type": "cloud-tpu", "accelerator_type": name, "accelerator_count": 8}


SPOT_LABEL = ("cloud.google.com/gke-spot", "true")  # of GKE's spot nodes, and of a taint that administrators may add

MACHINES = {
    "cpu-4": _cpu(4, "under 1"),
    "cpu-8": _cpu(8, "under 1"),
    "cpu-16": _cpu(16, "under 1"),
    "cpu-32": _cpu(32, "1 to 5"),
    "t4": _gpu("n1-standard-8", "NVIDIA_TESLA_T4", 1, "nvidia-tesla-t4", 7, 24, "under 1"),
    "t4-4": _gpu("n1-standard-16", "NVIDIA_TESLA_T4", 4, "nvidia-tesla-t4", 15, 48, "1 to 5"),
    "l4": _gpu("g2-standard-12", "NVIDIA_L4", 1, "nvidia-l4", 11, 40, "1 to 5"),
    "l4-4": _gpu("g2-standard-48", "NVIDIA_L4", 4, "nvidia-l4", 46, 170, "1 to 5"),
    "v100": _gpu("n1-standard-8", "NVIDIA_TESLA_V100", 1, "nvidia-tesla-v100", 7, 24, "1 to 5"),
    "a100": _gpu("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1, "nvidia-tesla-a100", 11, 75, "1 to 5"),
    "a100-8": _gpu("a2-highgpu-8g", "NVIDIA_TESLA_A100", 8, "nvidia-tesla-a100", 94, 640, "over 20"),
    "h100-8": _gpu("a3-highgpu-8g", "NVIDIA_H100_80GB", 8, "nvidia-h100-80gb", 204, 1700, "over 20"),
    "tpu-v2-8": Machine("tpu", "1 to 5", _cloud_tpu("TPU_V2"), _V2, selector=None),
    "tpu-v3-8": Machine("tpu", "5 to 20", _cloud_tpu("TPU_V3"), _V3, 94, 290, *_slice("tpu-v3-device", 4, "2x2")),
    "tpu-v5e-1": _v5e(1, "1x1", 22, 36, "1 to 5"),
    "tpu-v5e-4": _v5e(4, "2x2", 110, 160, "1 to 5"),
    "tpu-v5e-8": _v5e(8, "2x4", 220, 330, "5 to 20"),
}

_SEVERAL_HOSTS = (
    "the slice has several hosts, and TensorFlow needs a server on each of them, but the Trainer is one process on one "
    "host; expected at most tpu-v5e-8"
)
_V6E = "Google documents JAX and PyTorch for TPU v6e, but not TensorFlow; expected a tpu-v5e machine"
# machines that exist but cannot train, and the reason: slices by their number of chips
REFUSED = {
    **{f"tpu-v5e-{chips}": _SEVERAL_HOSTS for chips in (16, 32, 64, 128, 256)},
    **{f"tpu-v6e-{chips}": _V6E for chips in (1, 4, 8, 16, 32, 64, 128, 256)},
}
