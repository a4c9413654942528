"""Tasks for worker processes; they live in a module of their own, as workers import them."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from secateur.errors import MethodError


class Stubborn(Exception):
    """An exception that cannot be unpickled: it needs two arguments and stores one."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a)
        self.b = b


def square(x: int) -> int:
    return x * x


def weighted(factor: int, offset: int, x: int) -> int:
    return factor * x + offset


def slow_first(x: int) -> int:
    time.sleep(0.3 if x == 0 else 0.0)
    return x


def pid_slow_second(x: int) -> int:
    time.sleep(0.3 if x == 1 else 0.0)
    return os.getpid()


def noisy(x: int) -> int:
    print("to print")
    os.write(1, b"to the descriptor\n")
    os.system("echo from a child process")
    sys.stdout.flush()
    return x + sys.stdin.read().count("anything")


def own_error(x: int) -> int:
    raise MethodError(f"sparsity {x} is above 1; give a share")


def foreign_error(x: int) -> float:
    return 1 / x


def stubborn_error(x: int) -> int:
    raise Stubborn(x, x)


def unsendable_result(x: int) -> object:
    return lambda: x


def dies_until(folder: str, times: int, x: int) -> int:
    """Kill the process on the first `times` calls for task 1, then succeed."""
    if x == 1:
        tries = len(list(Path(folder).iterdir()))
        if tries < times:
            (Path(folder) / str(tries)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return x


def exits(x: int) -> int:
    os._exit(7)


def pid(x: int) -> int:
    time.sleep(0.02)
    return os.getpid()


def environment(x: int) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "THREAD" in name}


def session(x: int) -> int:
    return os.getsid(0)


def burns(x: float) -> None:
    end = time.process_time() + x
    while time.process_time() < end:
        pass


def total(big: np.ndarray, x: int) -> float:
    return float(big.sum()) + x


def announces_and_sleeps(folder: str, x: int) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def backing(array: np.ndarray, _: int) -> tuple[float, bool, str]:
    """Return the sum of an array, whether it can be written, and what holds its memory."""
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return (
        float(array.sum()),
        bool(array.flags.writeable),
        type(getattr(base, "obj", base)).__name__,
    )


def killed_once(array: np.ndarray, mark: str) -> float:
    """Kill the first worker that comes here."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return float(array.sum())
