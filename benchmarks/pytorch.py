"""Speed of a training step of Xception (192 px, batch 16) on the CPU: the Trainer's model compared with PyTorch.

Both have random weights, random pixels, Adam and one thread for each core. Each library and dtype runs in its own
process, and the best step counts. `make bench-pytorch` installs PyTorch in a separate virtual environment.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, report, run_module

_PYTORCH = ROOT / ".venv-pytorch" / "bin" / "python"
_BATCH, _SIZE, _CLASSES, _STEPS = 16, 192, 5, 6


def main() -> None:
    """Prints the ratio for each dtype. bfloat16 is fast only on a CPU with the flag avx512_bf16 or amx_bf16."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    print(f"bfloat16 instructions of this CPU: {', '.join(sorted(flags & {'avx512_bf16', 'amx_bf16'})) or 'none'}")
    for dtype, goal in (("float32", 1.0), ("bfloat16", 0.8)):
        tensorflow, torch = (
            float(run_module("benchmarks.pytorch", library, dtype, python=python).split()[-1])
            for library, python in (("tensorflow", sys.executable), ("torch", _PYTORCH))
        )
        ratio = tensorflow / torch
        report(f"a step of Xception in {dtype}, relative to PyTorch", f"{ratio:.2f} ×", f">= {goal} ×", ratio >= goal)
        print(f"  TensorFlow {tensorflow:.1f}, PyTorch {torch:.1f} images/s", flush=True)


def _best_rate(step: Callable[[], Any]) -> float:
    """Returns images/s of the fastest step."""
    seconds = []
    for _ in range(_STEPS + 1):
        started = time.monotonic()
        step()
        seconds.append(time.monotonic() - started)
    return _BATCH / min(seconds[1:])  # step 0 traces the graph or compiles the kernels


def _tensorflow(dtype: str) -> float:
    import keras
    import tensorflow as tf

    from pipeline.config import Trainer
    from trainer import fitting, models

    keras.config.set_dtype_policy("float32" if dtype == "float32" else "mixed_bfloat16")
    model = models.build("xception", (_SIZE, _SIZE, 3), _CLASSES)
    fitting.compile_model(model, Trainer(), tf.distribute.get_strategy(), _STEPS)
    pixels = tf.random.normal([_BATCH, _SIZE, _SIZE, 3])
    classes = tf.one_hot(tf.range(_BATCH) % _CLASSES, _CLASSES)
    return _best_rate(lambda: model.train_on_batch(pixels, classes))


def _torch(dtype: str) -> float:
    import timm
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    model = timm.create_model("legacy_xception", num_classes=_CLASSES).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    pixels = torch.randn(_BATCH, 3, _SIZE, _SIZE).to(memory_format=torch.channels_last)
    classes = torch.arange(_BATCH) % _CLASSES

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            logits = model(pixels)
        torch.nn.functional.cross_entropy(logits.float(), classes).backward()
        optimizer.step()

    return _best_rate(step)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print({"tensorflow": _tensorflow, "torch": _torch}[sys.argv[1]](sys.argv[2]))
    else:
        main()
