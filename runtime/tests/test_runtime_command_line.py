"""`secateur-run`: what it prints and writes, and what it says of mistakes."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest
import torch
from drawn_networks import file_of, settled
from small_networks import packed_lenet, records, truth
from torch import nn

from secateur_runtime import cli as command_line
from secateur_runtime.cli import main
from secateur_runtime.version import VERSION


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    return packed_lenet(tmp_path_factory.mktemp("lenet") / "m.packed")


def test_it_prints_the_index_of_the_largest_output(lenet, tmp_path, capsys):
    net, path = lenet
    np.save(tmp_path / "x.npy", records(6))
    assert main([str(path), str(tmp_path / "x.npy")]) == 0
    found = [int(line) for line in capsys.readouterr().out.split()]
    assert found == truth(net, records(6)).argmax(axis=1).tolist()


def test_it_writes_all_outputs_and_explains(lenet, tmp_path, capsys):
    net, path = lenet
    np.save(tmp_path / "x.npy", records(3))
    out = tmp_path / "y.npy"
    arguments = [str(path), str(tmp_path / "x.npy"), "--out", str(out), "--explain"]
    assert main([*arguments, "--threads", "2"]) == 0
    assert np.abs(np.load(out) - truth(net, records(3))).max() < 1e-4
    told = capsys.readouterr()
    assert told.out == "" and "threads: 2" in told.err


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: np.zeros(3, np.float32), "holds no batch of records"),
        (lambda x: x.astype(np.float64), "reads float32, got float64"),
        (lambda x: np.array([[None]]), "nothing pickled is ever loaded"),
        (lambda x: np.full_like(x, np.nan), "that are NaN or infinite"),
        (lambda x: x[:, 0], "reads a batch of shape (n, 1, 28, 28), got"),
        (lambda x: np.repeat(x, 3, axis=1), "reads a batch of shape (n, 1, 28, 28), got"),
        (lambda x: x[:, :, :20], "takes no such size"),
    ],
)
def test_an_input_that_does_not_fit_ends_with_status_2(lenet, tmp_path, capsys, spoil, words):
    np.save(tmp_path / "x.npy", spoil(records(2)), allow_pickle=True)
    assert main([str(lenet[1]), str(tmp_path / "x.npy")]) == 2
    assert words in capsys.readouterr().err


def test_records_of_another_size_load_the_file_once(tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    (tmp_path / "m").write_bytes(file_of(settled(net, zeros=0.5), (1, 8, 8), resized=True))
    np.save(tmp_path / "x.npy", records(3, (1, 11, 9)))
    counted = Counter()
    for name in ("read", "network_of"):
        real = getattr(command_line, name)
        monkeypatch.setattr(
            command_line,
            name,
            lambda *a, name=name, real=real, **k: counted.update([name]) or real(*a, **k),
        )
    assert main([str(tmp_path / "m"), str(tmp_path / "x.npy")]) == 0
    assert counted == {"read": 1, "network_of": 1}
    found = [int(line) for line in capsys.readouterr().out.split()]
    assert found == truth(net, records(3, (1, 11, 9))).argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threads", "0"], "threads=0: a call takes a whole number of them, from 1 to 256"),
        (["--limit", "-1"], "limit=-1: it is a whole number of bytes, at least 1"),
        (["--limit", "1000"], "give a higher `limit`"),
    ],
)
def test_a_number_that_is_none_ends_with_status_2_and_the_mend(
    lenet, tmp_path, capsys, arguments, words
):
    np.save(tmp_path / "x.npy", records(2))
    assert main([str(lenet[1]), str(tmp_path / "x.npy"), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_model_of_another_format_is_named(tmp_path, capsys):
    np.save(tmp_path / "x.npy", records(2))
    torch.save({"w": torch.ones(2)}, tmp_path / "m.pt")
    assert main([str(tmp_path / "m.pt"), str(tmp_path / "x.npy")]) == 2
    assert "m.pt: this is no packed file, it is a file of PyTorch" in capsys.readouterr().err
    (tmp_path / "m.md").write_text("# Größe\n" * 10_000)
    assert main([str(tmp_path / "m.md"), str(tmp_path / "x.npy")]) == 2
    assert "m.md: this is no packed file, it is text;" in capsys.readouterr().err


def test_files_in_the_other_order_are_told_so(lenet, tmp_path, capsys):
    np.save(tmp_path / "x.npy", records(2))
    assert main([str(tmp_path / "x.npy"), str(lenet[1])]) == 2
    assert "the order is secateur-run FILE INPUT.npy" in capsys.readouterr().err


def test_arrays_that_are_no_batch_are_refused_each_in_its_words(lenet, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=records(2))
    assert main([str(lenet[1]), str(tmp_path / "x.npz")]) == 2
    assert "holds several arrays (.npz)" in capsys.readouterr().err
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 1, 28, 28), }"
    head = head.ljust(117) + b"\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + head + bytes(64))
    assert main([str(lenet[1]), str(tmp_path / "x.npy")]) == 2
    assert "does not fit into memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("last", "shape"), [((nn.Flatten(), nn.Linear(36, 1)), (1,)), ((nn.ReLU(),), (1, 6, 6))]
)
def test_outputs_that_are_no_classes_are_not_printed_but_written(tmp_path, capsys, last, shape):
    torch.manual_seed(0)
    net = settled(nn.Sequential(nn.Conv2d(1, 1, 3), *last), zeros=0.2)
    (tmp_path / "m").write_bytes(file_of(net, (1, 8, 8)))
    np.save(tmp_path / "x.npy", records(3, (1, 8, 8)))
    assert main([str(tmp_path / "m"), str(tmp_path / "x.npy")]) == 2
    assert f"gives {shape} for each record, which is no output for each" in capsys.readouterr().err
    out = tmp_path / "y.npy"
    assert main([str(tmp_path / "m"), str(tmp_path / "x.npy"), "--out", str(out)]) == 0
    assert np.abs(np.load(out) - truth(net, records(3, (1, 8, 8)))).max() < 1e-4


def test_ctrl_c_ends_with_status_130_and_writes_nothing(lenet, tmp_path, capsys, monkeypatch):
    def pressed(network, array):
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line.Network, "__call__", pressed)
    np.save(tmp_path / "x.npy", records(2))
    out = ["--out", str(tmp_path / "y.npy")]
    assert main([str(lenet[1]), str(tmp_path / "x.npy"), *out]) == 130
    told = capsys.readouterr()
    assert told.out == "" and told.err == "secateur-run: interrupted, no outputs were written\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"secateur-runtime {VERSION}\n"


def test_a_warning_is_told_without_a_line_of_code(lenet, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "secateur_runtime.native", None)
    np.save(tmp_path / "x.npy", records(2))
    assert main([str(lenet[1]), str(tmp_path / "x.npy")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("secateur-run: numpy runs this network, many times more slowly")


def test_an_answer_replaces_neither_the_model_nor_the_records(lenet, tmp_path, capsys):
    np.save(tmp_path / "x.npy", records(2))
    model = lenet[1].read_bytes()
    for out in (lenet[1], tmp_path / "x.npy"):
        assert main([str(lenet[1]), str(tmp_path / "x.npy"), "--out", str(out)]) == 2
        assert "which would be lost" in capsys.readouterr().err
    assert lenet[1].read_bytes() == model
    assert len(np.load(tmp_path / "x.npy")) == 2


def test_a_file_that_is_missing_or_damaged_ends_with_status_2(lenet, tmp_path, capsys):
    np.save(tmp_path / "x.npy", records(1))
    assert main([str(tmp_path / "none"), str(tmp_path / "x.npy")]) == 2
    assert "cannot read the packed file" in capsys.readouterr().err
    data = bytearray(lenet[1].read_bytes())
    data[-1] ^= 1
    (tmp_path / "m").write_bytes(data)
    assert main([str(tmp_path / "m"), str(tmp_path / "x.npy")]) == 2
    assert "it states the digest" in capsys.readouterr().err
    assert main([str(lenet[1]), str(tmp_path / "y.npy")]) == 2
    assert "cannot read the array" in capsys.readouterr().err
