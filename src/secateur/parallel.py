"""Many tasks in many processes, each worker started once and kept warm.

Workers are plain child processes that talk through pipes, so a user's script needs no
`if __name__ == "__main__"`. This file is the parent's side; `worker.py` is the other one.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import PickleBuffer
from typing import IO, Any

from secateur.errors import InputError, WorkerError
from secateur.protocols import Progress
from secateur.sharing import spilled
from secateur.worker import Failure, TaskResult, measured, pack, receive, resolve, send

__all__ = ["TaskResult", "name_of", "run_tasks"]

OnResult = Callable[[int, TaskResult], None]
_TRIES = 3  # a task whose worker dies is given to a fresh one twice
_PATIENCE = 5.0  # seconds that a worker has to end by itself

# One thread each, because small networks are slower with more on a shared machine; the allocator
# keeps its memory instead of giving it back to the system after every batch.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "PYTHONSAFEPATH": "1",  # the worker's path is the parent's, without its working folder on top
}


def run_tasks(
    function: str | Callable[..., Any],
    tasks: Sequence[Any],
    *,
    workers: int,
    shared: Sequence[Any] = (),
    progress: Progress | None = None,
    on_result: OnResult | None = None,
) -> list[TaskResult]:
    """Call `function(*shared, task)` for every task and return the results in the order of tasks.

    A worker takes the next task whenever it is free. A task whose worker dies is given to a fresh
    worker, at most twice.

    Args:
        function: a function at the top of an importable module, or its name "module:name".
        tasks: one argument for each call; plain data or objects of importable classes.
        workers: number of processes, >= 0; 0 runs the tasks one by one in this process, where an
            exception travels unchanged.
        shared: first arguments of every call; their large arrays are held once, for all workers.
        progress: called with (tasks done, tasks in all, function's name) at the start and after
            each task.
        on_result: called in this process with (index of the task, result) as soon as it is there.

    Returns:
        For each task its value, CPU seconds and wall seconds.

    Raises:
        InputError: fewer than 0 workers; a function or class that workers cannot import.
        WorkerError: a task failed with an error that is none of ours, or killed three workers.
        SecateurError: whatever error of ours a task raised, as it was.

    Example:
        >>> [r.value for r in run_tasks("math:sqrt", [4, 9], workers=0)]
        [2.0, 3.0]
    """
    if workers < 0:
        raise InputError(f"workers must be 0 (this process) or more, got {workers}")
    name = name_of(function)
    results: list[TaskResult | None] = [None] * len(tasks)

    def finished(index: int, result: TaskResult) -> None:
        results[index] = result
        if on_result is not None:
            on_result(index, result)
        if progress is not None:
            progress(sum(r is not None for r in results), len(tasks), name)

    if progress is not None and tasks:
        progress(0, len(tasks), name)
    if workers == 0 or not tasks:
        call = resolve(function)
        for index, task in enumerate(tasks):
            finished(index, measured(call, shared, task))
    else:
        apart: list[PickleBuffer] = []
        inside = pack(tuple(shared), apart.append)
        with spilled(apart) as held:
            if not held.spans:
                inside = pack(tuple(shared))
            setup = pack((function, inside, held))
            pool = _Pool(setup, tasks, inherited=held.inherited)
            pool.run(min(workers, len(tasks)), finished)
    return [result for result in results if result is not None]


def name_of(function: str | Callable[..., Any]) -> str:
    """Return what progress is told of a function.

    Example:
        >>> name_of(len), name_of("math:sqrt")
        ('len', 'math:sqrt')
    """
    return function if isinstance(function, str) else getattr(function, "__name__", str(function))


class _Pool:
    """The parent's side: one thread for each worker, which pulls tasks and waits for answers."""

    def __init__(
        self, setup: bytes, tasks: Sequence[Any], *, inherited: tuple[int, ...] = ()
    ) -> None:
        self._setup = setup
        self._inherited = inherited
        self._tasks = tasks
        self._waiting = deque((index, 1) for index in range(len(tasks)))
        self._events: queue.Queue[tuple[int, TaskResult | BaseException]] = queue.Queue()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._alive: set[_Worker] = set()

    def run(self, workers: int, finished: OnResult) -> None:
        """Run all tasks; on any error, an interrupt included, end the workers and let it out."""
        threads = [threading.Thread(target=self._drive, daemon=True) for _ in range(workers)]
        try:
            for thread in threads:
                thread.start()
            for _ in self._tasks:
                index, outcome = self._events.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                finished(index, outcome)
        except BaseException:
            self._end_all()
            raise
        finally:
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _end_all(self) -> None:
        with self._lock:
            self._stopped.set()
            alive = list(self._alive)
        for worker in alive:
            worker.terminate()
        for worker in alive:
            worker.kill_after(_PATIENCE)

    def _start(self) -> _Worker | None:
        with self._lock:  # no worker starts once the pool is stopped
            if self._stopped.is_set():
                return None
            try:
                worker = _Worker(self._inherited)
            except OSError as error:
                raise WorkerError(
                    f"cannot start a worker process ({error}); use fewer workers, or workers=0"
                ) from error
            self._alive.add(worker)
            return worker

    def _drive(self) -> None:
        index, worker = -1, None
        try:
            while self._waiting and not self._stopped.is_set():
                try:
                    index, attempt = self._waiting.popleft()
                except IndexError:  # another thread was faster
                    break
                worker = self._one(index, attempt, worker)
        except BaseException as error:  # handed to the parent's thread, which raises it
            self._events.put((index, error))
        finally:
            if worker is not None:
                worker.close()

    def _one(self, index: int, attempt: int, worker: _Worker | None) -> _Worker | None:
        message = pack(self._tasks[index])
        outcome: Any = None
        try:
            if worker is None:
                worker = self._start()
                if worker is None:
                    return None
                outcome = worker.ask(self._setup)  # None when the function was found
            outcome = outcome or worker.ask(message)
        except (EOFError, OSError):
            if worker is None:
                raise
            code = worker.close()
            with self._lock:
                self._alive.discard(worker)
            if self._stopped.is_set():
                return None
            if attempt < _TRIES:
                self._waiting.append((index, attempt + 1))
            else:
                self._events.put((index, _death(index, code)))
            return None
        if isinstance(outcome, Failure):
            self._events.put((index, outcome.error(index)))
        else:
            self._events.put((index, outcome))
        return worker


def _death(index: int, code: int) -> WorkerError:
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how += f" ({signal.Signals(-code).name})"
    return WorkerError(
        f"task {index} ended {_TRIES} worker processes, the last with {how}; after SIGKILL, memory "
        "has often run out: use fewer workers, or see the task alone with workers=0"
    )


class _Worker:
    """One child process and its two pipes."""

    def __init__(self, inherited: tuple[int, ...]) -> None:
        path = [entry or str(Path.cwd()) for entry in sys.path]
        # the child inherits the parent's environment, as any child does, with ours on top
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(path)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from secateur.worker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            pass_fds=inherited,
            start_new_session=True,
        )
        self._pipe_in = _pipe(self._process.stdin)
        self._pipe_out = _pipe(self._process.stdout)

    def ask(self, message: bytes) -> Any:
        """Send a message and wait for the answer; EOFError when the worker is gone."""
        send(self._pipe_in, message)
        return receive(self._pipe_out)

    def terminate(self) -> None:
        """Ask the process to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill_after(self, seconds: float) -> int:
        """Wait for the process to end, kill it when it does not, and return its exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def close(self) -> int:
        """Close the pipes, which ends the worker, and return its exit code."""
        for pipe in (self._pipe_in, self._pipe_out):
            with contextlib.suppress(OSError):  # what a dead worker did not read is lost anyway
                pipe.close()
        return self.kill_after(_PATIENCE)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise WorkerError("a worker process was started without its pipes; run with workers=0")
    return stream
