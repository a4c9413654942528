"""The neural attack that the paper measures: a network on (posterior, label), trained by an
insider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from secateur.errors import InputError, MethodError
from secateur.protocols import Threat
from secateur.types import AUDIT, Observations, Scores, Signal, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from secateur.types import IntArray

__all__ = ["NasrAttack"]


@dataclass(frozen=True, kw_only=True)
class NasrAttack:
    """Attack of Nasr, Shokri & Houmansadr 2018, by which 2008.13578 measures its defence.

    One network per target reads the target's softmax output and the one-hot label; it is trained on
    a random half of the target's members and of its non-members (by unit), and scores the other
    half. It knows half of the answer, so it is an upper bound for attackers of its kind, and needs
    no reference model.

    Args:
        epochs: passes over the known half.
        lr: Adam's learning rate.
        batch_size: records per step.
        members_known: share of the audit pool's units that the attacker knows, in (0, 1).

    Differs from the released code: log loss on logits instead of the squared error on a sigmoid,
    and PyTorch's default initialisation instead of N(0, 0.01), which does not train on a few
    hundred records.

    Example:
        >>> NasrAttack(epochs=5).threat
        'insider'
    """

    epochs: int = 40
    lr: float = 1e-3
    batch_size: int = 64
    members_known: float = 0.5

    threat: ClassVar[Threat] = "insider"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "nasr2018machine"
    needs_posteriors: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.members_known < 1:
            raise MethodError(f"members_known must be in (0, 1), got {self.members_known}")
        if self.epochs < 1 or self.batch_size < 1 or not self.lr > 0:
            raise MethodError(
                f"epochs, batch_size and lr must be positive, got {self.epochs}, "
                f"{self.batch_size}, {self.lr}"
            )

    @property
    def needs(self) -> tuple[Signal, ...]:
        """No signals: it reads posteriors."""
        return ()

    @property
    def min_in(self) -> int:
        """No references."""
        return 0

    @property
    def min_out(self) -> int:
        """No references."""
        return 0

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Train and score per target; the known half is not evaluated.

        Raises:
            InputError: the view has no posteriors.
        """
        view = observations.primary
        if view not in observations.posteriors:
            raise InputError(
                f"the view {view!r} has no posteriors of the targets; observe it with "
                f"posteriors=True"
            )
        posteriors = observations.posteriors[view]
        membership = observations.membership
        targets = membership.targets
        values = np.zeros((len(targets), membership.inside.shape[1]))
        evaluated = np.zeros(values.shape, dtype=np.bool_)
        for row, model in enumerate(targets.tolist()):
            known, rest = self._split(observations, derive_seed(seed, "split", row))
            x = _features(posteriors[row], observations.labels, observations.n_classes)
            y = membership.inside[model].astype(np.float32)
            values[row, rest] = self._fit_and_score(
                x[known], y[known], x[rest], derive_seed(seed, "net", row)
            )
            evaluated[row, rest] = True
        return Scores(values=values, evaluated=evaluated, threshold=np.zeros(len(targets)))

    def _split(self, observations: Observations, seed: int) -> tuple[IntArray, IntArray]:
        membership = observations.membership
        assert observations.ids is not None  # set by Observations
        audit = membership.pools[AUDIT]
        audit = audit[np.argsort(observations.ids[audit], kind="stable")]
        units = membership.units[audit]
        distinct = np.unique(units)
        rng = np.random.default_rng(seed)
        n_known = min(len(distinct) - 1, max(1, round(self.members_known * len(distinct))))
        known = np.isin(units, rng.permutation(distinct)[:n_known])
        return audit[known], audit[~known]

    def _fit_and_score(
        self,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        x_rest: NDArray[np.float32],
        seed: int,
    ) -> NDArray[np.float64]:
        import torch
        from torch.nn import functional

        from secateur.models.two_branches import TwoBranches

        classes = x.shape[1] // 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = TwoBranches().module(classes)
        rng = np.random.default_rng(seed)
        inputs, members = torch.from_numpy(x), torch.from_numpy(y)
        optimiser = torch.optim.Adam(net.parameters(), lr=self.lr, fused=True)
        for _ in range(self.epochs):
            order = torch.from_numpy(rng.permutation(len(y)))
            for rows in torch.split(order, self.batch_size):
                seen = inputs[rows]
                logits = net(seen[:, :classes], seen[:, classes:])
                loss = functional.binary_cross_entropy_with_logits(logits, members[rows])
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward([loss])
                optimiser.step()
        with torch.no_grad():
            rest = torch.from_numpy(x_rest)
            out: Tensor = net(rest[:, :classes], rest[:, classes:])
        return out.double().numpy()


def _features(
    posterior: NDArray[Any], labels: NDArray[np.int64], n_classes: int
) -> NDArray[np.float32]:
    one_hot = np.eye(n_classes, dtype=np.float32)[labels]
    return np.concatenate([posterior.astype(np.float32), one_hot], axis=1)
