"""Words that an audit writes into its report, and that pages look for or say again."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ALONE", "KNOWN", "how_references_were_made"]

ALONE = "No reference models: "
"""How the sentence begins that an audit without references puts first among its limits."""

KNOWN = "through the identical pipeline"
GIVEN_RECIPE = (
    "through the recipe that was given; whether it is the one that trained the network was not "
    "verified"
)
GIVEN_SETTINGS = (
    "through the given estimator's own settings; whether they are those that trained it was not "
    "verified"
)


def how_references_were_made(pipeline: Sequence[object], *, given: bool) -> str:
    """Say how references were made; of a model that was handed over that is what somebody says.

    Args:
        pipeline: the spellings of the target's steps; of a given model a recipe or an estimator.
        given: whether the target was handed over.

    Example:
        >>> how_references_were_made(["Recipe(build=MLP(widths=(64, 10)))"], given=False)
        'through the identical pipeline'
        >>> how_references_were_made(["GaussianNB()"], given=True)[:35]
        "through the given estimator's own s"
    """
    if not given:
        return KNOWN
    recipe = not pipeline or str(pipeline[0]).startswith("Recipe(")
    return GIVEN_RECIPE if recipe else GIVEN_SETTINGS
