"""The energy of a labelling of a 4-connected grid, and its exact minimum by exhaustion.

The energy of labels l on an H x W grid, L labels each, is

    E(l) = sum_p unary[p, l_p] + sum_(r,c) weight_v[r, c] * pairwise[l_(r,c), l_(r+1,c)]
                               + sum_(r,c) weight_h[r, c] * pairwise[l_(r,c), l_(r,c+1)]

Guarantee: `brute_force` and `frontier_cut` find the optimum of any such energy. Cost: L^(HW) evaluations, and
H W L^(min(H, W) + 1) operations. The graph-cut moves for larger grids are in gridcut_moves.py.

The energy is that of Boykov, Veksler, Zabih, "Fast approximate energy minimization via graph cuts",
PAMI 2001, section 1, on a 4-connected grid; the dynamic programme is the textbook one over row profiles.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Labels = NDArray[np.int64]


def grid_energy(
    labels: ArrayLike,
    unary: ArrayLike,
    pairwise: ArrayLike,
    weight_v: ArrayLike = 1.0,
    weight_h: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Energy of labellings, in float64.

    Args:
        labels: [..., H, W] integers in 0..L-1.
        unary: [..., H, W, L] cost of each label at each site.
        pairwise: [L, L] cost of (label of the upper or left site, label of the lower or right site).
        weight_v: [..., H-1, W] or scalar, weight of the edge (r, c)-(r+1, c).
        weight_h: [..., H, W-1] or scalar, weight of the edge (r, c)-(r, c+1).

    Returns:
        [...] float64.
    """
    labels = np.asarray(labels).astype(np.int64)  # [..., H, W]
    unary = np.asarray(unary, np.float64)  # [..., H, W, L]
    pairwise = np.asarray(pairwise, np.float64)  # [L, L]
    energy = np.take_along_axis(unary, labels[..., None], axis=-1).sum((-3, -2, -1))
    vertical = pairwise[labels[..., :-1, :], labels[..., 1:, :]]  # [..., H-1, W]
    horizontal = pairwise[labels[..., :, :-1], labels[..., :, 1:]]  # [..., H, W-1]
    energy = energy + (np.asarray(weight_v, np.float64) * vertical).sum((-2, -1))
    return np.asarray(energy + (np.asarray(weight_h, np.float64) * horizontal).sum((-2, -1)))


def brute_force(
    unary: ArrayLike, pairwise: ArrayLike, weight_v: ArrayLike = 1.0, weight_h: ArrayLike = 1.0
) -> tuple[Labels, float]:
    """Try every labelling.

    Args:
        unary: [H, W, L].
        pairwise: [L, L].
        weight_v: [H-1, W] or scalar.
        weight_h: [H, W-1] or scalar.

    Returns:
        The first optimal labelling [H, W] in lexicographic order, and its energy.

    Raises:
        ValueError: there are more than two million labellings.
    """
    unary, pairwise, weight_v, weight_h = as_arrays(unary, pairwise, weight_v, weight_h)
    height, width, n_labels = unary.shape
    if n_labels ** (height * width) > 2_000_000:
        raise ValueError(f"brute_force would try {n_labels}^{height * width} labellings; use frontier_cut")
    best, best_energy = np.zeros((height, width), np.int64), np.inf
    every = itertools.product(range(n_labels), repeat=height * width)
    while chunk := list(itertools.islice(every, 65536)):
        labels = np.array(chunk, np.int64).reshape(-1, height, width)  # [chunk, H, W]
        many = np.broadcast_to(unary, (len(chunk), *unary.shape))
        energy = grid_energy(labels, many, pairwise, weight_v, weight_h)  # [chunk]
        if energy.min() < best_energy:
            best, best_energy = labels[energy.argmin()], float(energy.min())
    return best, best_energy


def frontier_cut(
    unary: ArrayLike, pairwise: ArrayLike, weight_v: ArrayLike = 1.0, weight_h: ArrayLike = 1.0
) -> tuple[Labels, float]:
    """Exact dynamic programme over the frontier of a row-major scan.

    The grid is turned so that its rows are the short side W. The state after a site is the label of the last
    site seen in each of the W columns; a new site forgets the one above it, whose best label is kept as a
    back-pointer.

    Args:
        unary: [H, W, L].
        pairwise: [L, L], any values.
        weight_v: [H-1, W] or scalar, any sign.
        weight_h: [H, W-1] or scalar, any sign.

    Returns:
        An optimal labelling [H, W] and its energy.

    Raises:
        ValueError: the frontier has more than two million states.
    """
    unary, pairwise, weight_v, weight_h = as_arrays(unary, pairwise, weight_v, weight_h)
    if unary.shape[1] > unary.shape[0]:
        flipped, energy = frontier_cut(unary.transpose(1, 0, 2), pairwise, weight_h.T, weight_v.T)
        return flipped.T.copy(), energy
    height, width, n_labels = unary.shape
    if n_labels**width > 2_000_000:
        raise ValueError(f"the frontier has {n_labels}^{width} states; frontier_cut is for narrow grids")

    value = np.zeros((1,) * width, unary.dtype)  # axis c: label of the last site in column c (1: none yet)
    above: list[NDArray[np.uint8]] = []  # per site, for each state: best label of the site above
    for r, c in np.ndindex(height, width):
        down = weight_v[r - 1, c] * pairwise if r > 0 else np.zeros((1, n_labels), unary.dtype)  # [old, new]
        choices = np.moveaxis(value, c, -1)[..., None] + down  # [other columns, old, new]
        above.append(np.moveaxis(choices.argmin(-2), -1, c).astype(np.uint8))
        value = np.moveaxis(choices.min(-2), -1, c)
        shape = [1] * width
        shape[c] = n_labels
        value = value + unary[r, c].reshape(shape)
        if c > 0:
            shape[c - 1] = n_labels
            value = value + (weight_h[r, c - 1] * pairwise).reshape(shape)

    labels = np.zeros((height, width), np.int64)
    state = list(np.unravel_index(int(value.argmin()), value.shape))
    for (r, c), choice in reversed(list(zip(np.ndindex(height, width), above, strict=True))):
        labels[r, c] = state[c]
        # In the first row the columns to the right hold no label yet: their axes have length 1.
        state[c] = choice[tuple(s if n > 1 else 0 for s, n in zip(state, choice.shape, strict=True))]
    return labels, float(value.min())


def gco_integers(
    unary: ArrayLike, pairwise: ArrayLike, weight_v: ArrayLike, weight_h: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The integers that the official code's solver wrapper makes of its arguments.

    If any argument is floating, unary is multiplied by 1e5, weights by 1e3, pairwise by 100, each in its own
    dtype, then cut to int32 towards zero; an int32 unary times 1e5 wraps around. Integer arguments are taken
    as they are.

    Args:
        unary: [H, W, L].
        pairwise: [L, L].
        weight_v: [H-1, W].
        weight_h: [H, W-1].

    Returns:
        unary, pairwise, weight_v, weight_h as int64 with values in the range of int32.
    """
    arrays = [np.asarray(argument) for argument in (unary, pairwise, weight_v, weight_h)]
    if any(array.dtype.kind == "f" for array in arrays):
        scales = (100_000, 100, 1_000, 1_000)
        with np.errstate(over="ignore"):
            arrays = [array * array.dtype.type(scale) for array, scale in zip(arrays, scales, strict=True)]
    with np.errstate(invalid="ignore"):
        unary, pairwise, weight_v, weight_h = (a.astype(np.int32).astype(np.int64) for a in arrays)
    return unary, pairwise, weight_v, weight_h


def as_arrays(
    unary: ArrayLike, pairwise: ArrayLike, weight_v: ArrayLike, weight_h: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All four as arrays of one dtype, int64 if all are integers and else float64, weights one per edge."""
    arrays = [np.asarray(argument) for argument in (unary, pairwise, weight_v, weight_h)]
    dtype = np.int64 if all(array.dtype.kind in "iub" for array in arrays) else np.float64
    unary, pairwise, weight_v, weight_h = (array.astype(dtype) for array in arrays)
    height, width, _ = unary.shape
    weight_v = np.broadcast_to(weight_v, (height - 1, width))
    weight_h = np.broadcast_to(weight_h, (height, width - 1))
    return unary, pairwise, weight_v, weight_h
