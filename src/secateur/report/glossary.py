"""What the words of a report mean."""

from __future__ import annotations

__all__ = ["GLOSSARY"]

GLOSSARY = (
    ("target", "a model under audit"),
    (
        "reference",
        "a model that the attacker trains himself, by the target's pipeline as he knows it",
    ),
    ("member", "a record that a model was trained on"),
    ("AUC", "probability that a member gets a higher score than a non-member; 0.5 is a coin"),
    ("TPR at an FPR", "share of members found when that share of non-members is falsely accused"),
    ("balanced accuracy", "mean of the shares of members and non-members that are called right"),
    ("false alarms", "share of non-members called members, at the threshold chosen on references"),
    (
        "precision at a prior",
        "share of members among those called members, if that share of all asked about are members",
    ),
    (
        "epsilon, lower bound",
        "a smaller epsilon of differential privacy is refuted by how many guesses were right; "
        "needs members drawn by coins",
    ),
    (
        "epsilon, estimate",
        "the epsilon of a Gaussian mechanism with this AUC; no bound, neither from below nor above",
    ),
    (
        "information",
        "Jensen-Shannon divergence between members' and non-members' scores, biased downward",
    ),
    (
        "reachable accuracy",
        "balanced accuracy of the best decision on the scores, fitted on other records",
    ),
    ("adaptive", "an attacker whose references are trained and pruned exactly as the target is"),
    (
        "naive",
        "an attacker with the baseline's references against a pruned or defended target; flatters "
        "pruning and defences",
    ),
    ("insider", "an attacker who knows half of the members and non-members"),
    (
        "multiply-adds",
        "of one record's forward pass with the weights of linear, convolutional, recurrent layers "
        "and of attention",
    ),
    (
        "speed-up",
        "the baseline's time divided by this model's, in rounds that time all models in turn; in "
        "brackets the smallest and the largest of a round",
    ),
    ("exposed record", "one that models with it call a member, and models without it do not"),
    ("on the front", "no other model is at least as good in everything and better in something"),
    ("pipeline risk", "the mean over models that this pipeline makes, not the risk of one model"),
)
