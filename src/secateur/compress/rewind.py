"""Rewinding the weights that a model's leak depends on, after Fang & Kim (CWRF)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from secateur.compress.masks import apply_masks, masks_of_zeros, top_k_mask
from secateur.errors import MethodError
from secateur.train.hooks import Batch, Hook, Left, Moment
from secateur.train.recipe import SGD, Phase
from secateur.train.slopes import slopes
from secateur.types import ATTACK

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.train.hooks import Tensors
    from secateur.train.recipe import Optimiser, Recipe

__all__ = ["RewindCritical", "RewindHook", "TuneHook"]

_STILL = SGD(lr=1.0, momentum=0.0, weight_decay=0.0, schedule="constant")


@dataclass(frozen=True, kw_only=True)
class RewindCritical:
    """Put the weights that leak most back to their initial values and fine-tune the others.

    Weights are scored over some epochs in which nothing is trained: |w_j * G_j|, where G_j is the
    mean gradient, over all batches, of the loss on the members minus that on the pool `attack`. It
    is how much the loss gap would change, to first order, if the weight were removed. Over all
    prunable weights together the `share` with the largest scores returns to the values that the
    model's seed made, and stays there; the rest is trained on with the recipe's loss and hooks, so
    a fleet that was defended by `RelaxLoss` or `HAMP` is fine-tuned so too. No weight is removed:
    of a pruned fleet, zeros stay zeros.

    Args:
        share: of the prunable weights that are rewound, in [0, 1); the dial. With 0 it is
            fine-tuning alone.
        score: `gap` as above; `members` leaves the pool out: first-order importance on the members
            (molchanov2019importance), the control.
        scoring_epochs: passes over the members that the scores are averaged over.
        epochs: of fine-tuning.
        frozen: whether the rewound weights stay at their initial values; else they learn anew.
        optimiser: of the fine-tuning; default the recipe's.
        pool_batch: records of the pool per step of scoring; default the recipe's batch size.

    Raises:
        MethodError: a number out of range, an unknown score, or a module whose initial weights
            nobody knows.

    Each artifact's history holds `rewind/share` `[layers]`, the share of each prunable layer that
    was rewound, names sorted.

    Example:
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe
        >>> scoring, tuning = RewindCritical(epochs=5).phases(Recipe(build=MLP(widths=(8, 2))))
        >>> dict(scoring.streams), tuning.epochs
        ({'attack': 64}, 5)

    Reference:
        fang2026learnability, there CWRF.

    Differs from the paper:
        What was read is its abstract and summaries by others; the paper was not, and no code is
        known. So these are choices: the score (the summaries name an estimate by machine
        unlearning, without a formula), one ranking over all layers, how long is scored and tuned,
        the optimiser. Scores are of the plain cross entropy, on records as they are, whatever the
        recipe adds. That rewound weights are frozen is said by one summary; the abstract can be
        read as tuning them. The default share, 0.1 %, is the one that the summaries name. Running
        statistics of batch normalisation move while scores are taken.
    """

    share: float = 0.001
    score: Literal["gap", "members"] = "gap"
    scoring_epochs: int = 1
    epochs: int = 15
    frozen: bool = True
    optimiser: Optimiser | None = None
    pool_batch: int | None = None

    fresh: ClassVar[bool] = False
    goes_back: ClassVar[bool] = True
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "fang2026learnability"

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise MethodError(f"share must be in [0, 1), got {self.share}; 0.001 is one in 1,000")
        if self.score not in ("gap", "members"):
            raise MethodError(f"unknown score {self.score!r}; there are 'gap', 'members'")
        if self.scoring_epochs < 1 or self.epochs < 0:
            raise MethodError(
                f"scoring_epochs={self.scoring_epochs}, epochs={self.epochs}: they must be at "
                "least 1 and 0; share=0 scores nothing"
            )
        if self.pool_batch is not None and self.pool_batch < 1:
            raise MethodError(f"pool_batch must be at least 1, or None, got {self.pool_batch}")

    def phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """Return the scoring, where there is something to rewind, and the fine-tuning."""
        tuning = Phase(
            epochs=self.epochs,
            hooks=(*recipe.hooks, TuneHook(frozen=self.frozen and self.share > 0)),
            optimiser=self.optimiser,
            streams=recipe.streams,
        )
        if not self.share:
            return (tuning,)
        size = recipe.batch_size if self.pool_batch is None else self.pool_batch
        pool = {ATTACK: size} if self.score == "gap" else {}
        scoring = Phase(
            epochs=self.scoring_epochs,
            hooks=(RewindHook(share=self.share, score=self.score),),
            optimiser=_STILL,
            streams=pool,
        )
        return scoring, tuning


@dataclass(frozen=True, kw_only=True)
class RewindHook(Hook):
    """Add up gradients at weights that stand still, and rewind when the phase ends."""

    share: float
    score: Literal["gap", "members"]

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """Start with sums of zero."""
        del noise
        return {name: torch.zeros_like(now.params[name]) for name in now.prunable}, now.params

    def batch(
        self, state: Tensors, now: Moment, batch: Batch, noise: Tensors
    ) -> tuple[Tensors, Batch]:
        """Add the batch's gradients, less those on the pool."""
        del noise
        found = slopes(now, batch, now.prunable)
        if self.score == "gap":
            pool = slopes(now, batch.streams[ATTACK], now.prunable)
            found = {name: value - pool[name] for name, value in found.items()}
        return {name: total + found[name] for name, total in state.items()}, batch

    def grads(self, state: Tensors, now: Moment, grads: Tensors) -> tuple[Tensors, Tensors]:
        """Let nothing move."""
        del now
        return state, {name: torch.zeros_like(value) for name, value in grads.items()}

    def finish(self, state: Tensors, now: Moment) -> tuple[Tensors, Left]:
        """Rewind the weights of the largest scores."""
        names = sorted(now.prunable)
        scores = [(now.params[name] * state[name]).abs().flatten() for name in names]
        count = max(round(self.share * sum(score.numel() for score in scores)), 1)
        sizes = [score.numel() for score in scores]
        chosen = torch.split(top_k_mask(torch.cat(scores), count), sizes)
        back = {}
        for name, mask in zip(names, chosen, strict=True):
            here = mask.reshape(now.params[name].shape) & (now.params[name] != 0)
            back[name] = torch.where(here, now.initial[name], now.params[name])
        shares = torch.stack([mask.to(scores[0].dtype).mean() for mask in chosen])
        return {**now.params, **back}, Left(history={"rewind/share": shares})


@dataclass(frozen=True, kw_only=True)
class TuneHook(Hook):
    """Train with zeros held at zero and, where `frozen`, initial values at their own.

    A weight that equals its initial value was rewound, or never moved.
    """

    frozen: bool

    elementwise: ClassVar[frozenset[str]] = frozenset({"grads", "after_step", "after_epoch"})

    def begin(self, now: Moment, noise: Tensors) -> tuple[Tensors, Tensors]:
        """See which weights are held."""
        del noise
        moves = masks_of_zeros(now.params, now.prunable)
        if self.frozen:
            moves = {n: mask & (now.params[n] != now.initial[n]) for n, mask in moves.items()}
        held = {f"held/{n}": torch.where(mask, 0.0, now.params[n]) for n, mask in moves.items()}
        return {**{f"moves/{n}": mask for n, mask in moves.items()}, **held}, now.params

    def grads(self, state: Tensors, now: Moment, grads: Tensors) -> tuple[Tensors, Tensors]:
        """Stop the gradients of what is held."""
        del now
        return state, apply_masks(grads, _moves(state))

    def after_step(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Put back what weight decay and momentum moved."""
        return state, _put_back(state, now.params)

    def after_epoch(self, state: Tensors, now: Moment) -> tuple[Tensors, Tensors]:
        """Put back what an earlier hook moved."""
        return state, _put_back(state, now.params)

    def finish(self, state: Tensors, now: Moment) -> tuple[Tensors, Left]:
        """Leave the masks of weights that are not zero."""
        params = _put_back(state, now.params)
        return params, Left(masks=masks_of_zeros(params, now.prunable))


def _moves(state: Tensors) -> Tensors:
    return {n.removeprefix("moves/"): v for n, v in state.items() if n.startswith("moves/")}


def _put_back(state: Tensors, params: Tensors) -> Tensors:
    def kept(name: str, mask: Tensor) -> Tensor:
        return torch.where(mask, params[name], state[f"held/{name}"])

    return {**params, **{name: kept(name, mask) for name, mask in _moves(state).items()}}
