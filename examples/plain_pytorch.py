"""Train with PuzzleMix and Co-Mixup in a training loop of your own, beside no mixing, Mixup and CutMix.

python examples/plain_pytorch.py --epochs 20 --seed 0 --out plain_pytorch.png
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import comix
import torch
import torch.nn.functional as F
from digits import (
    CLASSES,
    MEAN,
    STD,
    Run,
    batches,
    digits,
    error_of,
    network,
    optimiser,
    options,
    progress,
    report,
)
from torch import Tensor, nn

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def no_mixing(draws: torch.Generator) -> Loss:
    """Plain cross entropy."""
    return lambda model, images, targets: F.cross_entropy(model(images), targets)


def mixup(draws: torch.Generator) -> Loss:
    """Mixup (Zhang et al., ICLR 2018) with alpha 1, where Beta(1, 1) is uniform."""

    def loss(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        share, partner = torch.rand((), generator=draws), torch.randperm(len(images), generator=draws)
        outputs = model(share * images + (1 - share) * images[partner])
        own, other = F.cross_entropy(outputs, targets), F.cross_entropy(outputs, targets[partner])
        return share * own + (1 - share) * other

    return loss


def cutmix(draws: torch.Generator) -> Loss:
    """CutMix (Yun et al., ICCV 2019) with alpha 1: one box for the batch."""

    def loss(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        share, partner = torch.rand((), generator=draws), torch.randperm(len(images), generator=draws)
        rows, columns = (torch.arange(n) for n in images.shape[2:])
        y, x = (int(torch.randint(n, (), generator=draws)) for n in images.shape[2:])
        half = float((1 - share).sqrt()) / 2
        box = ((rows - y).abs() <= half * len(rows))[:, None] & ((columns - x).abs() <= half * len(columns))
        outputs = model(torch.where(box, images[partner], images))
        area = box.float().mean()
        own, other = F.cross_entropy(outputs, targets), F.cross_entropy(outputs, targets[partner])
        return (1 - area) * own + area * other

    return loss


def puzzlemix(draws: torch.Generator) -> Loss:
    """PuzzleMix: the saliency comes from a pass of its own, and the mixed images are trained on."""
    aug = comix.PuzzleMix(
        num_classes=CLASSES, grid_choices=(2, 4, 8), neigh_size=2, mean=MEAN, std=STD, generator=draws
    )

    def loss(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        mixed, soft = aug(images, targets, model=model)
        return F.cross_entropy(model(mixed), soft)

    return loss


def co_mixup(draws: torch.Generator) -> Loss:
    """Co-Mixup: the pass that gives the saliency is trained on as well, as in the official script."""
    aug = comix.CoMixup(num_classes=CLASSES, partition=25, generator=draws)

    def loss(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        saliency, clean = comix.input_saliency(model, images, targets, return_loss=True)
        mixed, soft = aug(images, targets, saliency=saliency)
        return F.cross_entropy(model(mixed), soft) + clean

    return loss


METHODS = {
    "no mixing": no_mixing,
    "Mixup": mixup,
    "CutMix": cutmix,
    "PuzzleMix": puzzlemix,
    "Co-Mixup": co_mixup,
}


def train(method: str, epochs: int, seed: int, train_size: int) -> Run:
    """Train one network."""
    data, model = digits(seed, train_size), network(seed)
    loss_of = METHODS[method](torch.Generator().manual_seed(seed))
    loader, errors, start = batches(data, seed), [], time.perf_counter()
    optimizer, schedule = optimiser(model, epochs * len(loader))
    for _ in progress(epochs, f"{method}, seed {seed}"):
        for images, targets in loader:
            loss = loss_of(model, images, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        errors.append(error_of(model, data))
    return Run(errors, time.perf_counter() - start)


@options(out="plain_pytorch.png")
def main(epochs: int, seeds: list[int], train_size: int, out: Path) -> None:
    """Train a small ConvNet on handwritten digits with five ways of mixing."""
    results = {name: [train(name, epochs, seed, train_size) for seed in seeds] for name in METHODS}
    report(f"Digits, {train_size} to train on, {epochs} epochs", results, out)


if __name__ == "__main__":
    main()
