"""Real data that come inside a dependency: no download."""

from __future__ import annotations

import numpy as np

from secateur.data.dataset import DataSet
from secateur.types import Records

__all__ = ["DIGITS", "digits"]


def digits() -> Records:
    """Return scikit-learn's handwritten digits: 1,797 grey pictures, 10 classes.

    Returns:
        Records with inputs `[1797, 1, 8, 8]` in [0, 1]. The data set does not say who wrote which
        digit, so every record is its own unit.

    Reference: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (test part).

    Example:
        >>> len(digits()), digits().input_shape
        (1797, (1, 8, 8))
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    inputs = (found.data / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    return Records.from_arrays(inputs, found.target, n_classes=10, name="digits")


DIGITS = DataSet(
    name="digits",
    about="1,797 handwritten digits, 8x8, 10 classes",
    origin="inside scikit-learn; nothing to get",
    read=lambda _: digits(),
    terms="UCI, CC BY 4.0; shipped by scikit-learn (BSD-3-Clause)",
    recipe="Recipe(build=MLP(widths=(64, 256, 128, 10)), optimiser=Adam(lr=0.002), epochs=80, "
    "batch_size=32)",
    sizes=(300, 400, 797),
    n_records=1_797,
)
