"""The yardstick for Co-Mixup: labelling and mixing the way the published code runs them today.

Torch tensor operations inside a Python loop and one ``gco.cut_grid_graph`` alpha-beta swap per cut. Written
from the paper and from the observed behaviour of the published code, at its honest speed: nothing is slowed
down, nothing is optimised away. ``tests/test_bench_official.py`` checks it label for label against stored
outputs of that code. Randomness (prior, start labels) is always an argument.

Paper: Kim, Choo, Jeong, Song, "Co-Mixup: Saliency Guided Joint Mixup with Supermodular Diversity", ICLR 2021.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SOFT_BONUS = 5e-4  # what the published Co-Mixup code takes off the cost of a half-and-half label


def comixup_masks(
    cost: Tensor,
    compatibility: Tensor,
    init: Tensor,
    *,
    beta: float = 0.32,
    gamma: float = 1.0,
    tau: float = 0.83,
    sweeps: int = 4,
    threshold: str = "hard",
    resolve_duplicates: bool = True,
) -> Tensor:
    """Label the outputs of one partition, output after output, sweep after sweep.

    Args:
        cost: [n, H, W] float32, negative normalised saliency with the prior already added.
        compatibility: [n, n] float32.
        init: [m, H, W] int64 start labels.
        beta: smoothness, summed over the whole grid.
        gamma: diversity, summed over the whole grid.
        tau: how often an input may be used by the other outputs, in whole images.
        sweeps: passes over all outputs.
        threshold: "hard" (with the published operator precedence) or "soft".
        resolve_duplicates: discourage equal outputs before the last sweep.

    Returns:
        [m, H, W, n] float32 shares of every input in every block: 0, 1/2 or 1.
    """
    n, height, width = cost.shape
    blocks = height * width
    beta, gamma, tau = beta / blocks, gamma / blocks, tau * blocks
    unary = cost.permute(1, 2, 0).contiguous()  # [H, W, n]; gco-wrapper misreads strided arrays
    edges = (np.full((height - 1, width), beta, np.float32), np.full((height, width - 1), beta, np.float32))
    masks = F.one_hot(init, n).to(cost.dtype)  # [m, H, W, n]
    total = masks.sum((0, 1, 2))  # [n] how often each input is used by all outputs
    bonus: Tensor | None = None  # [m, n]
    last = _plain_objective(masks, unary, beta, gamma)

    for sweep in range(sweeps):
        for o in range(len(masks)):
            total = total - masks[o].sum((0, 1))
            load = compatibility @ total
            over = (load > tau).to(cost.dtype)
            if threshold == "hard":
                penalty = 2 * gamma * ((over * compatibility) @ total)
            else:
                penalty = 2 * gamma * (over * (load - tau))
            if bonus is not None:
                penalty = penalty + gamma * bonus[o]
            present = masks[o].sum((0, 1)) if sweep else None
            masks[o] = _cut_one_output(unary + penalty, present, edges)
            total = total + masks[o].sum((0, 1))
        if resolve_duplicates and sweep == sweeps - 2:
            bonus = _duplicate_penalty(masks)
        objective = _plain_objective(masks, unary, beta, gamma)
        if torch.abs((last - objective) / objective) < 1e-6:
            break
        last = objective
    return masks


def _cut_one_output(unary: Tensor, present: Tensor | None, edges: tuple[np.ndarray, np.ndarray]) -> Tensor:
    """Cut one output by swap: unary [H, W, n], present [n] uses of each input -> mask [H, W, n]."""
    import gco

    n = unary.shape[-1]
    shares = torch.eye(n, dtype=unary.dtype)  # [labels, n] what each label puts into its block
    distance = 1 - shares  # [labels, labels] Potts
    if present is not None and int((present > 0).sum()) >= 2:
        members = _soft_members(present)
        pairs = torch.combinations(members, 2)  # [soft, 2]
        soft = torch.zeros(len(pairs), n, dtype=unary.dtype).scatter_(1, pairs, 0.5)
        unary = torch.cat([unary, unary @ soft.T - SOFT_BONUS], dim=-1)
        shares = torch.cat([shares, soft])
        distance = 1 - torch.eye(len(shares), dtype=unary.dtype)
        distance[:n, n:] = torch.where(soft.T > 0, 0.25, 1.0)
        distance[n:, :n] = distance[:n, n:].T
    labels = gco.cut_grid_graph(unary.numpy(), distance.numpy(), *edges, algorithm="swap")
    return shares[torch.from_numpy(labels).long()].view(*unary.shape[:2], n)


def _soft_members(present: Tensor) -> Tensor:
    """Choose the two or three most used inputs; ties are left to ``torch.topk``, as in the published code."""
    return torch.topk(present, min(int((present > 0).sum()), 3)).indices.sort().values


def _plain_objective(masks: Tensor, unary: Tensor, beta: float, gamma: float) -> Tensor:
    """Evaluate the objective without threshold and compatibility: the stopping rule watches this one."""
    down = (masks[:, 1:] - masks[:, :-1]).square().sum()
    right = (masks[:, :, 1:] - masks[:, :, :-1]).square().sum()
    counts = masks.sum((1, 2))  # [m, n]
    overlap = counts.sum(0).square().sum() - counts.square().sum()
    return (unary * masks).sum() + beta / 2 * (down + right) + gamma * overlap


def _duplicate_penalty(masks: Tensor) -> Tensor:
    """Penalise one input of each of two outputs that use the same inputs: -> [m, n]."""
    present = masks.sum((1, 2)) > 0  # [m, n]
    same = (present[:, None] == present[None]).all(-1) & (present.sum(-1) >= 2)[:, None]
    bonus = torch.zeros(present.shape, dtype=masks.dtype)
    for o, twin in same.triu(1).nonzero().tolist():
        first, second = present[o].nonzero().flatten()[:2].tolist()
        bonus[o, first] = 1
        bonus[twin, second] = 1
    return bonus


def comixup_mix(masks: Tensor, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mix one partition densely: masks [m, H, W, n], images [n, C, Y, X], targets [n, K]."""
    size = images.shape[-1] // masks.shape[1]
    shares = masks.permute(0, 3, 1, 2).repeat_interleave(size, 2).repeat_interleave(size, 3)  # [m, n, Y, X]
    mixed = (shares.unsqueeze(2) * images).sum(1)
    soft = masks.sum((1, 2)) @ targets
    return mixed, soft / soft.sum(1, keepdim=True)
