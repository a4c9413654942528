"""Worker processes: order, errors that travel, workers that die, parents that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import parallel_tasks
import pytest

from secateur.errors import InputError, MethodError, WorkerError
from secateur.parallel import run_tasks

SRC = Path(parallel_tasks.__file__).parents[2] / "src"
TESTS = Path(parallel_tasks.__file__).parent


def values(results):
    return [result.value for result in results]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_tasks_with_any_number_of_workers(workers):
    assert values(run_tasks("parallel_tasks:slow_first", range(7), workers=workers)) == list(
        range(7)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_shared_arguments_come_before_the_task(workers):
    results = run_tasks(parallel_tasks.weighted, [1, 2, 3], workers=workers, shared=(10, 5))
    assert values(results) == [15, 25, 35]


def test_large_shared_arrays_pass_through_the_pipes_unchanged():
    big = np.arange(2_000_000, dtype=np.float64)
    results = run_tasks(parallel_tasks.total, [0, 1], workers=2, shared=(big,))
    assert values(results) == [big.sum(), big.sum() + 1]


def test_workers_map_one_copy_of_a_large_shared_array_and_cannot_change_it():
    large = np.arange(300_000, dtype=np.float64)
    results = run_tasks(parallel_tasks.backing, [0, 1], workers=2, shared=(large,))
    assert [r.value for r in results] == [(large.sum(), False, "mmap")] * 2


def test_a_worker_that_is_started_anew_maps_the_shared_array_too(tmp_path):
    large = np.ones(300_000)
    (result,) = run_tasks(
        parallel_tasks.killed_once, [str(tmp_path / "mark")], workers=1, shared=(large,)
    )
    assert result.value == large.sum()


def test_shared_memory_leaves_no_descriptor_behind():
    large = np.ones(300_000)
    before = len(list(Path("/dev/fd").iterdir()))
    run_tasks(parallel_tasks.backing, [0], workers=1, shared=(large,))
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_no_tasks_give_no_results_and_start_no_worker():
    assert run_tasks("parallel_tasks:square", [], workers=4) == []


def test_a_worker_is_kept_for_many_tasks():
    pids = set(values(run_tasks("parallel_tasks:pid", range(8), workers=2)))
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids


def test_workers_have_one_thread_and_a_session_of_their_own():
    environment = values(run_tasks("parallel_tasks:environment", [0], workers=1))[0]
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "1"
    assert values(run_tasks("parallel_tasks:session", [0], workers=1))[0] != os.getsid(0)


@pytest.mark.parametrize("workers", [0, 1])
def test_cpu_seconds_are_those_of_the_task_alone(workers):
    busy, idle = run_tasks("parallel_tasks:burns", [0.2, 0.0], workers=workers)
    assert busy.cpu_seconds >= 0.2 > idle.cpu_seconds
    assert busy.wall_seconds >= 0.19


def test_what_a_task_prints_does_not_reach_the_pipe_and_its_input_is_empty():
    assert values(run_tasks("parallel_tasks:noisy", range(4), workers=2)) == [0, 1, 2, 3]


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_counts_every_task_and_on_result_names_it(workers):
    counted, seen = [], {}
    run_tasks(
        "parallel_tasks:square",
        [3, 4, 5],
        workers=workers,
        progress=lambda done, total, what: counted.append((done, total, what)),
        on_result=lambda index, result: seen.update({index: result.value}),
    )
    assert counted == [(k, 3, "parallel_tasks:square") for k in range(4)]
    assert seen == {0: 9, 1: 16, 2: 25}


def test_an_error_of_ours_keeps_its_type_and_message_and_shows_where_it_was_raised():
    with pytest.raises(MethodError, match=r"^sparsity 3 is above 1; give a share$") as caught:
        run_tasks("parallel_tasks:own_error", [3], workers=1)
    assert "own_error" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("function", "name"),
    [("foreign_error", "ZeroDivisionError"), ("stubborn_error", "Stubborn")],
)
def test_any_other_error_is_told_with_its_traceback(function, name):
    with pytest.raises(WorkerError, match=r"task 0 failed in a worker") as caught:
        run_tasks(f"parallel_tasks:{function}", [0], workers=1)
    assert name in str(caught.value)
    assert f"in {function}" in str(caught.value)


def test_a_result_that_cannot_travel_is_an_error_not_a_hang():
    with pytest.raises(InputError, match="cannot travel between processes"):
        run_tasks("parallel_tasks:unsendable_result", [1], workers=1)


@pytest.mark.parametrize("times", [1, 2])
def test_a_task_whose_worker_is_killed_is_done_by_a_fresh_one(tmp_path, times):
    results = run_tasks(
        "parallel_tasks:dies_until", range(4), workers=2, shared=(str(tmp_path), times)
    )
    assert values(results) == [0, 1, 2, 3]
    assert len(list(tmp_path.iterdir())) == times


def test_a_task_that_kills_three_workers_is_named_with_the_signal(tmp_path):
    with pytest.raises(WorkerError, match=r"task 1 ended 3 worker .* exit code -9 \(SIGKILL\)"):
        run_tasks("parallel_tasks:dies_until", range(4), workers=2, shared=(str(tmp_path), 99))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_task_that_exits_is_named_with_its_exit_code():
    with pytest.raises(
        WorkerError, match="task 0 ended 3 worker processes, the last with exit code 7"
    ):
        run_tasks("parallel_tasks:exits", [0], workers=1)


def test_an_error_in_on_result_ends_the_workers_and_comes_out():
    def refuse(index, result):
        raise MethodError("enough")

    with pytest.raises(MethodError, match="enough"):
        run_tasks("parallel_tasks:square", range(50), workers=2, on_result=refuse)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("spelling", ["parallel_tasks", "parallel_tasks:nothing", "no_module_x:f"])
def test_a_function_that_is_not_there_is_refused_by_name(spelling, workers):
    with pytest.raises(InputError, match=spelling):
        run_tasks(spelling, [1], workers=workers)


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(InputError, match="got -1"):
        run_tasks("parallel_tasks:square", [1], workers=-1)


def test_a_local_function_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="top of an importable module"):
        run_tasks(lambda x: x, [1], workers=1)


def script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return subprocess.Popen(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": f"{SRC}{os.pathsep}{TESTS}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_script_needs_no_main_guard(tmp_path):
    process = script(
        tmp_path,
        """
        from secateur.parallel import run_tasks
        print([r.value for r in run_tasks("parallel_tasks:square", [1, 2], workers=1)])
        """,
    )
    assert process.communicate(timeout=60)[0].splitlines() == ["[1, 4]"]


@pytest.mark.parametrize(
    "call",
    ["run_tasks(mine, [1], workers=1)", "run_tasks('parallel_tasks:square', [Mine()], workers=1)"],
)
def test_what_the_script_itself_defines_is_refused_with_the_way_out(tmp_path, call):
    process = script(
        tmp_path,
        f"""
        from secateur.parallel import run_tasks
        class Mine: ...
        def mine(x): return x
        {call}
        """,
    )
    output = process.communicate(timeout=60)[0]
    assert "InputError" in output
    assert "is defined in the script that runs (__main__)" in output
    assert "engine='serial'" in output


SLEEPER = """
    import sys
    from secateur.parallel import run_tasks
    try:
        run_tasks("parallel_tasks:announces_and_sleeps", [1, 2], workers=2, shared=({folder!r},))
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(2)
"""


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")  # an orphan may stay as a zombie where nobody reaps it
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_in_the_middle_of_a_task_end_with_their_parent(tmp_path, sent):
    folder = tmp_path / "pids"
    folder.mkdir()
    process = script(tmp_path, SLEEPER.format(folder=str(folder)))
    assert wait_until(lambda: len(list(folder.iterdir())) == 2)
    process.send_signal(sent)
    output = process.communicate(timeout=60)[0]
    for pid in [int(path.name) for path in folder.iterdir()]:
        assert wait_until(lambda pid=pid: gone(pid)), f"worker {pid} outlived its parent"
    if sent == signal.SIGINT:
        assert process.returncode == 2
        assert output.splitlines() == ["interrupted"]
