"""Others' scores for `benchmarks.agreement`, and reproducers where they are of another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

RECORDS, POPULATION, REFERENCES, CLASSES = 2_000, 1_000, 64, 4


def sacro(mode: str, **more: Any) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return SACRO-ML's LiRA."""

    def scores(margins: np.ndarray, inside: np.ndarray) -> np.ndarray:
        from sacroml.attacks.likelihood_attack import LIRAAttack

        labels = np.arange(RECORDS) % CLASSES
        predictions = np.zeros((RECORDS, CLASSES))
        predictions[np.arange(RECORDS), labels] = 1 / (1 + np.exp(-margins[0, :RECORDS]))
        refs, ins = margins[1:], inside[1:]
        within = {i: refs[ins[:, i], i].tolist() for i in range(RECORDS)}
        out = {i: refs[~ins[:, i], i].tolist() for i in range(RECORDS)}
        attack = LIRAAttack(write_report=False, mode=mode, n_shadow_models=REFERENCES, **more)
        found, _ = attack._compute_scores(labels, predictions, out, within)
        return np.array(found)[:, 1]

    return scores


def table(margins: np.ndarray, inside: np.ndarray) -> Any:
    """Return the table that PrivacyGuard's attacks read."""
    import pandas as pd

    refs, ins = margins[1:], inside[1:]
    sure = 1 / (1 + np.exp(-margins))
    columns: dict[str, np.ndarray] = {"user_id": np.arange(margins.shape[1])}
    for name, chosen in (("in", ins), ("out", ~ins)):
        held = np.where(chosen, refs, np.nan)
        columns[f"score_mean_{name}"] = np.nanmean(held, axis=0)
        columns[f"score_std_{name}"] = np.nanstd(held, axis=0)
    columns |= {"score_mean": columns["score_mean_out"], "score_std": columns["score_std_out"]}
    columns |= {f"score_ref_{k}": sure[k + 1] for k in range(REFERENCES)}
    columns |= {f"member_ref_{k}": ins[k] for k in range(REFERENCES)}
    return pd.DataFrame({**columns, "score_orig": margins[0], "confidence": sure[0]})


def in_order(result: Any) -> np.ndarray:
    """Return PrivacyGuard's scores of members and non-members in the order of records."""
    import pandas as pd

    both = pd.concat([result.df_train_user, result.df_test_user])
    return both.sort_values("user_id")["score"].to_numpy()


def privacyguard_lira(*, online: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return PrivacyGuard's LiRA with the records' own deviations."""

    def scores(margins: np.ndarray, inside: np.ndarray) -> np.ndarray:
        from privacy_guard.analysis.mia.aggregate_analysis_input import AggregationType
        from privacy_guard.attacks.lira_attack import LiraAttack

        held = table(margins, inside)[:RECORDS]
        member = inside[0, :RECORDS]
        attack = LiraAttack(
            held[member].copy(),
            held[~member].copy(),
            AggregationType.NONE,
            online_attack=online,
            std_dev_type="mix" if online else "shadows_out",
        )
        return in_order(attack.run_attack())

    return scores


def privacyguard_rmia(*, online: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return PrivacyGuard's RMIA."""

    def scores(margins: np.ndarray, inside: np.ndarray) -> np.ndarray:
        from privacy_guard.analysis.mia.aggregate_analysis_input import AggregationType
        from privacy_guard.attacks.rmia_attack import RmiaAttack

        held = table(margins, inside)
        held["score_orig"] = held["confidence"]
        audit, member = held[:RECORDS], inside[0, :RECORDS]
        attack = RmiaAttack(
            audit[member],
            audit[~member],
            held[RECORDS:],
            AggregationType.NONE,
            num_reference_models=REFERENCES if online else REFERENCES // 2,
            online=online,
        )
        return in_order(attack.run_attack())

    return scores


def logits_of(margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the target's logits with these margins, and labels."""
    labels = np.arange(RECORDS) % CLASSES
    # the other classes share what is left: their log-sum-exp is 0
    logits = np.full((RECORDS, CLASSES), -np.log(CLASSES - 1), np.float32)
    logits[np.arange(RECORDS), labels] = margins[0, :RECORDS]
    return logits, labels


def art_loss(margins: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return ART's attack on the loss by logistic regression: a threshold for each class."""
    import torch
    from art.attacks.inference.membership_inference import MembershipInferenceBlackBox
    from art.estimators.classification import PyTorchClassifier

    logits, labels = logits_of(margins)
    network = PyTorchClassifier(
        torch.nn.Identity(), torch.nn.CrossEntropyLoss(), (CLASSES,), CLASSES, device_type="cpu"
    )
    attack = MembershipInferenceBlackBox(network, input_type="loss", attack_model_type="lr")
    member = inside[0, :RECORDS]
    attack.fit(logits[member], labels[member], logits[~member], labels[~member])
    found = attack.infer(logits, labels, probabilities=True)
    return np.asarray(found).reshape(RECORDS, -1)[:, -1]


def art_rule(margins: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return ART's rule: a record is a member where the prediction is right."""
    import torch
    from art.attacks.inference.membership_inference import MembershipInferenceBlackBoxRuleBased
    from art.estimators.classification import PyTorchClassifier

    del inside
    logits, labels = logits_of(margins)
    network = PyTorchClassifier(
        torch.nn.Identity(), torch.nn.CrossEntropyLoss(), (CLASSES,), CLASSES, device_type="cpu"
    )
    return np.asarray(MembershipInferenceBlackBoxRuleBased(network).infer(logits, labels))


def correct(margins: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return our signal `correct` on the same logits."""
    from secateur.probe import signals
    from secateur.types import Signal

    del inside
    logits, labels = logits_of(margins)
    return signals(logits, labels, [Signal(name="correct")])["correct"]


def two_sided() -> str:
    """Show PrivacyGuard's offline LiRA three deviations above, at, and below the mean."""
    import pandas as pd
    from privacy_guard.analysis.mia.aggregate_analysis_input import AggregationType
    from privacy_guard.attacks.lira_attack import LiraAttack

    held = pd.DataFrame(
        {"user_id": range(3), "score_orig": [3.0, 0.0, -3.0], "score_mean": 0.0, "score_std": 1.0}
    )
    attack = LiraAttack(held.copy(), held.copy(), AggregationType.NONE, std_dev_type="shadows_out")
    above, at, below = attack.run_attack().df_train_user["score"]
    return (
        f"scores of confidences 3 deviations above, at and 3 below the mean of the models out: "
        f"{above:.2f}, {at:.2f}, {below:.2f}; a record that the target is unusually unsure of "
        "counts as a member"
    )


def zeros_averaged() -> str:
    """Show PrivacyGuard's mean of a record that is out of one of four references."""
    from privacy_guard.attacks.rmia_attack import RmiaAttack

    sure = np.full((1, 4), 0.8)
    inside = np.array([[True, True, True, False]])
    mean = RmiaAttack.compute_ref_signal_averages(sure, inside, 2).mean()
    return (
        f"a record with confidence 0.8 in all of 4 references, out of 1, with 2 models asked for, "
        f"has the mean {mean:.2f} over the models out: a zero is averaged in"
    )


def unweighted_mean() -> str:
    """Show PrivacyGuard's online mean of a record that is in three of four references."""
    from privacy_guard.attacks.rmia_attack import RmiaAttack

    sure, inside = np.array([[0.9, 0.9, 0.9, 0.1]]), np.array([[True, True, True, False]])
    mean = RmiaAttack.compute_ref_signal_averages(sure, inside, 4, online=True).mean()
    return (
        f"confidence 0.9 in 3 references in, 0.1 in 1 out: its mean is {mean:.2f}, where half the "
        "mean in and half the mean out is 0.50"
    )
