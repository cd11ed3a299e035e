"""The augmentations where they are used: in a training loop, and in the workers of a DataLoader."""

from __future__ import annotations

import multiprocessing
from typing import Any

import comix
import pytest
import torch
from solvers import torch_threads
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 3
KINDS = pytest.mark.parametrize("kind", [comix.PuzzleMix, comix.CoMixup])


def stripes(count: int) -> TensorDataset:
    """Noisy pictures of a bright third: on the left, in the middle, on the right."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % CLASSES
    images = 0.3 * torch.rand(count, 1, 12, 12, generator=generator)
    for image, target in zip(images, targets.tolist(), strict=True):
        image[:, :, 4 * target : 4 * target + 4] += 0.7
    return TensorDataset(images, targets)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(864, CLASSES)
    )


def clean_loss(model: nn.Module, data: TensorDataset) -> float:
    model.eval()
    with torch.no_grad():
        loss = F.cross_entropy(model(data.tensors[0]), data.tensors[1])
    model.train()
    return float(loss)


@KINDS
@pytest.mark.parametrize("saliency", ["model", "spectral residual"])
def test_training_on_mixed_batches_learns(kind: Any, saliency: str) -> None:
    data, model = stripes(45), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    aug = kind(num_classes=CLASSES, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(data, batch_size=20, shuffle=True, generator=torch.Generator().manual_seed(2))
    before = clean_loss(model, data)
    with torch_threads(1):  # quicker for pictures as small as these
        for _ in range(6):
            for images, targets in loader:  # the last one of five
                mixed, soft = aug(images, targets, model=model if saliency == "model" else None)
                loss = F.cross_entropy(model(mixed), soft)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    assert clean_loss(model, data) < 0.5 * before


@KINDS
def test_hidden_features_can_be_mixed(kind: Any) -> None:
    data, model = stripes(8), network()
    images, targets = data.tensors
    aug = kind(num_classes=CLASSES, generator=torch.Generator().manual_seed(1))
    plan = aug(images, targets).plan
    hidden = model[:3](images)
    F.cross_entropy(model[3:](plan.mix(hidden)), plan.mix_targets(targets, num_classes=CLASSES)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert any(p.grad.abs().sum() > 0 for p in model[0].parameters())


@KINDS
def test_clean_and_mixed_loss_in_one_step(kind: Any) -> None:
    data, model = stripes(9), network()
    images, targets = data.tensors
    saliency, loss = comix.input_saliency(model, images, targets, return_loss=True)
    mixed, soft = kind(num_classes=CLASSES)(images, targets, saliency=saliency)
    (loss + F.cross_entropy(model(mixed), soft)).backward()
    assert all(p.grad is not None for p in model.parameters())


class Mixing:
    """A collate function: a batch is mixed in the worker that loads it."""

    def __init__(self, kind: Any) -> None:
        self.aug = kind(num_classes=CLASSES)

    def __call__(self, samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        images, targets = torch.utils.data.default_collate(samples)
        mixed, soft = self.aug(images, targets)
        return mixed, soft


@KINDS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_in_forked_dataloader_workers(kind: Any) -> None:
    """After the parent has used its own threads: a fork that inherits a lock or a dead pool would hang.

    Workers have one thread, as DataLoader sets it: torch's own OpenMP hangs with more.
    """
    data, collate = stripes(36), Mixing(kind)
    collate([data[i] for i in range(8)])
    seen = []
    for workers in (0, 2):
        loader = DataLoader(
            data,
            batch_size=8,
            collate_fn=collate,
            num_workers=workers,
            multiprocessing_context="fork" if workers else None,
            timeout=30 if workers else 0,
            generator=torch.Generator().manual_seed(3),
        )
        seen.append(list(loader))
    for batches in seen:
        assert [len(images) for images, _ in batches] == [8, 8, 8, 8, 4]
        for images, soft in batches:
            assert images.isfinite().all()
            torch.testing.assert_close(soft.sum(1), torch.ones(len(images)))
    again = list(loader)  # each worker is seeded by the loader
    assert len(again) == 5
