"""Audit a CNN of your own, trained on a folder of pictures: one folder per class.

Run it: python examples/own_cnn_on_image_folder.py
It makes a small folder of pictures first, in place of yours. It needs Pillow.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

import secateur

SIZE = 16


def make_pictures(folder: Path, *, each: int = 90) -> None:
    """Draw noisy pictures: bright at the top, or at the bottom."""
    rng = np.random.default_rng(0)
    for kind, rows in (("top", slice(0, 8)), ("bottom", slice(8, 16))):
        (folder / kind).mkdir(parents=True)
        for i in range(each):
            picture = rng.normal(110, 60, (SIZE, SIZE, 3))
            picture[rows] += 12
            pixels = picture.clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{i}.png")


class Pictures(Dataset):
    """Your own Dataset, as you have it: pairs of a picture and its class."""

    def __init__(self, files: list[Path], classes: list[str]) -> None:
        self.files, self.classes = files, classes

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return a picture `[3, height, width]` in [0, 1] and its class."""
        path = self.files[index]
        pixels = np.array(Image.open(path).convert("RGB"), dtype=np.float32) / 255
        return torch.from_numpy(pixels).permute(2, 0, 1), self.classes.index(path.parent.name)


def train(net: nn.Module, data: Dataset, *, epochs: int = 40) -> None:
    """Train as you would: this loop knows nothing of secateur."""
    torch.manual_seed(0)
    steps = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for x, y in torch.utils.data.DataLoader(data, batch_size=30, shuffle=True):
            steps.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            steps.step()


def main() -> None:
    """Make a folder, train a network, audit it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        make_pictures(folder)
        files = sorted(folder.glob("*/*.png"))
        order = np.random.default_rng(1).permutation(len(files))  # who is in is left to chance
        halves = [[files[i] for i in half] for half in np.array_split(order, 2)]
        inside, outside = (Pictures(half, ["bottom", "top"]) for half in halves)
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 49, 2)
        )
        train(net, inside)

        report = secateur.audit(net, members=inside, non_members=outside)
        print(secateur.render_text(report))
        secateur.write_report(Path(place) / "report.json", report)


if __name__ == "__main__":
    main()
