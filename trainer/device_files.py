"""Finds the device files of TPUs, without TensorFlow."""

from pathlib import Path


def tpus(root: Path = Path("/")) -> list[Path]:
    """Returns the device files of TPUs under `root`: `dev/accelN`, or from v5e on `dev/vfio/N`, sorted.

    Other devices that are passed through to a virtual machine also have files in `dev/vfio`.
    """
    return sorted((root / "dev").glob("accel[0-9]*")) or sorted((root / "dev" / "vfio").glob("[0-9]*"))
