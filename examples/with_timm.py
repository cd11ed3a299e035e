"""Train with comix where timm's training script has its ``Mixup``: only the constructor changes.

python examples/with_timm.py --epochs 20 --seed 0 --out with_timm.png
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comix.integrations.timm import ComixMixup
from digits import CLASSES, STD, Run, batches, digits, error_of, network, optimiser, options, progress, report
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy

METHODS: dict[str, Any] = {
    "timm Mixup and CutMix": lambda draws: Mixup(
        mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=CLASSES
    ),
    "ComixMixup, puzzle": lambda draws: ComixMixup(
        mode="puzzle", num_classes=CLASSES, generator=draws, grid_choices=(2, 4, 8), neigh_size=2, std=STD
    ),
    "ComixMixup, comixup": lambda draws: ComixMixup(
        mode="comixup", num_classes=CLASSES, generator=draws, partition=25
    ),
}


def train(method: str, epochs: int, seed: int, train_size: int) -> Run:
    """Train one network."""
    data, model = digits(seed, train_size), network(seed)
    np.random.seed(seed)  # noqa: NPY002 - timm's Mixup draws from NumPy's global generator
    mixup_fn = METHODS[method](torch.Generator().manual_seed(seed))
    if isinstance(mixup_fn, ComixMixup):
        mixup_fn.bind(model)  # the saliency comes from the network in training
    criterion = SoftTargetCrossEntropy()

    loader, errors, start = batches(data, seed), [], time.perf_counter()
    optimizer, schedule = optimiser(model, epochs * len(loader))
    for _ in progress(epochs, f"{method}, seed {seed}"):
        for images, targets in loader:
            mixed, soft = mixup_fn(images, targets)
            loss = criterion(model(mixed), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        errors.append(error_of(model, data))
    return Run(errors, time.perf_counter() - start)


@options(out="with_timm.png")
def main(epochs: int, seeds: list[int], train_size: int, out: Path) -> None:
    """Train a small ConvNet on handwritten digits with timm's Mixup, and with comix in its place."""
    results = {name: [train(name, epochs, seed, train_size) for seed in seeds] for name in METHODS}
    report(f"timm on digits, {train_size} to train on, {epochs} epochs", results, out)


if __name__ == "__main__":
    main()
