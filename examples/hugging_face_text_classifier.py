"""Audit a text classifier of Hugging Face's transformers.

Run it: python examples/hugging_face_text_classifier.py
It makes a small model with fresh weights and fine-tunes it on made sentences, in place of yours;
nothing is downloaded. It needs transformers: pip install transformers
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import secateur

PAD = 0
WORDS = 60
LENGTH = 12


class Classifier(nn.Module):
    """Ask a transformers model about token numbers, as your tokenizer makes and pads them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits; an audit hands numbers over as float32, which hold tokens exactly."""
        tokens = tokens.long()
        return self.model(input_ids=tokens, attention_mask=(tokens != PAD).long()).logits


def make_sentences(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return made token numbers `[n, LENGTH]`, padded with 0, and their classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    tokens = rng.integers(1, WORDS, (n, LENGTH))
    tokens[np.arange(n), rng.integers(0, LENGTH, n)] = labels + 1  # one telling word
    for row, length in zip(tokens, rng.integers(6, LENGTH + 1, n), strict=True):
        row[length:] = PAD
    return tokens, labels


def main() -> None:
    """Fine-tune a small model on half of the sentences and audit it."""
    try:
        from transformers import BertConfig, BertForSequenceClassification
    except ImportError:
        raise SystemExit(
            "this example needs transformers, which is not installed: pip install transformers"
        ) from None
    tokens, labels = make_sentences(240)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=LENGTH,
        num_labels=2,
    )
    net = Classifier(BertForSequenceClassification(config))
    steps = torch.optim.AdamW(net.parameters(), lr=3e-3)
    x, y = torch.from_numpy(tokens[:120]), torch.from_numpy(labels[:120])
    for _ in range(40):
        steps.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        steps.step()

    report = secateur.audit(
        net, members=(tokens[:120], labels[:120]), non_members=(tokens[120:], labels[120:])
    )
    print(secateur.render_text(report))


if __name__ == "__main__":
    main()
