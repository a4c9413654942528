"""Threads that share a network do not race: the thread sanitiser watches the engine.

python -m pytest -m slow runtime/tests/test_runtime_races.py
"""

from __future__ import annotations

import pytest
from watched_builds import HERE, no_compiler, ran, shared_library, watched_build

ROUNDS = 40
RACE = """
static volatile long count;
long more(long n) { for (long i = 0; i < n; ++i) ++count; return count; }
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), no_compiler]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raced")
    environment = watched_build(folder, "thread", "libtsan.so")
    return folder, {**environment, "TSAN_OPTIONS": "halt_on_error=1:exitcode=66:history_size=4"}


def test_threads_that_share_a_network_do_not_race(watched):
    done = ran(*watched, [str(HERE / "raced.py"), str(ROUNDS)])
    assert "ThreadSanitizer" not in done.stderr, done.stderr[-8000:]
    assert done.returncode == 0 and done.stdout.endswith(" calls\n"), done.stdout + done.stderr
    assert int(done.stdout.split()[0]) >= 3 * 4 * ROUNDS  # plain vectors at least, in three ways


def test_a_race_is_seen(watched):
    """The watch itself works: without it the test above would show nothing."""
    folder, environment = watched
    (folder / "race.c").write_text(RACE)
    shared_library(folder / "race.so", "thread", [str(folder / "race.c")])
    script = (
        "import ctypes, threading; more = ctypes.CDLL('./race.so').more\n"
        "crowd = [threading.Thread(target=more, args=(3 * 10**6,)) for _ in range(2)]\n"
        "[one.start() for one in crowd]; [one.join() for one in crowd]"
    )
    done = ran(folder, environment, ["-c", script])
    assert done.returncode == 66 and "data race" in done.stderr, done.stderr
