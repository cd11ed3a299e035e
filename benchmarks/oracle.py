"""Independent float64 scores, so that no contender marks its own work. NumPy only; nothing is rounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def grid_energy(
    labels: ArrayLike, unary: ArrayLike, pairwise: ArrayLike, weight_v: ArrayLike, weight_h: ArrayLike
) -> np.ndarray:
    """Score labels [K, H, W] under unary [K, H, W, L] and edge weight x pairwise [L, L]: [K]."""
    chosen = np.asarray(labels, np.int64)
    table = np.asarray(pairwise, np.float64)
    own = np.take_along_axis(np.asarray(unary, np.float64), chosen[..., None], -1).sum((1, 2, 3))
    down = np.asarray(weight_v, np.float64) * table[chosen[:, :-1], chosen[:, 1:]]
    right = np.asarray(weight_h, np.float64) * table[chosen[:, :, :-1], chosen[:, :, 1:]]
    return own + down.sum((1, 2)) + right.sum((1, 2))


def comixup_objective(
    masks: ArrayLike,
    cost: ArrayLike,
    compatibility: ArrayLike,
    *,
    beta: float = 0.32,
    gamma: float = 1.0,
    tau: float = 0.83,
) -> float:
    """Score one partition by the thresholded Co-Mixup objective: masks [m, H, W, n], cost [n, H, W]."""
    z, c = np.asarray(masks, np.float64), np.asarray(cost, np.float64)
    blocks = c.shape[1] * c.shape[2]
    shown = np.einsum("iyx,oyxi->", c, z)
    seams = ((z[:, 1:] - z[:, :-1]) ** 2).sum() + ((z[:, :, 1:] - z[:, :, :-1]) ** 2).sum()
    counts = z.sum((1, 2))  # [m, n]
    load = (counts.sum(0) - counts) @ np.asarray(
        compatibility, np.float64
    ).T  # [m, n] use by the other outputs
    crowded = (counts * np.where(load > tau * blocks, load, 0.0)).sum()
    return float(shown + beta / blocks / 2 * seams + gamma / blocks * crowded)


def masks_of_labels(labels: ArrayLike, n: int) -> np.ndarray:
    """Turn two inputs per block into shares: labels [m, H, W, 2] -> [m, H, W, n]."""
    return np.eye(n)[np.asarray(labels, np.int64)].mean(-2)


def transport_matrix(saliency: ArrayLike, mask: ArrayLike, eps: float) -> np.ndarray:
    """Cost of moving source block i to target j, for saliency and mask [N, T, T]: [N, T*T, T*T]."""
    s, m = np.asarray(saliency, np.float64), np.asarray(mask)
    side = m.shape[-1]
    row, column = np.divmod(np.arange(side * side), side)
    distance = ((row[:, None] - row) ** 2 + (column[:, None] - column) ** 2) / (side - 1) ** 2
    return eps * distance - s.reshape(len(s), -1, 1) * (m.reshape(len(m), 1, -1) > 0)


def transport_cost(source: ArrayLike, matrix: np.ndarray) -> np.ndarray:
    """Score plans that name the source of every target: source [N, T*T] -> [N]."""
    chosen = np.asarray(source, np.int64).reshape(len(matrix), -1)
    return np.take_along_axis(matrix, chosen[:, None], 1).sum((1, 2))
