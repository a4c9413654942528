"""Unstructured zeros as time: the sparse runtime beside dense ONNX Runtime, as ratios.

    python -m benchmarks.runtime [--quick] [--only NAME] [--threads N] [--isa NAME] [--out FILE]
    python -m benchmarks.runtime --packed FILE --onnx FILE [--out FILE]

Each network is taken with fresh weights, of which the smallest are set to zero: places at random,
as the weights are. Those "by ADMM" are trained for a moment and pruned by ADMM, whose zeros are not
spread evenly; "shuffled" has as many in each layer at random. A network is packed and run by
`secateur_runtime`; beside it stands the dense network in ONNX Runtime with the same threads. Times
do not depend on the weights' values, and accuracy is not spoken of here. Each round times both in
turn; a ratio is of one round. Which way each layer ran (sparse,
dense, code) is recorded. Outputs are compared with the numpy engine's first. At 90 % zeros two
threads of the runtime are timed beside one, in turn. `--isa avx2` runs our side without AVX-512,
which ONNX Runtime cannot be told to leave; so torch is timed too, dense and without AVX-512.
With `--packed` and `--onnx` a trained model's two files are timed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx.experimental.optimization import fuse

import secateur_runtime
from benchmarks.runtime_networks import BATCHES, CASES, Files, networks_of, pictures
from benchmarks.timing import spread
from secateur import store
from secateur.context import hardware, version_of
from secateur.deploy import Run, latency, peak_memory
from secateur.models import OnnxNetwork
from secateur_runtime.native import instruction_sets

CLOSE = 1e-4
_CHILD = """
import sys
from pathlib import Path
import numpy as np
import secateur_runtime

def of(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise SystemExit("no memory is told here")

Path("/proc/self/clear_refs").write_text("5")
before = of("VmRSS")
network = secateur_runtime.load(sys.argv[1], threads=int(sys.argv[3]), isa=sys.argv[4] or None)
values = np.ones([int(n) for n in sys.argv[2].split(",")], np.float32)
for _ in range(3):
    network(values)
print(of("VmHWM") - before)
"""


def peak(file: Path, shape: tuple[int, ...], batch: int, threads: int, isa: str | None) -> int:
    """Return how many bytes loading and running a packed file adds at its highest.

    Each thread has memory of its own for values, so they are as many as in what is timed.
    """
    sizes = ",".join(map(str, (batch, *shape)))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(file), sizes, str(threads), isa or ""],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def keep_to(isa: str) -> None:
    """Make torch use nothing of AVX-512 where our side has none.

    To be called before torch computes anything, for it reads this once.
    """
    if isa == "avx2":
        os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
        os.environ["MKL_ENABLE_INSTRUCTIONS"] = "AVX2"


def dense_torch(module: torch.nn.Module) -> Run:
    """Return the dense network in torch: normalisation folded, channels innermost (faster here)."""
    fused = fuse(module).to(memory_format=torch.channels_last)

    def run(batch: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            given = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
            answer: NDArray[Any] = fused(given).numpy()
        return answer

    return run


def runs_of(files: Files, network: Any, threads: int) -> dict[str, Run]:
    """Return what is timed: dense ONNX Runtime first."""
    dense = OnnxNetwork(files.onnx, threads=threads)
    runs: dict[str, Run] = {"ONNX Runtime": dense.run, "sparse": network}
    if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2" and files.dense is not None:
        runs["torch"] = dense_torch(files.dense)
    return runs


def apart_of(packed: Path, network: Any, inputs: NDArray[Any], batches: tuple[int, ...]) -> float:
    """Return the largest difference to the numpy engine in what is timed, relative to 1 + |x|."""
    slow = secateur_runtime.load(packed, engine="numpy")
    worst = 0.0
    for batch in batches:
        given = inputs[np.arange(batch) % len(inputs)]
        fast, exact = network(given), slow(given[: len(inputs)])
        exact = exact[np.arange(batch) % len(exact)]
        worst = max(worst, float((np.abs(fast - exact) / (1 + np.abs(exact))).max()))
    return worst


def inputs_of(shape: tuple[int, ...]) -> NDArray[Any]:
    """Return records to run, fewer where they are large."""
    records = pictures(shape, 128 if np.prod(shape) < 10_000 else 8)
    return records.gather(np.arange(len(records)))


def rows_of(
    name: str,
    files: Files,
    batches: tuple[int, ...],
    *,
    zeros: float | None,
    threads: int,
    isa: str | None,
    how: tuple[int, float],
) -> Iterator[dict[str, Any]]:
    """Yield one row for each size of batch."""
    rounds, seconds = how
    inputs = inputs_of(files.shape)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.packed"
        file.write_bytes(files.packed)
        network = secateur_runtime.load(file, threads=threads, isa=isa)
        apart = apart_of(file, network, inputs[: 4 if len(inputs) < 16 else 16], batches)
        if not apart <= CLOSE:
            sys.exit(f"runtime: {name} is {apart:.2g} from the reference, more than {CLOSE}")
        for batch in batches:
            timed = latency(
                runs_of(files, network, threads),
                inputs,
                batch=batch,
                rounds=rounds,
                seconds=seconds,
            )
            yield {
                "network": name,
                "shape": list(files.shape),
                "zeros": zeros,
                "batch": batch,
                "threads": threads,
                "engine": network.engine,
                "layers": [list(layer) for layer in network.chosen(batch)],
                "apart": apart,
                "bytes": {"packed": len(files.packed), "onnx": len(files.onnx)},
                "peak_memory": {
                    "sparse": peak(file, files.shape, batch, threads, isa),
                    "ONNX Runtime": peak_memory(files.onnx, files.shape, batch=batch),
                },
                "median_ms": {k: v.median for k, v in timed.items()},
                "ratio": spread(list(timed["sparse"].speed_up)),
            }


def gains_of(
    name: str, files: Files, batches: tuple[int, ...], isa: str | None, how: tuple[int, float]
) -> Iterator[dict[str, Any]]:
    """Yield for each size of batch how much faster two threads are than one, timed in turn."""
    inputs = inputs_of(files.shape)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.packed"
        file.write_bytes(files.packed)
        runs: dict[str, Run] = {
            f"{n} thread(s)": secateur_runtime.load(file, threads=n, isa=isa) for n in (1, 2)
        }
        for batch in batches:
            timed = latency(runs, inputs, batch=batch, rounds=how[0], seconds=how[1])
            yield {
                "network": name,
                "batch": batch,
                "median_ms": {k: v.median for k, v in timed.items()},
                "ratio": spread(list(timed["2 thread(s)"].speed_up)),
            }


def gain_line(row: dict[str, Any]) -> str:
    """Return what is printed of a row that compares threads."""
    one, two = row["median_ms"].values()
    return (
        f"{row['network']:26s} batch {row['batch']:2d}: {one:8.3f} ms by one thread, {two:8.3f} ms "
        f"by two, {row['ratio']['median']:5.2f}x ({row['ratio']['min']:.2f} to "
        f"{row['ratio']['max']:.2f})"
    )


def line(row: dict[str, Any]) -> str:
    """Return what is printed of a row."""
    zeros = "trained" if row["zeros"] is None else f"{row['zeros']:.0%}"
    times, ratio = row["median_ms"], row["ratio"]
    return (
        f"{row['network']:26s} {zeros:>7s} zeros, batch {row['batch']:2d}, "
        f"{row['threads']} thread(s): "
        f"{times['sparse']:8.3f} ms, dense {times['ONNX Runtime']:8.3f} ms, "
        f"{ratio['median']:5.2f}x ({ratio['min']:.2f} to {ratio['max']:.2f})"
    )


def wanted(arguments: argparse.Namespace) -> Iterator[tuple[str, Files, tuple[int, ...], Any]]:
    """Yield name, files, batches and share of zeros of everything that is to be timed."""
    if arguments.packed:
        shape = secateur_runtime.load(arguments.packed).input_shape
        files = Files(arguments.packed.read_bytes(), arguments.onnx.read_bytes(), tuple(shape))
        yield arguments.packed.stem, files, BATCHES, None
        return
    for case in CASES:
        if arguments.only and not case.name.startswith(arguments.only):
            continue
        if arguments.quick and not case.name.startswith("LeNet-5"):
            continue
        for zeros in case.zeros:
            for name, files in networks_of(case, zeros):
                yield name, files, case.batches, zeros


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two rounds, LeNet-5 alone")
    parser.add_argument("--only", help="networks whose name begins so")
    parser.add_argument("--threads", type=int, default=1, help="of one inference")
    parser.add_argument("--isa", help="instructions of our side, such as avx2; by default the best")
    parser.add_argument("--packed", type=Path, help="a trained model's packed file")
    parser.add_argument("--onnx", type=Path, help="the dense model's ONNX file")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.only and not any(case.name.startswith(arguments.only) for case in CASES):
        parser.error(f"--only {arguments.only}: there are {', '.join(c.name for c in CASES)}")
    if arguments.isa:
        keep_to(arguments.isa)
        if arguments.isa not in instruction_sets():
            parser.error(f"--isa {arguments.isa}: here are {', '.join(instruction_sets())}")
    if bool(arguments.packed) != bool(arguments.onnx):
        parser.error("give --packed and --onnx together")
    torch.set_num_threads(1)
    how = (2, 0.05) if arguments.quick else (5, 0.3)
    report: dict[str, Any] = {
        "format": "secateur-benchmark-1",
        "benchmark": "runtime",
        "command": "python -m benchmarks.runtime"
        + (f" --threads {arguments.threads}" if arguments.threads > 1 else "")
        + (f" --isa {arguments.isa}" if arguments.isa else "")
        + (f" --only '{arguments.only}'" if arguments.only else "")
        + (" --quick" if arguments.quick else "")
        + (" --packed FILE --onnx FILE" if arguments.packed else ""),
        "rounds": how[0],
        "machine": hardware(),
        "runtime": f"ONNX Runtime {version_of('onnxruntime')}, {arguments.threads} thread(s)",
        "rows": [],
        "gains": [],
    }
    isa, threads = arguments.isa, arguments.threads
    for name, files, batches, zeros in wanted(arguments):
        for row in rows_of(name, files, batches, zeros=zeros, threads=threads, isa=isa, how=how):
            report["rows"].append(row)
            print(line(row), flush=True)
            if arguments.out:  # what is there so far
                store.write_document(arguments.out, report)
        if zeros in (None, 0.9) and arguments.threads == 1 and (os.cpu_count() or 1) > 1:
            for row in gains_of(name, files, batches, isa, how):
                report["gains"].append(row)
                print(gain_line(row), flush=True)
    if arguments.out:
        store.write_document(arguments.out, report)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
