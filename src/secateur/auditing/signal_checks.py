"""The controls of an audit of saved signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from secateur.attack.membership import HierarchicalLiRA
from secateur.auditing.given_check import given_model_control
from secateur.measure import (
    leave_one_out_control,
    null_control,
    planted_control,
    reference_accuracy_control,
    reference_count_control,
    saturation_control,
    training_size_control,
)
from secateur.protocols import reads_one_view
from secateur.types import Control, Scores, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.types import Observations

__all__ = ["signal_controls"]

LOSSLESS = ("logits", "margin", "correct")


def signal_controls(
    observations: Observations,
    attacks: Sequence[MembershipAttack],
    best: Scores,
    strongest: MembershipAttack,
    *,
    kept: Mapping[str, Sequence[str]],
    seed: int,
) -> list[Control]:
    """Return every control that signals alone allow, and those they do not allow as not run.

    Args:
        observations: of targets and references.
        attacks: those that ran.
        best: scores of the attack that was chosen.
        strongest: that attack.
        kept: by file, from which saved arrays the signals were computed.
        seed: of permutations and made signals.
    """
    who, subject = observations.membership, observations.primary
    own = given_model_control(observations, best)
    found = [] if own is None else [own]
    found.append(null_control(best, who, subject=subject, seed=derive_seed(seed, "null", subject)))
    for attack in attacks:
        if attack.min_out > 0 and not _reads_several(attack):
            found.append(
                planted_control(
                    attack,
                    _needed(observations, attack),
                    seed=derive_seed(seed, "planted", repr(attack)),
                )
            )
    found.append(reference_count_control(who))
    if len(who.references):
        found.append(
            _leave_one_out(
                strongest, observations, seed=derive_seed(seed, "leave one out", subject)
            )
        )
    if not len(who.references) or who.inside[who.references].any():
        found.append(training_size_control(who))
    found.append(reference_accuracy_control(observations, subject=subject))
    found.append(saturation_control(observations, subject=subject))
    return [*found, _kept_control(kept, subject), *_unknown(subject)]


def _reads_several(attack: MembershipAttack) -> bool:
    return not reads_one_view(attack)


def _leave_one_out(attack: MembershipAttack, observations: Observations, *, seed: int) -> Control:
    """Check the design with an attack; of one on several views, with the same ratio on one view.

    Made signals are of one view, and the design, not the attack, is what the control is about.
    """
    subject = observations.primary
    several = _reads_several(attack)
    checked = HierarchicalLiRA() if several else attack
    if any(s.key not in observations.views[subject] for s in checked.needs):
        return Control(
            id="leave-one-out",
            status="not run",
            subject=subject,
            saw=f"{attack!r} reads several views, and made signals are of one",
            why="where the other models of a balanced design tell who is in the one left out, "
            "attacks are biased",
            mend=f"save what {checked!r} reads too ({', '.join(s.key for s in checked.needs)})",
        )
    found = leave_one_out_control(
        checked, _needed(observations, checked), subject=subject, seed=seed
    )
    if not several or found.value is None:
        return found
    return replace(found, saw=f"{found.saw}; {checked!r} stands in for {attack!r}")


def _needed(observations: Observations, attack: MembershipAttack) -> Observations:
    """Return the signals alone that an attack reads."""
    subject = observations.primary
    view = observations.views[subject]
    needed = {s.key: view[s.key] for s in attack.needs}
    return replace(observations, views={subject: needed})


def _kept_control(kept: Mapping[str, Sequence[str]], subject: str) -> Control:
    read = [
        f"{', '.join(names)} were read" + (f" of {file}" if file else "")
        for file, names in kept.items()
    ]
    lossy = {n.partition("@")[0] for names in kept.values() for n in names} - set(LOSSLESS)
    return Control(
        id="logits",
        status="raised" if lossy else "passed",
        subject=subject,
        saw="; ".join(read),
        why="a probability next to 1 keeps few of its digits: attacks understate the leak there",
        mend="save logits, or the margin log p_y - log(1 - p_y) computed from them",
    )


def _unknown(subject: str) -> list[Control]:
    """Return the controls that signals alone cannot answer, so that nobody takes them as passed."""
    return [
        Control(
            id="blind-baseline",
            status="not run",
            subject=subject,
            saw="the records themselves are not at hand",
            why="if members and non-members differ in themselves, the audit is confounded",
            mend="draw members and non-members from one pool by coins",
        ),
        Control(
            id="adaptive",
            status="not run",
            subject=subject,
            saw="signals do not say how the references were made",
            why="references of another pipeline than the target's flatter it",
            mend="train, prune and defend references exactly as the target",
        ),
    ]
