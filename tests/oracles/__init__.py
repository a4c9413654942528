"""Slow, plain versions that the fast ones must equal."""
