"""Calls of every public function that runs on CUDA, for tests with and without a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comix
import torch

B, C, H, W, K = 5, 3, 12, 10, 7
CPU_GENERATOR = torch.Generator().manual_seed(1)


def rand(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=CPU_GENERATOR).to(dtype)


def integers(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(high, shape, generator=CPU_GENERATOR)


IMAGES, SALIENCY, INDEX = rand(B, C, H, W), rand(B, H, W), torch.tensor([1, 2, 3, 4, 0])
LAST = IMAGES.contiguous(memory_format=torch.channels_last)
MASK, SOFT, CLASSES = integers(3, B, 3, 2) / 2, rand(B, K), integers(K, B)
MOVED = torch.stack([torch.randperm(6, generator=CPU_GENERATOR).view(3, 2) for _ in range(B)])
LABELS, COST = integers(3, 2, 3, 4, 4, 2), rand(2, 3, 4, 4)
MATRIX = torch.eye(3).expand(2, 3, 3)
UNARY, PAIRWISE, GRID_LABELS = rand(2, 2, 4, 3, 2), 1 - torch.eye(2), integers(2, 2, 2, 4, 3)
WEIGHT_V, WEIGHT_H = rand(2, 2, 3, 3), rand(4, 2)
STD = rand(C) + 0.1
SHARES = rand(B, 3, 2)
SHARES /= SHARES.sum((1, 2), keepdim=True)
STARTS = integers(3, 2, 2, 3, 4, 4)


def plan_of(mask: torch.Tensor, index: torch.Tensor, moved: torch.Tensor) -> comix.MixPlan:
    return comix.MixPlan.from_mask(mask, index, moved, moved.to(torch.int32))


def entries_of(plan: comix.MixPlan) -> tuple[torch.Tensor, ...]:
    return plan.source, plan.block, plan.weight


def gradients_of(plan: comix.MixPlan, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """A mixed batch, a gradient, and the gradient of that."""
    images = images.detach().requires_grad_()
    mixed = plan.mix(images)
    (first,) = torch.autograd.grad(mixed.square().sum(), images, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), images)
    return mixed.detach(), first.detach(), second


def channel_means(images: torch.Tensor) -> torch.Tensor:
    """The simplest model: as many classes as channels."""
    return images.mean((2, 3))


Run = Callable[..., Any]
# What is called, with which tensors (numbers are part of the call), and the kernels that run on CUDA.
CASES: dict[str, tuple[Run, tuple[torch.Tensor, ...], list[str]]] = {
    "MixPlan": (lambda *e: entries_of(comix.MixPlan(*e)), entries_of(plan_of(MASK, INDEX, MOVED)), []),
    "from_mask": (lambda *a: entries_of(plan_of(*a)), (MASK, INDEX, MOVED), []),
    "from_mask, plain": (lambda *a: entries_of(comix.MixPlan.from_mask(*a)), (MASK.half(), INDEX), []),
    "from_labels": (lambda a: entries_of(comix.MixPlan.from_labels(a)), (LABELS,), []),
    "from_labels, one": (lambda a: entries_of(comix.MixPlan.from_labels(a)), (LABELS[0].int(),), []),
    "ratio": (lambda *a: plan_of(*a).ratio(B), (MASK, INDEX, MOVED), []),
    "mix": (lambda x, *a: plan_of(*a).mix(x), (IMAGES, MASK, INDEX, MOVED), ["mix"]),
    "mix, last": (lambda x, *a: plan_of(*a).mix(x), (LAST.half(), MASK, INDEX, MOVED), ["mix"]),
    "mix, uint8": (
        lambda x, *a: plan_of(*a).mix(x),
        ((255 * IMAGES).to(torch.uint8)[:, :, ::2], MASK, INDEX, MOVED),
        ["mix"],
    ),
    "mix, backward": (
        lambda x, *a: gradients_of(plan_of(*a), x),
        (IMAGES.double(), MASK, INDEX, MOVED),
        ["mix", "mix_transpose", "mix", "mix_transpose"],
    ),
    "mix_targets": (lambda y, *a: plan_of(*a).mix_targets(y), (SOFT, MASK, INDEX, MOVED), []),
    "mix_targets, classes": (
        lambda y, *a: plan_of(*a).mix_targets(y, num_classes=K),
        (CLASSES, MASK, INDEX, MOVED),
        [],
    ),
    "class_pairs": (
        lambda y, *a: comix.losses.class_pairs(plan_of(*a), y),
        (CLASSES, MASK, INDEX, MOVED),
        [],
    ),
    "class_pairs, of labels": (
        lambda y, a: comix.losses.class_pairs(comix.MixPlan.from_labels(a), y, k=7),
        (integers(K, 6), LABELS),
        [],
    ),
    "soft_cross_entropy": (
        lambda x, i, w: comix.losses.soft_cross_entropy(x, i, w, label_smoothing=0.1),
        (SOFT, integers(K, B, 2), rand(B, 2)),
        [],
    ),
    "decoupled_ce": (comix.losses.decoupled_ce, (SOFT.half(), integers(K, B, 2), rand(B, 2)), []),
    "pool_saliency": (lambda s: comix.pool_saliency(s, (5, 3)), (SALIENCY,), ["pool_saliency"]),
    "pool_saliency, float16": (lambda s: comix.pool_saliency(s, 4), (SALIENCY.half(),), ["pool_saliency"]),
    "pool_saliency, float64": (lambda s: comix.pool_saliency(s, 4), (SALIENCY.double(),), ["pool_saliency"]),
    "pool_saliency, gradient": (
        lambda s: torch.autograd.grad(comix.pool_saliency(s, (5, 3)).square().sum(), s)[0],
        (SALIENCY.clone().requires_grad_(),),
        [],
    ),
    "input_saliency": (
        lambda x, y: [t.detach() for t in comix.input_saliency(channel_means, x, y, return_loss=True)],
        (IMAGES, integers(C, B)),
        [],
    ),
    "spectral_residual": (comix.spectral_residual, (IMAGES,), []),
    "puzzlemix_energy": (
        lambda x, s, i: comix.puzzlemix_energy(x, s, i, 0.4, grid=(4, 1), std=[0.5, 0.25, 0.125]),
        (IMAGES, SALIENCY, INDEX),
        ["pool_saliency", "puzzlemix_energy"],
    ),
    "puzzlemix_energy, tensors": (
        lambda x, s, i, lam, std: comix.puzzlemix_energy(x, s, i, lam, mean=std, std=std, n_labels=5),
        (LAST.bfloat16(), SALIENCY.half(), INDEX.int(), rand(B), STD),
        ["pool_saliency", "puzzlemix_energy"],
    ),
    "puzzlemix_energy, one lam": (
        lambda x, s, i, lam: comix.puzzlemix_energy(x, s, i, lam, gamma=0.0),
        ((255 * IMAGES).to(torch.uint8), SALIENCY, INDEX, torch.tensor(0.25)),
        ["pool_saliency", "puzzlemix_energy"],
    ),
    "grid_energy": (comix.grid_energy, (GRID_LABELS, UNARY, PAIRWISE, WEIGHT_V, WEIGHT_H), ["grid_energy"]),
    "grid_energy, numbers": (
        lambda labels, u, p, w: comix.grid_energy(labels.int()[0], u, p, 2, w),
        (GRID_LABELS, UNARY.half(), PAIRWISE.long(), torch.tensor(0.5)),
        ["grid_energy"],
    ),
    "comixup_objective": (
        lambda labels, c, a: comix.comixup_objective(labels, c, compatibility=a, beta=1, threshold="soft"),
        (LABELS, COST, MATRIX),
        ["comixup_objective"],
    ),
    "grid_cut": (comix.grid_cut, (UNARY, PAIRWISE, WEIGHT_V, WEIGHT_H), ["grid_cut", "grid_energy"]),
    "grid_cut, exact from a start": (
        lambda u, p, w, i: comix.grid_cut(u, p, 0.5, w, method="exact", init=i, max_sweeps=3),
        (UNARY.half(), PAIRWISE, WEIGHT_H, GRID_LABELS),
        ["grid_cut", "grid_energy"],
    ),
    "grid_cut, over levels": (
        lambda u, p, w: comix.grid_cut(u, p, 0.3, w, method="exact"),
        (rand(4, 6, 7, 9), torch.arange(9).sub(torch.arange(9).view(-1, 1)).abs(), rand(4, 6, 6)),
        ["grid_cut", "grid_energy"],
    ),
    "grid_cut, swap": (
        lambda u, p: comix.grid_cut(u, p, method="swap"),
        (UNARY, PAIRWISE),
        ["grid_cut", "grid_energy"],
    ),
    "grid_cut, auto": (
        lambda u, p: comix.grid_cut(u, p, method="auto"),
        (UNARY, PAIRWISE),
        ["grid_cut", "grid_energy"],
    ),
    "puzzlemix_mask": (
        lambda x, s, i: comix.puzzlemix_mask(x, s, i, 0.4, grid=2),
        (IMAGES, SALIENCY, INDEX),
        ["pool_saliency", "puzzlemix_energy", "grid_cut"],
    ),
    "transport_plan": (comix.transport_plan, (SHARES, MASK), ["transport_plan"]),
    "transport_plan, greedy": (
        lambda s, m: comix.transport_plan(s, m, eps=0.1, method="greedy"),
        (SHARES.double(), MASK.half()),
        ["transport_plan"],
    ),
    "transport_cost": (comix.transport_cost, (MOVED, SHARES, MASK), ["transport_cost"]),
    "comixup_labels": (
        lambda c, a, i: comix.comixup_labels(c, compatibility=a, init=i),
        (COST, MATRIX, STARTS[:, 0]),
        ["comixup_labels"],
    ),
    "comixup_labels, two starts": (
        lambda c, i: comix.comixup_labels(c, init=i, select="last", threshold="soft"),
        (COST.half(), STARTS),
        ["comixup_labels"],
    ),
    "comixup_labels, swap": (
        lambda c, a, i: comix.comixup_labels(c, compatibility=a, init=i, method="swap"),
        (COST, MATRIX, STARTS),
        ["comixup_labels"],
    ),
    "comixup_labels, exact": (
        lambda c, i: comix.comixup_labels(c, init=i, method="exact", sweeps=3),
        (COST, STARTS[:, 0]),
        ["comixup_labels"],
    ),
    "comixup_objective, plain": (
        comix.comixup_objective,
        (LABELS.int(), COST.half()),
        ["comixup_objective"],
    ),
}

# Heuristics whose order of moves is the device's own: another labelling than the CPU's is no error.
OWN_ANSWERS = ("comixup_labels", "comixup_labels, two starts")


def flat(result: Any) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else list(result)


# --- many problems, odd sizes ---------------------------------------------------------------------------

POTTS = 1 - torch.eye(3)
ODD_SIZES = [(1, 1), (1, 7), (5, 1), (3, 5), (6, 7), (13, 17)]
LAST_ITEMS = 7  # of a large batch: these are compared


def shares(*shape: int) -> torch.Tensor:
    values = rand(*shape)
    return values / values.sum((-2, -1), keepdim=True)


def large_batches(count: int) -> dict[str, tuple[Run, tuple[torch.Tensor, ...]]]:
    """Calls with very many tiny problems."""
    return {
        "grid_cut": (
            lambda u, p: comix.grid_cut(u, p, 0.3, 0.2, method="exact")[:2],
            (rand(count, 1, 2, 3), POTTS),
        ),
        "grid_cut, swap": (
            lambda u, p: comix.grid_cut(u, p, method="swap")[:2],
            (rand(count, 1, 2, 3), POTTS),
        ),
        "grid_energy": (comix.grid_energy, (integers(3, count, 1, 2), rand(count, 1, 2, 3), POTTS)),
        "transport_plan": (comix.transport_plan, (shares(count, 1, 3), integers(2, count, 1, 3).float())),
        "transport_cost": (
            comix.transport_cost,
            (torch.arange(3).expand(count, 1, 3), shares(count, 1, 3), integers(2, count, 1, 3).float()),
        ),
        "comixup_objective": (
            comix.comixup_objective,
            (integers(2, count, 1, 1, 2, 2), rand(count, 2, 1, 2)),
        ),
        "comixup_labels": (
            lambda c, i: comix.comixup_objective(comix.comixup_labels(c, init=i, sweeps=1), c),
            (rand(count, 1, 1, 2), integers(1, count, 1, 1, 2)),
        ),
        "comixup_labels, exact": (
            lambda c, i: comix.comixup_labels(c, init=i, sweeps=1, method="exact"),
            (rand(count, 2, 1, 2), integers(2, count, 1, 1, 2)),
        ),
        "pool_saliency": (lambda s: comix.pool_saliency(s, (1, 2)), (rand(count, 2, 4),)),
        "mix": (
            lambda x, m, i: comix.MixPlan.from_mask(m, i).mix(x),
            (rand(count, 1, 1, 2), integers(3, count, 1, 2) / 2, torch.arange(count).flip(0)),
        ),
    }


def last_items(name: str, run: Run, tensors: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """What the last items of a large batch have to be, from a batch of these alone."""
    count = tensors[0].shape[0]
    part = slice(count - LAST_ITEMS, count)
    if name == "mix":  # partners come from the other end
        images, mask, index = tensors
        own, partner = images[part], images[index[part]]
        return [own * mask[part, None] + partner * (1 - mask[part, None])]
    return flat(run(*(t[part] if t.shape[:1] == (count,) else t for t in tensors)))


def calls_of_size(size: tuple[int, int]) -> list[tuple[Run, tuple[torch.Tensor, ...]]]:
    """Calls on grids of a size, and on images whose pixels do not fall into blocks evenly."""
    count, labels = 3, 4
    unary, apart = rand(count, *size, labels), (torch.arange(4.0)[:, None] - torch.arange(4.0)) ** 2
    weights = rand(count, size[0] - 1, size[1]), rand(count, size[0], size[1] - 1)
    # Convex on the grid of float32 numbers too: what is rounded there has no proof on wide grids.
    convex = (torch.arange(4.0) - integers(13, count, *size, 1) / 4) ** 2
    saliency, mask = shares(count, *size), integers(3, count, *size) / 2
    images, index = rand(count, 5, 3 * size[0] + 1, 2 * size[1]), torch.tensor([2, 0, 1])
    inputs, starts = rand(count, 3, *size), integers(3, count, 2, *size)
    return [
        (lambda c, i: comix.comixup_labels(c, init=i, method="swap"), (inputs, starts)),
        (lambda c, i: comix.comixup_labels(c, init=i, method="exact"), (inputs, starts)),
        (
            lambda u, p, v, h: comix.grid_cut(u, p, v, h, method="swap")[:2],
            (unary, 1 - torch.eye(4), *weights),
        ),
        (lambda u, p, v, h: comix.grid_cut(u, p, v, h, method="exact")[1:], (convex, apart, *weights)),
        (lambda s, m: comix.transport_cost(comix.transport_plan(s, m), s, m), (saliency, mask)),
        (lambda s, m: comix.transport_plan(s, m, method="greedy"), (saliency, mask)),
        (lambda s: comix.pool_saliency(s, size), (rand(count, 3 * size[0] + 1, 2 * size[1]),)),
        (lambda x, m, i: comix.MixPlan.from_mask(m, i).mix(x), (images, mask, index)),
    ]
