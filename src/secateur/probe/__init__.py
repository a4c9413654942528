"""What an attacker sees of a model: signals of its logits; `run` queries whole fleets."""

from __future__ import annotations

from secateur.probe.signals import SignalProbe, signals, softmax

__all__ = ["SignalProbe", "signals", "softmax"]
