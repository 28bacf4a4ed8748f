"""A training step of Xception at 192 px, batch 16, on the CPU: TensorFlow, as the Trainer compiles it, against PyTorch.

Both start from random weights and random pixels, with Adam, on as many threads as there are cores; each side and
dtype has a process of its own, and its best step counts. `make bench-pytorch` sets PyTorch up beside the project.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, report

_PYTORCH = ROOT / ".venv-pytorch" / "bin" / "python"
_BATCH, _SIZE, _CLASSES, _STEPS = 16, 192, 5, 6


def main() -> None:
    """Prints both ratios. bfloat16 is worth its name where /proc/cpuinfo knows avx512_bf16 or amx_bf16."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    print(f"bfloat16 instructions here: {', '.join(sorted(flags & {'avx512_bf16', 'amx_bf16'})) or 'none'}")
    for dtype, goal in (("float32", 1.0), ("bfloat16", 0.8)):
        ours = _rate(sys.executable, "tensorflow", dtype)
        theirs = _rate(str(_PYTORCH), "torch", dtype)
        ratio = ours / theirs
        report(f"a step of Xception in {dtype}, against PyTorch", f"{ratio:.2f} ×", f">= {goal} ×", ratio >= goal)
        print(f"  TensorFlow {ours:.1f}, PyTorch {theirs:.1f} images/s", flush=True)


def _rate(python: str, library: str, dtype: str) -> float:
    command = [python, "-m", "benchmarks.pytorch", library, dtype]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.split()[-1])


def _best(step: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(_STEPS + 1):
        started = time.monotonic()
        step()
        seconds.append(time.monotonic() - started)
    return _BATCH / min(seconds[1:])  # the first one traces the graph, or makes the kernels


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
    return _best(lambda: model.train_on_batch(pixels, classes))


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

    return _best(step)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print({"tensorflow": _tensorflow, "torch": _torch}[sys.argv[1]](sys.argv[2]))
    else:
        main()
