"""Graphs that are no 4-connected grid, for :mod:`comix.compat.gco`: checks, and the native solver."""

from __future__ import annotations

import numpy as np

from comix import _checks as checks
from comix import _native as native
from comix.compat._replay import Numbers


def solve_graph(
    unary: Numbers,  # [N, L]
    table: Numbers,  # [L, L]
    edges: Numbers,  # int64 [E, 2], in range
    weights: Numbers,  # [E]
    algorithm: str,
    n_iter: int,
    start: Numbers,  # [N], in range
) -> Numbers:
    """Labels int32 ``[N]`` by expansion or swap from ``start``; n_iter -1: until no move helps."""
    numbers = [np.ascontiguousarray(a, np.float64) for a in (unary, table, weights)]
    names = ("unary_cost", "pairwise_cost", "edge_weights")
    for array, name in zip(numbers, names, strict=True):
        if not np.isfinite(array).all():
            checks.fail(name, "finite values", "NaN or infinite ones")
    labels = np.array(start, np.int64)
    if n_iter != 0:
        native.core.graph_cut(
            numbers[0],
            numbers[1],
            np.ascontiguousarray(edges, np.int64),
            numbers[2],
            algorithm,
            max(n_iter, 0),
            labels,
        )
    found: Numbers = labels.astype(np.int32)
    return found


def grid_edges(height: int, width: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Pairs of sites of an H x W grid: below, to the right, down right, and from the right one down left."""
    site = np.arange(height * width).reshape(height, width)

    def pairs(first: Numbers, second: Numbers) -> Numbers:
        return np.stack((first.ravel(), second.ravel()), 1)

    return (
        pairs(site[:-1], site[1:]),
        pairs(site[:, :-1], site[:, 1:]),
        pairs(site[:-1, :-1], site[1:, 1:]),
        pairs(site[:-1, 1:], site[1:, :-1]),
    )
