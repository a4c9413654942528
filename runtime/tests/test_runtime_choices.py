"""How layers run is measured once, recorded beside the file, read where it fits, and said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_networks import engines_here, file_of, settled
from torch import nn

from secateur_runtime import choices, load
from secateur_runtime.choices import file_of as record_of
from secateur_runtime.cli import main

needs_native = pytest.mark.skipif("native" not in engines_here(), reason="no compiled engine")


@pytest.fixture
def packed(tmp_path):
    torch.manual_seed(0)
    parts = (nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten())
    net = nn.Sequential(*parts, nn.Linear(8 * 16, 3))
    path = tmp_path / "m.packed"
    path.write_bytes(file_of(settled(net, zeros=0.8), (2, 6, 6)))
    return path


def entry(path):
    return json.loads(record_of(path).read_text())["measured"][0]


def spoil(path, change):
    text = json.loads(record_of(path).read_text())
    change(text)
    record_of(path).write_text(json.dumps(text))


@needs_native
def test_what_was_measured_is_recorded_and_read_again(packed):
    x = np.random.default_rng(0).random((17, 2, 6, 6), dtype=np.float32)
    before = load(packed)
    assert "choices: rules of thumb; nothing is recorded in m.packed.choices.json" in (
        before.explain()
    )
    assert "(by rule of thumb)" in before.explain() and "(measured)" not in before.explain()
    first = load(packed, measure=True)
    assert "choices: measured; measured in this process, recorded in" in first.explain()
    again = load(packed)
    assert "choices: measured; recorded in m.packed.choices.json" in again.explain()
    assert "(by rule" not in again.explain() and "(measured)" in again.explain()
    assert again._engine.ways == first._engine.ways
    assert set(first._engine.ways) == set(first._engine.options())
    assert {lanes for lanes, _ in first._engine.ways} == {1, 16}
    for network in (first, again, before.measured()):
        np.testing.assert_allclose(network(x), before(x), atol=1e-5)


@needs_native
def test_a_record_decides_how_layers_run(packed):
    load(packed, measure=True)
    for way in ("sparse", "dense"):

        def change(text, way=way):
            for row in text["measured"][0]["ways"].values():
                row.update(dict.fromkeys(row, way))

        spoil(packed, change)
        network = load(packed)
        assert set(network._engine.ways.values()) == {way}
        assert f"  {way} (measured)" in network.explain()


@needs_native
def test_the_ways_of_a_call_are_told_by_its_number_of_records(packed):
    load(packed, measure=True)

    def change(text):
        for lanes, way in (("1", "dense"), ("16", "sparse")):
            row = text["measured"][0]["ways"][lanes]
            row.update(dict.fromkeys(row, way))

    spoil(packed, change)
    network = load(packed)
    for n, way in ((1, "dense"), (5, "dense"), (6, "sparse"), (17, "sparse"), (32, "sparse")):
        assert network.chosen(n) == [("0", way), ("2", way), ("4", way)]
    assert load(packed, engine="numpy").chosen(32) == [
        ("0", "dense"),
        ("2", "dense"),
        ("4", "dense"),
    ]


@needs_native
def test_what_fits_is_not_measured_again(packed, monkeypatch):
    load(packed, measure=True)
    monkeypatch.setattr("secateur_runtime.native.NativeEngine.measure", None)
    assert "recorded in" in load(packed, measure=True).choices


@needs_native
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("file", "another file"),
        ("processor", "another processor"),
        ("instructions", "another instructions"),
        ("runtime", "another runtime"),
        ("number of threads", "another number of threads"),
        ("records", "another records"),
    ],
)
def test_a_record_of_other_circumstances_is_ignored_in_words(packed, name, words):
    load(packed, measure=True)
    spoil(packed, lambda text: text["measured"][0]["when"].update({name: "else"}))
    network = load(packed)
    assert "choices: rules of thumb; " in network.explain() and words in network.choices
    assert network._engine.ways == {}


@needs_native
def test_records_of_several_circumstances_stand_side_by_side(packed):
    one, two = load(packed, measure=True), load(packed, measure=True, threads=2)
    assert len(json.loads(record_of(packed).read_text())["measured"]) == 2
    assert load(packed)._engine.ways == one._engine.ways
    assert load(packed, threads=2)._engine.ways == two._engine.ways
    assert "another number of threads" in load(packed, threads=3).choices


def _ways(text):
    return text["measured"][0]["ways"]


@needs_native
@pytest.mark.parametrize(
    "change",
    [
        lambda text: _ways(text)["1"].update({"0": "fast"}),
        lambda text: _ways(text)["1"].update({"0": "code"}),
        lambda text: _ways(text)["1"].update({"0": ["sparse"]}),
        lambda text: _ways(text)["1"].update({"77": "sparse"}),
        lambda text: _ways(text)["16"].pop("0"),
        lambda text: _ways(text).update({"1": 5}),
        lambda text: _ways(text).update({"8": {"0": "sparse"}}),
        lambda text: text["measured"][0].update({"ways": None}),
        lambda text: text["measured"][0].update({"when": []}),
        lambda text: text.update({"measured": []}),
        lambda text: text.update({"measured": 1}),
        lambda text: text.update({"format": "other"}),
        lambda text: text.clear(),
    ],
)
def test_a_broken_record_is_ignored_in_words_and_made_anew(packed, change):
    load(packed, measure=True)
    spoil(packed, change)
    network = load(packed)
    assert "m.packed.choices.json is not used: it" in network.explain()
    assert network._engine.ways == {}
    assert "in this process, recorded" in load(packed, measure=True).choices
    assert load(packed).choices.startswith("measured; recorded in")


@needs_native
@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[" * 100_000, b"{}", b"7", b"1" * 9000, b" " * 2**21]
)
def test_bytes_that_are_no_record_are_ignored_in_words(packed, data):
    record_of(packed).write_bytes(data)
    assert "is not used: it is no record of choices" in load(packed).choices


@needs_native
def test_where_nothing_can_be_written_the_choice_holds_for_the_process(packed, monkeypatch):
    def refuse(file, data):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(choices, "_replace", refuse)
    network = load(packed, measure=True)
    assert "not recorded: cannot write m.packed.choices.json (Read-only" in network.choices
    assert network._engine.ways


@needs_native
def test_nothing_but_the_record_is_left_beside_the_file(packed):
    load(packed, measure=True)
    assert sorted(p.name for p in packed.parent.iterdir()) == ["m.packed", "m.packed.choices.json"]
    assert entry(packed)["when"]["number of threads"] == "1"


def test_an_engine_without_a_choice_measures_nothing(packed):
    network = load(packed, engine="numpy", measure=True)
    assert network.choices == "there are none" and not record_of(packed).exists()
    x = np.zeros((1, 2, 6, 6), np.float32)
    assert np.array_equal(network.measured()(x), network(x))


@needs_native
def test_the_command_line_measures_records_and_says_so(packed, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((2, 2, 6, 6), np.float32))
    given = [str(packed), str(tmp_path / "x.npy")]
    assert main([*given, "--measure"]) == 0
    assert "choices: measured; measured in this process, recorded" in capsys.readouterr().err
    assert main([*given, "--explain"]) == 0
    told = capsys.readouterr().err
    assert "choices: measured; recorded in" in told and "(measured)" in told


def test_two_processors_that_have_no_name_are_told_apart(monkeypatch):
    told = "processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x1\nCPU part\t: {}\n"
    found = set()
    for part in ("0xd0c", "0xd40", "0xd40"):
        monkeypatch.setattr(Path, "read_text", lambda self, part=part: told.format(part))
        found.add(choices.processor())
    assert len(found) == 2
