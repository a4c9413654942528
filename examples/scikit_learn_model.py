"""Audit a pipeline of scikit-learn, with references that are refitted on other draws.

Run it: python examples/scikit_learn_model.py
It makes a small table with a column of words, in place of yours. It needs pandas.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import secateur


def make_table(*, rows: int = 300) -> pd.DataFrame:
    """Return a table of made people."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "income": rng.lognormal(10, 0.5, rows).round(),
            "work": rng.choice(["none", "craft", "office"], rows),
        }
    )
    paid = table["income"] / 30_000 + (table["work"] == "office") + rng.normal(size=rows)
    table["loan"] = np.where(paid > 1.3, "paid", "late")
    return table


def main() -> None:
    """Fit a forest on half of the table and audit it."""
    table = make_table().sample(frac=1, random_state=0)  # who is in is left to chance
    inside, outside = table[:150], table[150:]
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["work"]), remainder="passthrough"),
        RandomForestClassifier(30, random_state=0),
    )
    model.fit(inside.drop(columns="loan"), inside["loan"])

    report = secateur.audit(model, members=inside, non_members=outside, label="loan", references=8)
    print(secateur.render_text(report))


if __name__ == "__main__":
    main()
