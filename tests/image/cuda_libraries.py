"""Shows in the image gpu, without a GPU, that TensorFlow finds CUDA's libraries and compiler. check.sh starts it.

Calls the functions that TensorFlow 2.16 calls when it finds a GPU. No public interface has them. NCCL is a part of
libtensorflow_framework. In place of the driver's library, check.sh has put another one.
"""

import ctypes
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

PACKAGES = Path(tf.__file__).parent.parent
TENSORFLOW = ctypes.CDLL(str(PACKAGES / "tensorflow" / "libtensorflow_framework.so.2"))
LIBRARIES = ("CudaDriver", "CudaRuntime", "Cublas", "CublasLt", "Cudnn", "Cufft", "Cupti", "Cusolver", "Cusparse")
FILES = ("bin/ptxas", "nvvm/libdevice/libdevice.10.bc")


def opens(library: str) -> bool:
    """Returns whether TensorFlow opens a library. The result is an absl::StatusOr; its first word is 0 for OK."""
    name = f"Get{library}DsoHandle"
    result = (ctypes.c_uint64 * 2)()
    getattr(TENSORFLOW, f"_ZN3tsl8internal9DsoLoader{len(name)}{name}Ev")(ctypes.byref(result))
    return result[0] == 0


def cuda_folders() -> list[Path]:
    """Returns the folders in which TensorFlow looks for FILES. The result is a std::vector<std::string>."""
    vector = (ctypes.c_uint64 * 3)()
    TENSORFLOW._ZN3tsl18CandidateCudaRootsB5cxx11Ev(ctypes.byref(vector))
    texts = [(ctypes.c_uint64 * 2).from_address(address) for address in range(vector[0], vector[1], 32)]
    return [Path(ctypes.string_at(*text).decode()).resolve() for text in texts]


def main() -> int:
    """Prints what TensorFlow finds; returns 1 if something is missing."""
    build = tf.sysconfig.get_build_info()
    print(f"TensorFlow {tf.__version__} for CUDA {build['cuda_version']} and cuDNN {build['cudnn_version']} finds:")
    missing = [library for library in LIBRARIES if not opens(library)]
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/nvidia/" in line}
    print(*sorted(mapped), sep="\n")
    for file in FILES:
        found = [folder / file for folder in cuda_folders() if (folder / file).exists()]
        missing += [] if found else [file]
        print(*found)
    subprocess.run([PACKAGES / "nvidia" / "cuda_nvcc" / "bin" / "ptxas", "--version"], check=True)
    if missing:
        print("expected that TensorFlow finds all libraries and files, not found:", *missing, file=sys.stderr)
        return 1
    print("Not checked, because no driver and no GPU are here: libcuda.so.1 itself, and any operation on a GPU.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
