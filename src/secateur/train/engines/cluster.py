"""Shards of a fleet on a Ray cluster, or on a local one that lives as long as the run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.errors import InputError, MissingExtraError, SecateurError, WorkerError
from secateur.parallel import ENVIRONMENT, TaskResult
from secateur.train.engines.processes import check_counts
from secateur.train.engines.serial import ONE_BY_ONE
from secateur.train.engines.stacked import Stacked
from secateur.worker import measured

if TYPE_CHECKING:
    from secateur.protocols import Progress

__all__ = ["Ray"]

RETRIES = 3
AHEAD = 2
"""Tasks given out per core: enough to keep it busy, few enough that results do not pile up."""
STORE_BYTES = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Ray:
    """Make a fleet's shards on Ray: on the cluster at `address`, else on this machine.

    Records are sent to each machine once; models come back and are written here, so that machines
    need no common disk. A shard whose worker or machine is lost is made again elsewhere; the bytes
    are those of the engine that makes models one by one, or of `Stacked` of the same size.

    Args:
        stack: how models are stacked in a shard; None makes them one by one.
        workers: cores of a local cluster; 0 means all. Not used with an address.
        address: of a running cluster, such as `auto` or `ray://head:10001`; empty starts a local
            one.
        gpus: of each task, such as 0.25 for four shards on one card.

    Raises:
        InputError: a number out of range.

    Example:
        >>> Ray(stack=Stacked(models=16)).route
        "stacked(models=16, device='cpu')"
    """

    stack: Stacked | None = None
    workers: int = 0
    address: str = ""
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.stack is not None and not isinstance(self.stack, Stacked):
            raise InputError(f"stack must be such as Stacked(models=16), got {self.stack!r}")
        check_counts(workers=self.workers)
        if self.gpus < 0:
            raise InputError(f"workers={self.workers}, gpus={self.gpus}: both must be at least 0")

    @property
    def route(self) -> str:
        """What of this engine can change a byte of a model."""
        return self.stack.route if self.stack else ONE_BY_ONE

    def run(
        self,
        function: Callable[..., Any],
        tasks: Sequence[Any],
        *,
        shared: tuple[Any, ...] = (),
        progress: Progress | None = None,
        on_result: Callable[[int, TaskResult], None] | None = None,
    ) -> list[TaskResult]:
        """Return `function(*shared, task)` for each task, in order.

        What `on_result` has seen is not held: its value is None then.
        """
        results: dict[int, TaskResult] = {}
        if progress is not None:
            progress(0, len(tasks), function.__name__)
        if not tasks:
            return []
        with self._cluster() as ray:
            for index, result in self._results(ray, function, tasks, shared):
                results[index] = result
                if on_result is not None:
                    on_result(index, result)
                    results[index] = replace(result, value=None)  # a whole fleet does not fit
                if progress is not None:
                    progress(len(results), len(tasks), function.__name__)
        return [results[index] for index in range(len(tasks))]

    @contextmanager
    def _cluster(self) -> Iterator[Any]:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError(
                "the engine Ray needs ray, which is not installed; install it with "
                "pip install 'secateur[ray]'"
            ) from error
        if ray.is_initialized():  # the user's own
            yield ray
            return
        # workers see what this process sees: modules beside the script, and the same settings
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        environment = {"env_vars": {**ENVIRONMENT, "PYTHONPATH": path}}
        options: dict[str, Any] = {"runtime_env": environment, "log_to_driver": False}
        if self.address:
            options["address"] = self.address
        else:
            options |= {
                "num_cpus": self.workers or len(os.sched_getaffinity(0)),
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
            }
        try:
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise WorkerError(
                f"no Ray cluster at {self.address or 'this machine'} ({error}); start one with "
                "`ray start --head`, or use engine='processes'"
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()

    def _results(
        self,
        ray: Any,
        function: Callable[..., Any],
        tasks: Sequence[Any],
        shared: tuple[Any, ...],
    ) -> Iterator[tuple[int, TaskResult]]:
        """Yield (index, result) as tasks end."""
        remote = ray.remote(measured).options(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES)
        held = ray.put(shared)
        most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting = list(range(len(tasks)))[::-1]
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    index = waiting.pop()
                    running[remote.remote(function, held, tasks[index])] = index
                (done,), _ = ray.wait(list(running), num_returns=1)
                index = running.pop(done)
                yield index, _got(ray, done, index)
        finally:
            for left in running:  # on a cluster of the user's own they would go on
                ray.cancel(left)


def _got(ray: Any, done: Any, index: int) -> TaskResult:
    try:
        result: TaskResult = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, SecateurError):
            raise cause from error
        raise WorkerError(f"task {index} failed on the cluster:\n{error}") from error
    except ray.exceptions.RayError as error:
        raise WorkerError(
            f"task {index} was lost {RETRIES + 1} times on the cluster ({type(error).__name__}): a "
            "machine may be out of memory; give it fewer workers, or smaller stacks"
        ) from error
    return result
