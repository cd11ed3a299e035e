"""The yardstick for PuzzleMix: masks, transport and mixing the way the published code runs them today.

One ``gco.cut_grid_graph`` alpha-beta swap per pair, transport as a contest on dense [T*T, T*T] matrices,
images moved by dense matrix products. Written from the paper and from the observed behaviour of the published
code, at its honest speed; ``tests/test_bench_official.py`` checks it against stored outputs of that code.
Randomness (partners, mixing ratio) is always an argument.

Paper: Kim, Choo, Song, "Puzzle Mix: Exploiting Saliency and Local Statistics for Optimal Mixup", ICML 2020.
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


class PuzzleTerms(NamedTuple):
    """The binary energy of every pair: cost of showing each image, and what its edges keep."""

    own: Tensor  # [N, B, B] cost paid with the share of the own image
    partner: Tensor  # [N, B, B] cost paid with the share of the partner
    edge_v: Tensor  # [N, B-1, B], before the constant smoothness is added
    edge_h: Tensor  # [N, B, B-1]


def puzzlemix_saliency(saliency: Tensor, grid: int) -> Tensor:
    """Pool saliency [N, Y, X] to blocks [N, B, B] that sum to 1 per image."""
    pooled = F.avg_pool2d(saliency.unsqueeze(1), saliency.shape[-1] // grid).squeeze(1)
    return pooled / pooled.sum((1, 2), keepdim=True)


def puzzlemix_terms(
    images: Tensor,
    block_saliency: Tensor,
    index: Tensor,
    *,
    mean: Tensor,
    std: Tensor,
    beta: float = 1.2,
    gamma: float = 0.5,
    neigh_size: int = 4,
) -> PuzzleTerms:
    """Build the energy of every image [N, 3, Y, X] and its partner from colours along the block borders."""
    grid = block_saliency.shape[-1]
    cell = min(neigh_size, images.shape[-1] // grid)
    step = images.shape[-1] // grid // cell  # pooled cells per block side
    cells = F.avg_pool2d(images * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1), cell)
    sides = {1: cells, 0: cells[index]}
    scale = beta / grid / 16 * gamma

    def across(first: int, second: int) -> tuple[Tensor, Tensor]:
        a, b = sides[first], sides[second]
        v = (a[:, :, step - 1 : -1 : step] - b[:, :, step::step]).abs().mean(1)  # [N, B-1, B*step]
        h = (a[..., step - 1 : -1 : step] - b[..., step::step]).abs().mean(1)  # [N, B*step, B-1]
        v = v.view(len(a), grid - 1, grid, step).mean(-1)
        h = h.view(len(a), grid, step, grid - 1).mean(2)
        return scale * v, scale * h

    cost11, cost10, cost01, cost00 = across(1, 1), across(1, 0), across(0, 1), across(0, 0)
    own, partner = block_saliency[index].clone(), block_saliency.clone()
    kept = []
    for axis in (0, 1):
        h11, h10, h01, h00 = cost11[axis], cost10[axis], cost01[axis], cost00[axis]
        near = (slice(None), slice(0, -1)) if axis == 0 else (..., slice(0, -1))
        far = (slice(None), slice(1, None)) if axis == 0 else (..., slice(1, None))
        own[near] += (h10 + h11) / 2
        partner[near] += (h01 + h00) / 2
        own[far] += (h01 + h11) / 2
        partner[far] += (h10 + h00) / 2
        kept.append((h10 + h01 - h11 - h00) / 2)
    return PuzzleTerms(own, partner, kept[0], kept[1])


def label_prior(lam: float, n_labels: int) -> np.ndarray:
    """Return minus the log-probability of each label under Binomial(n_labels - 1, 1 - lam): [n_labels]."""
    top = n_labels - 1
    odds = [comb(top, k) * lam ** (top - k) * (1 - lam) ** k for k in range(n_labels)]
    return -np.log(np.array(odds) + 1e-8)


def puzzlemix_cut(
    own: np.ndarray,
    partner: np.ndarray,
    edge_v: np.ndarray,
    edge_h: np.ndarray,
    lam: float,
    *,
    smoothness: float,
    eta: float,
    n_labels: int,
) -> np.ndarray:
    """Cut one pair by swap in the published integer scaling: labels [B, B], label k = k parts partner."""
    import gco

    grid = own.shape[0]
    scale = 1000 * grid**2
    share = np.arange(n_labels) / (n_labels - 1)
    prior = eta * label_prior(lam, n_labels) / grid**2
    unary = (scale * (own[..., None] * (1 - share) + partner[..., None] * share + prior)).astype(np.int32)
    table = ((share[:, None] - share[None]) ** 2).astype(np.float32)
    edges = [(scale * (edge + smoothness)).astype(np.float32).astype(np.int32) for edge in (edge_v, edge_h)]
    return gco.cut_grid_graph(unary, table, *edges, algorithm="swap").reshape(grid, grid)


def puzzlemix_masks(
    images: Tensor,
    saliency: Tensor,
    index: Tensor,
    lam: float,
    *,
    grid: int,
    mean: Tensor,
    std: Tensor,
    n_labels: int = 3,
    beta: float = 1.2,
    gamma: float = 0.5,
    eta: float = 0.2,
    neigh_size: int = 4,
) -> Tensor:
    """Share of the own image in every block: images [N, 3, Y, X], saliency [N, Y, X] -> [N, B, B]."""
    pooled = puzzlemix_saliency(saliency, grid)
    colours = {"mean": mean, "std": std, "neigh_size": neigh_size}
    terms = puzzlemix_terms(images, pooled, index, beta=beta, gamma=gamma, **colours)
    arrays = [term.numpy() for term in terms]
    smoothness = beta / grid / 16
    labels = np.stack(
        [
            puzzlemix_cut(*(a[i] for a in arrays), lam, smoothness=smoothness, eta=eta, n_labels=n_labels)
            for i in range(len(images))
        ]
    )
    return 1 - torch.from_numpy(labels).to(images.dtype) / (n_labels - 1)


def transport_contest(saliency: Tensor, mask: Tensor, *, eps: float = 0.8) -> Tensor:
    """Run the row and column contest: saliency, mask [N, T, T] -> 0/1 plan [N, source T*T, target T*T]."""
    grid = mask.shape[-1]
    row, column = torch.arange(grid * grid) // grid, torch.arange(grid * grid) % grid
    distance = ((row[:, None] - row) ** 2 + (column[:, None] - column) ** 2).to(mask.dtype) / (grid - 1) ** 2
    visible = (mask > 0).to(mask.dtype).flatten(1)
    cost = eps * distance - saliency.flatten(1).unsqueeze(2) * visible.unsqueeze(1)  # [N, source, target]
    wins = torch.zeros_like(cost)
    for _ in range(grid):
        bids = torch.zeros_like(cost).scatter_(2, cost.min(2, keepdim=True).indices, 1.0)
        best = (cost * bids).min(1, keepdim=True).indices  # [N, 1, target]
        wins = torch.zeros_like(cost).scatter_(1, best, 1.0) * bids
        cost = cost + (bids - wins)
    return wins


def transport_images(images: Tensor, plan: Tensor) -> Tensor:
    """Move patches of images [N, C, Y, X] by plan [N, T*T, T*T]; a target without a source becomes 0.

    Like the published code, this multiplies the plan with one vector of T*T values for every channel and
    every pixel position inside a patch.
    """
    n, channels, height, _ = images.shape
    grid = round(plan.shape[-1] ** 0.5)
    size = height // grid
    tiles = images.view(n, channels, grid, size, grid, size).permute(0, 1, 3, 5, 2, 4)
    vectors = tiles.reshape(n, channels, size, size, grid * grid, 1)
    moved = (plan.transpose(1, 2)[:, None, None, None] @ vectors).view(n, channels, size, size, grid, grid)
    return moved.permute(0, 1, 4, 2, 5, 3).reshape(images.shape)


def puzzlemix_mix(images: Tensor, partners: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Blend [N, C, Y, X] with [N, C, Y, X] under mask [N, B, B]: mixed images and own-image ratio [N]."""
    size = images.shape[-1] // mask.shape[-1]
    share = mask.repeat_interleave(size, 1).repeat_interleave(size, 2).unsqueeze(1)
    return share * images + (1 - share) * partners, mask.flatten(1).mean(1)
