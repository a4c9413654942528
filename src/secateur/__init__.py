"""secateur: prune neural networks, and audit what pruning did to the privacy of their training data."""
