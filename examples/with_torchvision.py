"""Train with comix as transforms of torchvision v2, alone and in a RandomChoice with CutMix.

python examples/with_torchvision.py --epochs 20 --seed 0 --out with_torchvision.png
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from comix.integrations.torchvision import CoMixup, PuzzleMix
from digits import CLASSES, STD, Run, batches, digits, error_of, network, optimiser, options, progress, report
from torchvision.transforms import v2


def puzzlemix(model: torch.nn.Module, draws: torch.Generator) -> v2.Transform:
    """PuzzleMix with the saliency of the network in training."""
    small = {"grid_choices": (2, 4, 8), "neigh_size": 2}  # the images have 16 pixels a side
    return PuzzleMix(num_classes=CLASSES, model=model, generator=draws, std=STD, **small)


def co_mixup(model: torch.nn.Module, draws: torch.Generator) -> v2.Transform:
    """Co-Mixup, likewise."""
    return CoMixup(num_classes=CLASSES, model=model, generator=draws, partition=25)


def one_of_three(model: torch.nn.Module, draws: torch.Generator) -> v2.Transform:
    """For every batch one of the three, at random."""
    return v2.RandomChoice([puzzlemix(model, draws), co_mixup(model, draws), v2.CutMix(num_classes=CLASSES)])


METHODS: dict[str, Callable[..., v2.Transform]] = {
    "CutMix": lambda model, draws: v2.CutMix(num_classes=CLASSES),
    "PuzzleMix": puzzlemix,
    "Co-Mixup": co_mixup,
    "one of the three": one_of_three,
}


def train(method: str, epochs: int, seed: int, train_size: int) -> Run:
    """Train one network."""
    data, model = digits(seed, train_size), network(seed)
    mix = METHODS[method](model, torch.Generator().manual_seed(seed))
    loader, errors, start = batches(data, seed), [], time.perf_counter()
    optimizer, schedule = optimiser(model, epochs * len(loader))
    for _ in progress(epochs, f"{method}, seed {seed}"):
        for images, targets in loader:
            mixed, soft = mix(images, targets)
            loss = F.cross_entropy(model(mixed), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        errors.append(error_of(model, data))
    return Run(errors, time.perf_counter() - start)


@options(out="with_torchvision.png")
def main(epochs: int, seeds: list[int], train_size: int, out: Path) -> None:
    """Train a small ConvNet on handwritten digits with transforms that mix batches."""
    results = {name: [train(name, epochs, seed, train_size) for seed in seeds] for name in METHODS}
    report(f"torchvision on digits, {train_size} to train on, {epochs} epochs", results, out)


if __name__ == "__main__":
    main()
