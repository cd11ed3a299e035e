"""Labelling graphs for :mod:`comix.compat.gco`: the native solver, and gco-wrapper's integers in replay."""

from __future__ import annotations

from typing import Any

import numpy as np

from comix import _checks as checks
from comix import _native as native
from comix.compat._gco_costs import Costs
from comix.compat._replay import DISTANCE, EDGE, INT32, LIMIT, UNARY, Numbers, official_integers


def solve_graph(
    unary: Numbers,  # [N, L]
    table: Numbers,  # [L, L], or one per edge [E, L, L]
    edges: Numbers,  # int64 [E, 2], in range
    weights: Numbers,  # [E]
    algorithm: str,
    n_iter: int,
    start: Numbers,  # [N], in range
) -> Numbers:
    """Labels int32 ``[N]`` by expansion or swap from ``start``; n_iter -1: until no move helps."""
    costs, distances, strengths = (np.ascontiguousarray(a, np.float64) for a in (unary, table, weights))
    named = {"unary_cost": costs, "pairwise_cost": distances, "edge_weights": strengths}
    for name, array in named.items():
        if not np.isfinite(array).all():
            checks.fail(name, "finite values", "NaN or infinite ones")
    labels: Numbers = _cut(costs, distances, strengths, edges, algorithm, n_iter, start)[0].astype(np.int32)
    return labels


def _cut(
    unary: Numbers,
    table: Numbers,
    weights: Numbers,
    edges: Numbers,
    algorithm: str,
    n_iter: int,
    start: Numbers,
) -> tuple[Numbers, bool]:
    """Labels int64 ``[N]``, and whether all moves were submodular."""
    labels = np.array(start, np.int64)
    if n_iter == 0:
        return labels, True
    pairs = np.ascontiguousarray(edges, np.int64)
    proper = native.core.graph_cut(unary, table, pairs, weights, algorithm, max(n_iter, 0), labels)
    return labels, proper


def official_labels(
    unary: Numbers,  # [N, L]
    table: Numbers,  # [L, L]
    edges: Numbers,  # int64 [E, 2]
    weights: list[tuple[str, Numbers]],  # by name, in the order of the edges
    algorithm: str,
    n_iter: int,
) -> Numbers:
    """Labels int32 ``[N]`` of gco-wrapper's grid functions: its integers, moves from label 0, its ties."""
    arrays = [unary, table, *[w for _, w in weights[:2]]]  # diagonals do not count
    floating = any(np.issubdtype(a.dtype, np.floating) for a in arrays)
    factors = (UNARY, EDGE, DISTANCE) if floating else (1, 1, 1)
    if unary.shape[1] < 2:
        checks.fail("unary_cost", "at least 2 labels in replay (gco would abort)", str(unary.shape[1]))
    costs = _official_unary(unary, factors[0], algorithm)
    distances = official_integers(table, factors[2], "pairwise_cost")
    whole = [official_integers(w, factors[1], name).ravel() for name, w in weights]
    start = np.zeros(len(unary), np.int64)
    joined = np.concatenate(whole)
    labels, proper = _cut(costs, distances, joined, edges, algorithm, n_iter, start)
    _check_official(proper, joined, distances, algorithm == "expansion")
    flat: Numbers = labels.astype(np.int32)
    return flat


def _official_unary(unary: Numbers, factor: int, algorithm: str) -> Numbers:
    if algorithm == "expansion":
        return official_integers(unary, factor, "unary_cost")
    return official_integers(unary, factor, "unary_cost", INT32, "its int32 would overflow")


def _check_official(proper: bool, weights: Numbers, distances: Numbers, expansion: bool) -> None:
    """ValueError where gco-wrapper aborts, wraps around, or answers as no rule predicts."""
    if not proper or (expansion and _idle_edges_abort(weights, distances)):
        checks.fail(
            "pairwise_cost",
            "distances and weights whose moves are submodular in replay (gco-wrapper aborts, or misses the "
            "best move)",
            "others",
        )
    largest = float(np.abs(weights).max(initial=0)) * float(np.abs(distances).max(initial=0))
    if largest > INT32:
        checks.fail("pairwise_cost", f"at most {INT32} times a weight in replay", f"{largest:g}")


def _idle_edges_abort(weights: Numbers, distances: Numbers) -> bool:
    """Whether edges of weight 0 have distances that are no metric, at which gco-wrapper may abort."""
    idle = weights == 0
    if not idle.any():
        return False
    tables = distances[idle] if distances.ndim == 3 else distances
    ways = (tables[..., :, k, None] + tables[..., None, k, :] for k in range(tables.shape[-1]))
    return any(bool((way < tables).any()) for way in ways)


def best_labels(costs: Costs, algorithm: str, niters: Any, start: Numbers) -> Numbers:
    """Labels int64 ``[N]`` of a GCO after rounds of moves from ``start``."""
    sweeps = checks.check_count(niters, "niters", -1)
    (edges, weights), distances = costs.edges(), costs.distances()
    if costs.truncated and algorithm == "expansion":
        _check_terms(costs.unary)
    labels, proper = _cut(costs.unary, distances, weights, edges, algorithm, sweeps, start)
    if costs.truncated:
        _check_official(proper, weights, distances, algorithm == "expansion")
    return labels


def move(costs: Costs, first: int, second: int | None, start: Numbers) -> Numbers:
    """Labels int64 ``[N]`` of a GCO after an expansion of ``first``, or a swap of two labels."""
    (edges, weights), distances = costs.edges(), costs.distances()
    labels: Numbers = start.copy()
    if costs.truncated and second is None:
        _check_terms(costs.unary)
    proper = native.core.graph_move(costs.unary, distances, edges, weights, first, second, labels)
    if costs.truncated:
        _check_official(proper, weights, distances, second is None)
    return labels


def _check_terms(unary: Numbers) -> None:
    largest = float(np.abs(unary).max(initial=0))
    if largest > LIMIT:
        checks.fail("unary", f"at most {LIMIT} in replay, after scaling (gco would abort)", f"{largest:g}")


def energies(costs: Costs, labels: Numbers) -> tuple[Any, Any, Any]:
    """Energy of labels, its data part and its smooth part."""
    (edges, weights), distances = costs.edges(), costs.distances()
    first, second = labels[edges[:, 0]], labels[edges[:, 1]]
    where = (first, second) if distances.ndim == 2 else (np.arange(len(edges)), first, second)
    data = costs.unary[np.arange(len(labels)), labels].sum()
    smooth = (weights * distances[where]).sum()
    if costs.as_float or not costs.whole():
        return tuple(float(e) / costs.unit for e in (data + smooth, data, smooth))  # type: ignore[return-value]
    return np.int64(data + smooth), np.int64(data), np.int64(smooth)


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
