"""No changed file makes the engine touch what it may not: every access is watched."""

from __future__ import annotations

import json

import pytest
from small_networks import network_files
from watched_builds import HERE, no_compiler, ran, watched_build

COUNT = 2_500
CHUNKS = 40  # of COUNT: each is a test of its own, so that `pytest --lf` goes on where it stopped
WATCHED = {
    "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:abort_on_error=0:exitcode=66:"
    "max_allocation_size_mb=512:allocator_may_return_null=1:hard_rss_limit_mb=1500:"
    "quarantine_size_mb=64",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), no_compiler]


@pytest.fixture(scope="session")
def watched(tmp_path_factory):
    """The package built with both sanitisers, beside the files to change; and an environment."""
    folder = tmp_path_factory.mktemp("watched")
    environment = watched_build(folder, "address,undefined", "libasan.so")
    for i, file in enumerate(network_files()):
        (folder / f"{i}.packed").write_bytes(file)
    return folder, {**environment, **WATCHED}


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_hundred_thousand_changed_files_touch_nothing_that_they_may_not(watched, chunk):
    first = chunk * COUNT
    done = ran(*watched, [str(HERE / "sanitised.py"), ".", str(first), str(COUNT)])
    last = (watched[0] / f"turn-{first}").read_text()
    assert done.returncode == 0, f"mutant {last}:\n{done.stderr[-6000:]}"
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    taken = json.loads(done.stdout.splitlines()[-1])
    assert taken["refused"] + taken["run"] + taken["too much work"] == COUNT
    assert min(taken["run"], taken["program run"], taken["program refused"]) > COUNT // 20, taken


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("AddressSanitizer", "ctypes.string_at(P, 64)"),
        ("failed to allocate 0x40000000 bytes", "import numpy; numpy.ones(2**28, numpy.float32)"),
    ],
)
def test_what_is_forbidden_is_seen(watched, kind, code):
    """The watch itself works: without it the tests above would show nothing."""
    start = (
        "import ctypes, secateur_runtime._native; L = ctypes.CDLL(None);"
        "L.malloc.restype = ctypes.c_void_p; P = L.malloc(ctypes.c_size_t(8));"
    )
    done = ran(*watched, ["-c", start + code])
    assert done.returncode != 0 and kind in done.stderr, done.stderr
