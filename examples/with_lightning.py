"""Train with comix in Lightning: as a mixin of a module, and as a callback of a module left as it was.

python examples/with_lightning.py --epochs 20 --seed 0 --out with_lightning.png
"""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import comix
import lightning.pytorch as L
import torch
import torch.nn.functional as F
from comix.integrations.lightning import ComixMixin, ComixMixing
from digits import CLASSES, STD, Digits, Run, batches, digits, error_of, network, optimiser, options, report
from torch import Tensor


class Plain(L.LightningModule):
    """A classifier that knows nothing of mixing."""

    def __init__(self, seed: int, data: Digits, steps: int) -> None:
        super().__init__()
        self.net, self.data, self.steps = network(seed), data, steps
        self.errors: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.net(images)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss, for class indices and for soft targets."""
        images, targets = batch
        return F.cross_entropy(self(images), targets)

    def on_train_epoch_end(self) -> None:
        """Note the test error."""
        self.errors.append(error_of(self, self.data))

    def configure_optimizers(self) -> Any:
        """SGD along a cosine."""
        optimizer, schedule = optimiser(self, self.steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class CoMixed(ComixMixin, Plain):
    """The same with Co-Mixup in its step; the clean images count too, as in the official script."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of the mixed and of the clean images."""
        result = self.comix_step(batch, clean_weight=1.0)
        return result.loss(self(result.images))


def train(method: str, epochs: int, seed: int, train_size: int) -> Run:
    """Train one network."""
    data, draws = digits(seed, train_size), torch.Generator().manual_seed(seed)
    loader, start = batches(data, seed), time.perf_counter()
    module = (CoMixed if method == "Co-Mixup, mixin" else Plain)(seed, data, epochs * len(loader))
    callbacks = []
    if isinstance(module, CoMixed):
        module.comix_mixer = comix.CoMixup(num_classes=CLASSES, partition=25, generator=draws)
    elif method == "PuzzleMix, callback":
        small = comix.PuzzleMix(
            num_classes=CLASSES, grid_choices=(2, 4, 8), neigh_size=2, std=STD, generator=draws
        )
        callbacks = [ComixMixing(small)]
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=callbacks, **quiet)
    trainer.fit(module, loader)
    return Run(module.errors, time.perf_counter() - start)


@options(out="with_lightning.png")
def main(epochs: int, seeds: list[int], train_size: int, out: Path) -> None:
    """Train a small ConvNet on handwritten digits with Lightning, without mixing and with both methods."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*num_workers.*")  # the data is in memory
    methods = ("no mixing", "PuzzleMix, callback", "Co-Mixup, mixin")
    results = {name: [train(name, epochs, seed, train_size) for seed in seeds] for name in methods}
    report(f"Lightning on digits, {train_size} to train on, {epochs} epochs", results, out)


if __name__ == "__main__":
    main()
