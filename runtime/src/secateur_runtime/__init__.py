"""Run packed networks with numpy and a small compiled engine; no torch."""
