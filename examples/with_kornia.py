"""Train with comix as kornia mix augmentations, after kornia's geometric ones.

python examples/with_kornia.py --epochs 20 --seed 0 --out with_kornia.png
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import comix
import kornia.augmentation as K
import torch
import torch.nn.functional as F
from comix.integrations.kornia import RandomCoMixup, RandomPuzzleMix
from digits import CLASSES, STD, Run, batches, digits, error_of, network, optimiser, options, progress, report
from torch import Tensor

KEYS = ["input", "class"]


def mixing(method: str, draws: torch.Generator) -> Any:
    """The augmentation that mixes; None: none."""
    if method == "PuzzleMix":
        small = {"grid_choices": (2, 4, 8), "neigh_size": 2}  # the images have 16 pixels a side
        return RandomPuzzleMix(CLASSES, p=0.8, data_keys=KEYS, generator=draws, std=STD, **small)
    if method == "Co-Mixup":
        return RandomCoMixup(CLASSES, p=0.8, data_keys=KEYS, generator=draws, partition=25)
    return K.RandomMixUpV2(p=0.8, data_keys=KEYS) if method == "kornia MixUp" else None


def loss_of(model: torch.nn.Module, mix: Any, images: Tensor, targets: Tensor) -> Tensor:
    """The loss of a batch; kornia's own mixing gives (label, partner's label, partner's share)."""
    if mix is None:
        return F.cross_entropy(model(images), targets)
    if isinstance(mix, K.RandomMixUpV2):
        mixed, triples = mix(images, targets)
        share, logits = triples[:, 2], model(mixed)
        losses = [F.cross_entropy(logits, triples[:, i].long(), reduction="none") for i in (0, 1)]
        return ((1 - share) * losses[0] + share * losses[1]).mean()
    mixed, soft = mix(images, targets, saliency=comix.input_saliency(model, images, targets))
    return F.cross_entropy(model(mixed), soft)


def train(method: str, epochs: int, seed: int, train_size: int) -> Run:
    """Train one network."""
    data, model = digits(seed, train_size), network(seed)
    geometric = K.RandomAffine(degrees=10.0, translate=(0.1, 0.1), p=0.5)
    mix = mixing(method, torch.Generator().manual_seed(seed))
    loader, errors, start = batches(data, seed), [], time.perf_counter()
    optimizer, schedule = optimiser(model, epochs * len(loader))
    for _ in progress(epochs, f"{method}, seed {seed}"):
        for images, targets in loader:
            loss = loss_of(model, mix, geometric(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        errors.append(error_of(model, data))
    return Run(errors, time.perf_counter() - start)


@options(out="with_kornia.png")
def main(epochs: int, seeds: list[int], train_size: int, out: Path) -> None:
    """Train a small ConvNet on handwritten digits with kornia's augmentations and comix's."""
    methods = ("no mixing", "kornia MixUp", "PuzzleMix", "Co-Mixup")
    results = {name: [train(name, epochs, seed, train_size) for seed in seeds] for name in methods}
    report(f"kornia on digits, {train_size} to train on, {epochs} epochs", results, out)


if __name__ == "__main__":
    main()
