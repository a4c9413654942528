"""The worker's side of `parallel`: receive a function once, then one task after the other.

Messages are pickled. They go between a process and the children that it started itself, through
pipes that nobody else holds, and are never a file.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import IO, Any

from secateur.errors import InputError, SecateurError, WorkerError
from secateur.sharing import mapped
from secateur.user_code import ended

__all__ = ["Failure", "TaskResult", "measured", "pack", "receive", "resolve", "send", "serve"]

_LENGTH = 8  # bytes of a message's length
_LINGER = 2.0  # seconds that a worker may need to end after its parent is gone


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """What a task returned, and the CPU and wall seconds that it took."""

    value: Any
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What a task raised: the exception itself where it is one of ours, and its traceback."""

    exception: SecateurError | None
    text: str

    def error(self, index: int) -> SecateurError:
        """Return the exception to raise in the parent."""
        told = WorkerError(f"task {index} failed in a worker process:\n{self.text}")
        if self.exception is None:
            return told
        self.exception.__cause__ = told
        return self.exception


class _Pickler(pickle.Pickler):
    """Refuses what a worker could not import, before it is sent."""

    def reducer_override(self, obj: Any) -> Any:
        named = obj if isinstance(obj, type | FunctionType) else type(obj)
        if getattr(named, "__module__", None) == "__main__":
            raise InputError(
                f"{getattr(named, '__qualname__', named)} is defined in the script that runs "
                "(__main__), and worker processes cannot import it from there; move it into a "
                "module of its own and import it, or use engine='serial' (workers=0)"
            )
        return NotImplemented


def pack(message: Any, apart: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """Return the bytes of a message.

    Args:
        message: what is sent.
        apart: takes the buffers of large arrays, which then are not in the bytes.

    Raises:
        InputError: the message holds something that a worker could not import.
    """
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=5, buffer_callback=apart).dump(message)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"this cannot travel between processes: {error}; use functions and classes at the top "
            "of an importable module, and plain data, or use engine='serial' (workers=0)"
        ) from error
    return buffer.getvalue()


def send(pipe: IO[bytes], message: bytes) -> None:
    """Write one message with its length before it."""
    pipe.write(len(message).to_bytes(_LENGTH, "big"))
    pipe.write(message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Read one message.

    Raises:
        EOFError: the other side is gone.
    """
    return pickle.loads(_receive_bytes(pipe))  # noqa: S301 - from our own parent or child


def _receive_bytes(pipe: IO[bytes]) -> bytes:
    length = int.from_bytes(_exactly(pipe, _LENGTH), "big")
    return _exactly(pipe, length)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise EOFError(f"the other process ended after {len(data)} of {count} bytes")
    return data


def resolve(function: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return the function itself, imported where it was given as "module:name".

    Raises:
        InputError: the name has another form, or there is no such function.
    """
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    if not module or not name:
        raise InputError(f"a task's function is spelled 'module:name', got {function!r}")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"there is no function {function!r} to run ({error}); correct the name, or put its "
            "folder on sys.path"
        ) from error
    return found


def measured(function: Callable[..., Any], shared: Sequence[Any], task: Any) -> TaskResult:
    """Call `function(*shared, task)` and take its time.

    Raises:
        InputError: it ended Python, as a user's code may by `sys.exit`.
    """
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        value = function(*shared, task)
    except SystemExit as stop:
        raise ended(stop) from stop
    return TaskResult(
        value=value,
        cpu_seconds=time.process_time() - cpu,
        wall_seconds=time.perf_counter() - wall,
    )


class _Inbox:
    """Reads messages in a thread, so that the end of the parent is seen in the middle of a task."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._messages: queue.Queue[bytes | None] = queue.Queue()
        self.busy = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while True:
                self._messages.put(_receive_bytes(self._pipe))
        except (EOFError, OSError):
            if not self.busy.is_set():
                self._messages.put(None)
                time.sleep(_LINGER)
            os._exit(0)  # nobody waits for the task that runs

    def next(self) -> bytes | None:
        """Return the next message, or None when there will be none."""
        self.busy.clear()
        message = self._messages.get()
        self.busy.set()
        return message


def serve() -> None:
    """Answer messages until the parent closes the pipe.

    The first one is the function, its first arguments as bytes, and where their arrays lie.
    """
    # The pipes move to private descriptors; what a task prints goes to standard error.
    answers = os.fdopen(os.dup(1), "wb")
    inbox = _Inbox(os.fdopen(os.dup(0), "rb"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    function: Callable[..., Any] | None = None
    shared: Sequence[Any] = ()
    while (message := inbox.next()) is not None:
        try:
            content = pickle.loads(message)  # noqa: S301 - from our own parent
            if function is None:
                named, inside, held = content
                function = resolve(named)
                shared = pickle.loads(inside, buffers=mapped(held) if held.spans else ())  # noqa: S301
                answer = pack(None)
            else:
                _one_thread()
                answer = pack(measured(function, shared, content))
        except Exception as error:
            answer = pack(_failure(error))
        _one_thread()
        send(answers, answer)


def _one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def _failure(error: Exception) -> Failure:
    text = "".join(traceback.format_exception(error)).rstrip()
    ours = error if isinstance(error, SecateurError) else None
    try:
        if ours is not None and str(pickle.loads(pack(ours))) != str(ours):  # noqa: S301
            ours = None
    except Exception:  # an exception that cannot travel goes as its text
        ours = None
    return Failure(exception=ours, text=text)
