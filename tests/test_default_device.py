"""torch's default device and dtype are for the user's own tensors: comix works where its arguments are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comix
import numpy as np
import pytest
import torch
from augment_batches import CLASSES, batch, seeded
from torch import Tensor

IMAGES, TARGETS, SALIENCY = batch()
INDEX = torch.tensor([1, 2, 3, 4, 5, 0])
BLOCKS = comix.pool_saliency(SALIENCY, 4)
MASK = torch.rand(6, 4, 4, generator=seeded(3))
COST = -BLOCKS.view(2, 3, 4, 4)
INIT = torch.randint(0, 3, (2, 3, 4, 4), generator=seeded(4))
UNARY = torch.rand(2, 4, 5, 3, generator=seeded(5))
POTTS = 1 - torch.eye(3)
MODEL = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, CLASSES))


def augmented(kind: Any, **options: Any) -> list[Tensor]:
    made = []
    for given in ({}, {"saliency": SALIENCY}, {"model": MODEL}):
        result = kind(num_classes=CLASSES, generator=seeded(), **options)(IMAGES, TARGETS, **given)
        plan = result.plan
        made += [result.images, result.targets, result.saliency, plan.source, plan.block, plan.weight]
    return made


def energies() -> list[Tensor]:
    made: list[Tensor] = []
    for lam in (0.5, 1, torch.full((6,), 0.3, dtype=torch.float32, device="cpu")):
        for mean in (None, 0.5, (0.1, 0.2, 0.3), (1, 2, 3), np.ones(3)):
            made += comix.puzzlemix_energy(IMAGES, SALIENCY, INDEX, lam, grid=1, mean=mean)
            made.append(comix.puzzlemix_mask(IMAGES, SALIENCY, INDEX.tolist(), lam, mean=mean))
    return made


def plans() -> list[Tensor]:
    plan = comix.MixPlan.from_mask(MASK, INDEX.tolist(), comix.transport_plan(BLOCKS, MASK))
    images = IMAGES.clone().requires_grad_()
    plan.mix(images).square().sum().backward()
    tall = IMAGES[:, :, :15].contiguous(memory_format=torch.channels_last)
    few = comix.MixPlan(plan.source[:4], plan.block[:4], plan.weight[:4])
    made = [plan.mix(tall), few.mix(IMAGES), plan.ratio(9), plan.mix_targets(TARGETS, num_classes=CLASSES)]
    return [*made, images.grad, plan.to("cpu").source]


CALLS: dict[str, Callable[[], list[Tensor]]] = {
    "PuzzleMix": lambda: augmented(comix.PuzzleMix),
    "PuzzleMix, finer transport": lambda: augmented(comix.PuzzleMix, transport_size=2, mean=0.5, std=0.5),
    "PuzzleMix, small alpha": lambda: augmented(comix.PuzzleMix, alpha=0.3, gamma=2.0, transport=False),
    "CoMixup": lambda: augmented(comix.CoMixup),
    "CoMixup, small alpha": lambda: augmented(comix.CoMixup, alpha=0.2, partition=4),
    "puzzlemix": energies,
    "comixup_labels": lambda: [comix.comixup_labels(COST, generator=seeded())],
    "comixup_objective": lambda: [comix.comixup_objective(torch.stack([INIT, INIT], -1), COST)],
    "grid_cut": lambda: [*comix.grid_cut(UNARY, POTTS), comix.grid_energy(UNARY.argmin(-1), UNARY, POTTS)],
    "transport": lambda: [comix.transport_cost(comix.transport_plan(BLOCKS, MASK), BLOCKS, MASK)],
    "mixing": plans,
    "saliency": lambda: [
        comix.spectral_residual(IMAGES),
        comix.pool_saliency(SALIENCY, (3, 5)),
        comix.input_saliency(MODEL, IMAGES, TARGETS),
    ],
}


@pytest.mark.parametrize("name", list(CALLS))
def test_neither_the_default_device_nor_the_default_dtype_matters(name: str) -> None:
    plain = CALLS[name]()
    with torch.device("meta"):
        elsewhere = CALLS[name]()
    torch.set_default_dtype(torch.float64)
    try:
        wide = CALLS[name]()
    finally:
        torch.set_default_dtype(torch.float32)
    for expected, *others in zip(plain, elsewhere, wide, strict=True):
        for other in others:
            assert other.device == expected.device
            assert other.dtype == expected.dtype
            assert torch.equal(other, expected)
