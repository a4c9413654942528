"""What papers report beside what we measure: the form of claims.toml, and our side of it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tools import circumstances  # noqa: E402
from tools.claims import CLAIMS, EVERY, FIELDS, KEEPING, MEASURES, NOT_YET, as_toml, filled  # noqa: E402

TEXT = CLAIMS.read_text(encoding="utf-8")
ENTRIES = tomllib.loads(TEXT)["claim"]
KNOWN = {  # all that is known of these papers; a further number would be an invented one
    "wang2021against": [10.0, [10.0, 16.0], 13.6, 15.78, "no number", "no number"],
    "nasr2018machine": [52.0, 67.0, 76.0, 80.0],
}
OURS = {"world", "scale", "hardware", "file", "committed"}
NONE = ("no pair: ", "no case: ", "no rate: ")  # how the note of an entry without a value begins


def test_every_claim_has_its_fields_and_a_source_in_the_bibliography():
    bibliography = (ROOT / "docs" / "refs.bib").read_text(encoding="utf-8")
    for claim in ENTRIES:
        assert set(claim) == {*FIELDS, "ours"}
        assert f"{{{claim['reference']}," in bibliography
        assert claim["mark"] in ("read", "digest", "remembered")
        assert claim["measure"] in MEASURES
    assert len({c["id"] for c in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("reference", KNOWN)
def test_nothing_but_what_is_known_is_given_as_a_papers_number(reference):
    reported = [c["reported"] for c in ENTRIES if c["reference"] == reference]
    assert sorted(reported, key=str) == sorted(KNOWN[reference], key=str)
    assert {c["reference"] for c in ENTRIES} == set(KNOWN)


def test_the_file_is_what_the_tool_writes():
    assert as_toml(ENTRIES) == TEXT


def test_our_side_is_measured_with_its_circumstances_or_said_not_to_be():
    for claim in ENTRIES:
        if claim["ours"] == NOT_YET:
            continue
        for entry in claim["ours"]:
            assert set(entry) >= OURS
            assert (ROOT / entry["file"]).exists()
            if "value" not in entry:
                assert entry["note"].startswith(NONE)
                assert not {"low", "high", "case"} & set(entry)
            else:
                assert entry["case"]


def test_our_side_agrees_with_the_results_files():
    for claim, again in zip(ENTRIES, filled(ENTRIES), strict=True):
        stated, found = (
            c["ours"]
            if c["ours"] == NOT_YET
            else [
                {k: v for k, v in e.items() if k != "committed" and v is not None}
                for e in c["ours"]
            ]
            for c in (claim, again)
        )
        assert stated == found, f"run python -m tools.claims: {claim['id']}"


@pytest.mark.slow  # by hand: a history that was rewritten names other commits
@pytest.mark.skipif(
    not circumstances.has_history("tests/paper/claims.toml"),
    reason="no git history here, or a shallow clone",
)
def test_our_side_names_the_last_commit_of_each_results_file():
    for claim in ENTRIES:
        for entry in claim["ours"] if claim["ours"] != NOT_YET else ():
            assert entry["committed"] == circumstances.of_git(entry["file"])["committed"], (
                f"run python -m tools.claims: {claim['id']}, {entry['file']}"
            )


def test_every_world_that_was_measured_says_something_of_every_claim_that_is_of_any_world():
    worlds = {p.stem.removeprefix("paper-") for p in (ROOT / "results").glob("paper-*.json")}
    for claim in ENTRIES:
        if claim["world"] == "any":
            assert {entry["world"] for entry in claim["ours"]} == worlds


def test_a_fall_among_cases_that_keep_accuracy_is_never_the_larger():
    for claim in ENTRIES:
        if claim["measure"].startswith("fall"):
            every, keeping = (
                {e["world"]: e["value"] for e in claim["ours"] if e["among"] == k and "value" in e}
                for k in (EVERY, KEEPING)
            )
            assert set(keeping) <= set(every)
            assert all(value <= every[world] for world, value in keeping.items())
