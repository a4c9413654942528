"""SAMIA: self-attention over classes, made for pruned models (Yuan & Zhang 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from secateur.errors import MethodError, MissingViewError, NotEnoughReferencesError
from secateur.protocols import Threat
from secateur.types import AUDIT, Observations, Scores, Signal, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

__all__ = ["SAMIA"]

ROWS = 4096  # scored at a time


@dataclass(frozen=True, kw_only=True)
class SAMIA:
    """Transformer on (posterior, sensitivity, label), trained on references pruned alike.

    Each class is a token of three numbers - its softmax output, how far that moves per unit of
    noise in the input, 1 for the true class - so that attention compares classes with each other.
    One network is trained to tell members from non-members of `shadows` references in the audit
    pool, and scores every target. Score: the logit of `member` less that of `non-member`; larger =
    more like a member; the threshold is 0.

    Args:
        shadows: references to train on, the first ones.
        epochs: passes over their records.
        lr: of SGD with momentum 0.9 and weight decay 5e-4, a tenth from epochs / 2, a hundredth
            from 3 epochs / 4.
        batch_size: rows per step.
        dropout: in the encoder, in [0, 1).

    Differs from the paper: the shadows are references that drew on the audit pool, members and
    non-members equally many in the mean; the momentum is not stated in what was read.

    Example:
        >>> SAMIA(epochs=5).shadows
        5
    """

    shadows: int = 5
    epochs: int = 100
    lr: float = 1e-3
    batch_size: int = 128
    dropout: float = 0.2

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "yuan2022membership"
    needs_posteriors: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if min(self.shadows, self.epochs, self.batch_size) < 1 or not self.lr > 0:
            raise MethodError(
                f"shadows, epochs, batch_size and lr must be positive, got {self.shadows}, "
                f"{self.epochs}, {self.batch_size}, {self.lr}"
            )
        if self.batch_size < 2:
            raise MethodError(f"batch norm needs batch_size at least 2, got {self.batch_size}")
        if not 0 <= self.dropout < 1:
            raise MethodError(f"dropout must be in [0, 1), got {self.dropout}")

    @property
    def needs(self) -> tuple[Signal, ...]:
        """No signals: it reads posteriors and sensitivities."""
        return ()

    @property
    def min_in(self) -> int:
        """None of a single record: it learns from all records of `shadows` references."""
        return 0

    @property
    def min_out(self) -> int:
        """None of a single record."""
        return 0

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Train once on the shadows and score the audit pool of every target.

        Raises:
            NotEnoughReferencesError: there are fewer references than shadows.
            MissingViewError: outputs or sensitivities were not observed.
        """
        who = observations.membership
        self._check(observations)
        view = observations.primary
        assert observations.ids is not None  # set by Observations
        audit = who.pools[AUDIT]
        audit = audit[np.argsort(observations.ids[audit], kind="stable")]
        one_hot = np.eye(observations.n_classes, dtype=np.float32)[observations.labels[audit]]
        posteriors = observations.posteriors[view]
        moved = observations.sensitivities[view]

        def rows(
            posterior: NDArray[np.float32], change: NDArray[np.float32]
        ) -> NDArray[np.float32]:
            parts = [posterior[audit], change[audit], one_hot]
            return np.concatenate(parts, axis=1, dtype=np.float32)

        shadows = observations.shadow_posteriors[view][: self.shadows]
        x = np.concatenate([rows(p, moved[len(posteriors) + k]) for k, p in enumerate(shadows)])
        y = who.inside[np.ix_(who.references[: self.shadows], audit)].ravel()
        tests = [rows(p, moved[k]) for k, p in enumerate(posteriors)]
        scores = self._fit_and_score(x, y, tests, derive_seed(seed, "samia"))
        values = np.zeros((len(posteriors), who.inside.shape[1]))
        values[:, audit] = scores
        evaluated = np.zeros(values.shape, dtype=np.bool_)
        evaluated[:, audit] = True
        return Scores(values=values, evaluated=evaluated, threshold=np.zeros(len(values)))

    def _check(self, observations: Observations) -> None:
        view, n = observations.primary, len(observations.membership.references)
        if n < self.shadows:
            raise NotEnoughReferencesError(
                f"SAMIA trains on {self.shadows} reference models, and there are {n}; draw more "
                f"references, or write SAMIA(shadows={n})"
            )
        kept = len(observations.shadow_posteriors.get(view, ()))
        if kept < self.shadows or not {view} <= {*observations.posteriors} & {
            *observations.sensitivities
        }:
            raise MissingViewError(
                f"SAMIA reads whole outputs and sensitivities of the targets and {self.shadows} "
                f"references, but the view {view!r} holds those of {kept} references; observe it "
                f"with posteriors=True, shadows={self.shadows}"
            )

    def _fit_and_score(
        self,
        x: NDArray[np.float32],
        y: NDArray[np.bool_],
        tests: list[NDArray[np.float32]],
        seed: int,
    ) -> NDArray[np.float64]:
        import torch
        from torch.nn import functional

        inputs, members = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
        rng = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global state
            torch.manual_seed(seed)
            net = _network(x.shape[1] // 3, self.dropout)
            optimiser = torch.optim.SGD(
                net.parameters(), lr=self.lr, momentum=0.9, weight_decay=5e-4
            )
            steps = [self.epochs // 2, self.epochs * 3 // 4]
            schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, steps, gamma=0.1)
            for _ in range(self.epochs):
                order = torch.from_numpy(rng.permutation(len(y)))
                for rows in torch.split(order, self.batch_size):
                    if len(rows) < 2:  # batch norm has no variance of one row
                        continue
                    loss = functional.cross_entropy(net(inputs[rows]), members[rows])
                    optimiser.zero_grad(set_to_none=True)
                    torch.autograd.backward([loss])
                    optimiser.step()
                schedule.step()
        net.eval()
        with torch.no_grad():
            out = [
                torch.cat([net(part) for part in torch.split(torch.from_numpy(t), ROWS)])
                for t in tests
            ]
        scores: NDArray[np.float64] = torch.stack([o[:, 1] - o[:, 0] for o in out]).double().numpy()
        return scores


def _network(classes: int, dropout: float) -> nn.Module:
    """Batch norm; 3 -> 64 per class; 3 encoder layers of 4 heads; classes x 64 -> 64 -> 2."""
    import torch
    from torch import Tensor, nn

    class SelfAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3 * classes)
            self.embed = nn.Linear(3, 64)
            layer = nn.TransformerEncoderLayer(
                64, 4, dim_feedforward=128, dropout=dropout, activation="gelu", batch_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, num_layers=3, enable_nested_tensor=False)
            self.head = nn.Sequential(nn.Linear(64 * classes, 64), nn.ReLU(), nn.Linear(64, 2))

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.norm(x).unflatten(1, (3, classes)).transpose(1, 2)
            encoded = self.encoder(torch.nn.functional.gelu(self.embed(tokens)))
            out: Tensor = self.head(encoded.flatten(1))
            return out

    return SelfAttention()
