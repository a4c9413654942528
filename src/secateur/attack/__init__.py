"""Attacks: what an adversary makes of observations."""
