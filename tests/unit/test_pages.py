"""Every command block of README and docs is run, or says in its page why not."""

from __future__ import annotations

import pytest

from page_things import MAKERS, Things
from pages import (
    FILES,
    HOUSE,
    PageError,
    as_run,
    blocks_of,
    commands,
    exported,
    faults,
    run_block,
)

PAGES = sorted(
    str(path.relative_to(HOUSE))
    for path in (
        HOUSE / "README.md",
        HOUSE / "runtime" / "README.md",
        HOUSE / "CONTRIBUTING.md",
        *(HOUSE / "docs").rglob("*.md"),
    )
)
BLOCKS = {page: blocks_of((HOUSE / page).read_text(encoding="utf-8")) for page in PAGES}
QUICK = [
    page for page, found in BLOCKS.items() if any(b.runs and not b.said("slow") for b in found)
]
LONG = {"docs/api.md", "docs/gate.md", "docs/own.md", "docs/protects.md", "runtime/README.md"}
"""Pages whose blocks take long."""
SLOW = [page for page, found in BLOCKS.items() if any(b.runs and b.said("slow") for b in found)]


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    return Things(tmp_path_factory.mktemp("things"))


def run_page(page, things, folder, monkeypatch, *, slow):
    """Run a page's blocks in order in a folder of its own; Python's names go on to later blocks."""
    monkeypatch.chdir(folder)
    for name in exported(BLOCKS[page]):  # so that it is forgotten after the page
        monkeypatch.setenv(name, "")
    names: dict[str, object] = {"__name__": "page"}
    for block in BLOCKS[page]:
        if not block.runs or (block.said("slow") and not slow):
            continue
        for needed in " ".join(block.said("needs")).split():
            things.put(needed, folder)
        try:
            run_block(block, names, folder)
        except Exception as error:
            raise AssertionError(f"{page}:{block.line}: {error}\n{as_run(block)}") from error


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page in LONG)) for page in QUICK],
)
def test_the_blocks_of_a_page_run_as_they_stand(page, things, tmp_path, monkeypatch):
    run_page(page, things, tmp_path, monkeypatch, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_a_page_runs_with_its_slow_blocks(page, things, tmp_path, monkeypatch):
    run_page(page, things, tmp_path, monkeypatch, slow=True)


def test_every_block_is_run_or_exempt_for_a_download_or_an_installation():
    found = [
        f"{p}:{b.line}: {why}" for p, blocks in BLOCKS.items() for b in blocks for why in faults(b)
    ]
    assert not found, "\n".join(found)


def test_what_is_exempt_is_listed_here():
    exempt = {
        (page, why) for page, blocks in BLOCKS.items() for b in blocks for why in b.said("not run")
    }
    assert exempt == {
        ("README.md", "installs the environment first"),
        ("runtime/README.md", "installs the package"),
        ("docs/trackers.md", "installs the three packages first; `make trackers` runs it"),
    }


def test_pages_with_commands_are_among_those_that_are_read():
    assert {"README.md", "runtime/README.md", "docs/gate.md"} <= set(QUICK)
    assert {"docs/own.md", "docs/deploy.md", "docs/perturbed.md", "docs/sweep.md"} <= set(SLOW)


def one(text):
    (block,) = blocks_of(text)
    return block


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```\nsecateur demo\n```", "language ''"),
        ("```zsh\nsecateur demo\n```", "language 'zsh'"),
        ("<!-- not run: takes long -->\n```bash\nsecateur demo\n```", "not 'takes long'"),
        ("<!-- not run: -->\n```bash\nsecateur demo\n```", "says nothing"),
        ("<!-- run wiht: a => b -->\n```bash\na\n```", "unknown mark 'run wiht'"),
        ("<!-- run with: x => b -->\n```bash\na\n```", "not 'x => b'"),
        ("```toml\na = 1\n```", "name the file"),
    ],
)
def test_a_block_that_would_not_be_run_is_a_fault(text, fault):
    assert any(fault in found for found in faults(one(text)))


def test_a_mark_holds_for_the_block_right_after_it_alone():
    first, second = blocks_of(
        "<!-- slow: long -->\n\n```bash\na\n```\n\n<!-- needs: x -->\ntext\n\n```bash\nb\n```"
    )
    assert first.said("slow") == ("long",) and not second.marks


def test_commands_are_read_as_a_shell_reads_them():
    text = "a 'b\nc' # it's\n\nd \\\n  e\n# none\n"
    assert list(commands(text, "bash")) == [["a", "b\nc"], ["d", "e"]]
    assert list(commands("$ a b\nsaid\n$ c", "console")) == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    "text",
    [
        "```bash\nsecateur report none.json\n```",
        "```bash\ncurl somewhere\n```",
        "```bash\nsecateur methods | head\n```",
        "```bash\nsecateur methods 'LiRA\n```",
        "<!-- exit code: 1 -->\n```bash\nsecateur methods LiRA\n```",
        "```python\n>>> 1 + 1\n3\n\n```",
    ],
)
def test_a_block_that_does_not_do_what_it_says_fails(text, tmp_path):
    with pytest.raises(PageError):
        run_block(one(text), {}, tmp_path)


def test_a_file_of_a_page_is_read_by_a_command_after_it():
    for page, blocks in BLOCKS.items():
        for block in blocks:
            if block.language in FILES and block.runs:
                (name,) = block.said("file")
                readers = [b.text for b in blocks if b.line > block.line and b.runs]
                assert any(name in text for text in (*readers, *block.said("after"))), (page, name)


def test_what_pages_need_is_made_somewhere_and_nothing_else_is():
    needed = {
        n for blocks in BLOCKS.values() for b in blocks for n in " ".join(b.said("needs")).split()
    }
    assert needed == set(MAKERS)
