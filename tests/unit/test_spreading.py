"""Work that is done here while it is short, and by workers once it is not."""

from __future__ import annotations

import os

import parallel_tasks
import pytest

from secateur import spreading
from secateur.errors import InputError
from secateur.spreading import spread_tasks


def values(results):
    return [result.value for result in results]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_short_work_starts_no_worker_and_tells_of_every_task_once(workers):
    told = []
    found = spread_tasks(
        "parallel_tasks:pid", range(4), workers=workers, progress=lambda *call: told.append(call)
    )
    assert values(found) == [os.getpid()] * 4
    assert told == [(done, 4, "parallel_tasks:pid") for done in range(5)]
    assert spread_tasks("parallel_tasks:pid", [], workers=workers) == []


def test_of_long_work_the_first_task_is_done_here_and_each_is_told_once(monkeypatch):
    monkeypatch.setattr(spreading, "WORTH", -1.0)
    told = []
    first, *rest = values(
        spread_tasks(
            "parallel_tasks:pid", range(4), workers=2, progress=lambda *call: told.append(call[:2])
        )
    )
    assert first == os.getpid() and os.getpid() not in rest
    assert told == [(done, 4) for done in range(5)]


def test_workers_start_when_a_later_task_turns_out_long(monkeypatch):
    monkeypatch.setattr(spreading, "WORTH", 0.2)
    pids = values(spread_tasks(parallel_tasks.pid_slow_second, range(5), workers=2))
    assert pids[:2] == [os.getpid()] * 2
    assert os.getpid() not in pids[2:]


def test_what_workers_could_not_import_is_refused_before_any_work():
    class Local:
        pass

    done = []
    with pytest.raises(InputError, match="cannot travel"):
        spread_tasks(
            "parallel_tasks:pid",
            [0, Local()],
            workers=2,
            progress=lambda *call: done.append(call),
        )
    assert not done
    assert values(spread_tasks("parallel_tasks:pid", [0, Local()], workers=1))
    with pytest.raises(InputError, match="workers must be 0"):
        spread_tasks("parallel_tasks:pid", range(4), workers=-1)


def test_an_exception_of_a_task_that_is_done_here_travels_unchanged():
    with pytest.raises(ZeroDivisionError):
        spread_tasks(divmod, [0, 1], shared=[17], workers=2)
