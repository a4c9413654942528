"""DMP: which records of the pool the student learns on, and what it is told of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from secateur.defend import DMP
from secateur.train import Heard


def heard(logits):
    values = torch.tensor([logits], dtype=torch.float32)
    n = values.shape[1]
    return Heard(
        logits=values,
        seen=torch.zeros((1, n), dtype=torch.bool),
        labels=torch.zeros(n, dtype=torch.int64),
        classes=values.shape[2],
    )


SAID = [[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 6.0, 0.0]]
"""Of four records: nothing known, the surest, little known, the next surest."""


@pytest.mark.parametrize(
    ("share", "expected"), [(0.25, [1]), (0.5, [1, 3]), (0.75, [1, 2, 3]), (1.0, [0, 1, 2, 3])]
)
def test_the_records_of_lowest_entropy_are_learned_in_their_order(share, expected):
    where, answers = DMP(share=share).answers(heard(SAID))
    assert where.tolist() == expected
    exps = np.exp(np.array(SAID)[expected])
    np.testing.assert_allclose(answers, exps / exps.sum(1, keepdims=True), rtol=1e-6)


def test_one_record_at_least_is_learned():
    assert DMP(share=0.01).answers(heard(SAID))[0].tolist() == [1]


def test_a_temperature_flattens_what_the_student_is_told():
    _, cold = DMP().answers(heard(SAID))
    _, warm = DMP(temperature=4.0).answers(heard(SAID))
    exps = np.exp(np.array(SAID) / 4.0)
    np.testing.assert_allclose(warm, exps / exps.sum(1, keepdims=True), rtol=1e-6)
    assert warm[1].max() < cold[1].max()
