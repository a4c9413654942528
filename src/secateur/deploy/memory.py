"""How much memory an answer takes: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from secateur.errors import InputError

__all__ = ["peak_memory"]

# the child loads no torch: what is measured is the file and the runtime
_CHILD = """
import sys
from pathlib import Path
import numpy as np
import onnxruntime as ort

def of(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise SystemExit("no memory is told here")

options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 3
Path("/proc/self/clear_refs").write_text("5")
before = of("VmRSS")
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
shape = [int(n) for n in sys.argv[2].split(",")]
given = session.get_inputs()[0]
values = np.ones(shape, np.float32)
values = values.reshape(shape[0], -1) if len(given.shape) == 2 else values
for _ in range(3):
    session.run(None, {given.name: values})
print(of("VmHWM") - before)
"""


def peak_memory(data: bytes, shape: tuple[int, ...], *, batch: int = 1) -> int:
    """Return how many bytes of memory loading and running an ONNX file adds at its highest.

    Measured on Linux in a child process that has loaded ONNX Runtime before: weights, what the
    runtime makes of them, activations.

    Args:
        data: the file.
        shape: of one record; it is made flat where the file takes such.
        batch: records per call.

    Raises:
        InputError: the system tells no memory, or the file does not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(data)
        sizes = ",".join(map(str, (batch, *shape)))
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(file), sizes],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise InputError(f"the memory of this file of {len(data):,} bytes was not measured: {why}")
    return int(done.stdout)
