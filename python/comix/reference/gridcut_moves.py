"""Graph-cut moves on a 4-connected grid: alpha-beta swap and alpha-expansion.

Guarantee: swap ends where no exchange of two labels lowers the energy, expansion where no spread of one label
does (for Potts weights at most twice the optimum). Cost: a sweep of swap is L(L-1)/2 minimum cuts of the
sites with either label, a sweep of expansion L minimum cuts of all sites. Exact on integers, and on floats as
long as all sums are exactly representable.

Source: Boykov, Veksler, Zabih, "Fast approximate energy minimization via graph cuts", PAMI 2001, on optimal
swap moves and optimal expansion moves. The sweep order of `swap` and its choice among minimum cuts are those
observed of the solver that the official PuzzleMix and Co-Mixup code calls, so its labels can be repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .gridcut import Labels, as_arrays
from .mincut import Number, Pair, binary_cut


def swap(
    unary: ArrayLike,
    pairwise: ArrayLike,
    weight_v: ArrayLike = 1.0,
    weight_h: ArrayLike = 1.0,
    init: ArrayLike | None = None,
    max_sweeps: int | None = None,
) -> Labels:
    """Alpha-beta swap: exchange two labels optimally, for all pairs, until a whole sweep gains nothing.

    A sweep takes a = 0..L-1 and for each b = L-1 down to a+1. A site takes the larger label b only if it does
    so in every minimum cut, so the result is unique; a move that only ties is kept too, and so are those of
    the last sweep.

    Args:
        unary: [H, W, L].
        pairwise: [L, L], such that swap moves are submodular (e.g. zero diagonal, no negative entry).
        weight_v: [H-1, W] or scalar, not negative.
        weight_h: [H, W-1] or scalar, not negative.
        init: [H, W] start labels; None starts from label 0 everywhere.
        max_sweeps: stop after so many sweeps; None goes on until one does not lower the energy.

    Returns:
        [H, W] labels.

    Raises:
        ValueError: a move is not submodular.
    """
    problem = _Problem(unary, pairwise, weight_v, weight_h)
    labels = problem.flat(init) if init is not None else [0] * len(problem.unary)
    energy = problem.energy(labels)
    sweeps = 0
    while max_sweeps is None or sweeps < max_sweeps:
        sweeps += 1
        for a in range(problem.n_labels):
            for b in range(problem.n_labels - 1, a, -1):
                moving = [p for p, label in enumerate(labels) if label in (a, b)]
                takes_b = problem.best_move(labels, moving, zero=[a] * len(moving), one=[b] * len(moving))
                for p, takes in zip(moving, takes_b, strict=True):
                    labels[p] = b if takes else a
        before, energy = energy, problem.energy(labels)
        if energy >= before:
            break
    return np.array(labels, np.int64).reshape(problem.shape)


def expansion(
    unary: ArrayLike,
    pairwise: ArrayLike,
    weight_v: ArrayLike = 1.0,
    weight_h: ArrayLike = 1.0,
    init: ArrayLike | None = None,
    max_sweeps: int | None = None,
) -> Labels:
    """Alpha-expansion: let one label spread optimally, for all labels, until a whole sweep gains nothing.

    A sweep takes a = 0..L-1. Every site keeps its label or takes a; it keeps it only if it does so in every
    minimum cut. A move is installed only if it lowers the energy.

    Args:
        unary: [H, W, L].
        pairwise: [L, L], such that expansion moves are submodular (e.g. a metric).
        weight_v: [H-1, W] or scalar, not negative.
        weight_h: [H, W-1] or scalar, not negative.
        init: [H, W] start labels; None starts from the cheapest label of each site, the lowest on ties.
        max_sweeps: stop after so many sweeps; None goes on until one does not lower the energy.

    Returns:
        [H, W] labels.

    Raises:
        ValueError: a move is not submodular.
    """
    problem = _Problem(unary, pairwise, weight_v, weight_h)
    labels = problem.flat(np.argmin(np.asarray(unary), axis=-1) if init is None else init)
    energy = problem.energy(labels)
    sites = list(range(len(labels)))
    sweeps, improved = 0, True
    while improved and (max_sweeps is None or sweeps < max_sweeps):
        sweeps += 1
        improved = False
        for a in range(problem.n_labels):
            keeps = problem.best_move(labels, sites, zero=[a] * len(sites), one=labels)
            moved = [label if keep else a for label, keep in zip(labels, keeps, strict=True)]
            if problem.energy(moved) < energy:
                labels, energy, improved = moved, problem.energy(moved), True
    return np.array(labels, np.int64).reshape(problem.shape)


class _Problem:
    """A grid energy as lists of Python numbers, sites in row-major order."""

    def __init__(
        self, unary: ArrayLike, pairwise: ArrayLike, weight_v: ArrayLike, weight_h: ArrayLike
    ) -> None:
        unary, pairwise, weight_v, weight_h = as_arrays(unary, pairwise, weight_v, weight_h)
        height, width, self.n_labels = unary.shape
        self.shape = (height, width)
        self.unary: list[list[Number]] = unary.reshape(-1, self.n_labels).tolist()  # [N][L]
        self.pairwise: list[list[Number]] = pairwise.tolist()  # [L][L]
        self.edges: list[tuple[int, int, Number]] = []  # (upper or left site, lower or right site, weight)
        for r, c in np.ndindex(height - 1, width):
            self.edges.append((r * width + c, (r + 1) * width + c, weight_v[r, c].item()))
        for r, c in np.ndindex(height, width - 1):
            self.edges.append((r * width + c, r * width + c + 1, weight_h[r, c].item()))
        self.edges_of: list[list[tuple[int, int, Number]]] = [[] for _ in self.unary]
        for p, q, weight in self.edges:
            self.edges_of[p].append((p, q, weight))
            self.edges_of[q].append((p, q, weight))

    def flat(self, labels: ArrayLike) -> list[int]:
        """[H, W] labels as a list in site order."""
        return [int(label) for label in np.asarray(labels).reshape(-1)]

    def energy(self, labels: list[int]) -> Number:
        """Energy in the type of the costs."""
        smooth = sum(weight * self.pairwise[labels[p]][labels[q]] for p, q, weight in self.edges)
        return sum(costs[label] for costs, label in zip(self.unary, labels, strict=True)) + smooth

    def best_move(self, labels: list[int], moving: list[int], zero: list[int], one: list[int]) -> list[bool]:
        """Which moving sites take their label in `one`, not the one in `zero`, while all others stay."""
        V = self.pairwise
        index = {p: i for i, p in enumerate(moving)}
        cost0 = [self.unary[p][label] for p, label in zip(moving, zero, strict=True)]
        cost1 = [self.unary[p][label] for p, label in zip(moving, one, strict=True)]
        pairs: list[Pair] = []
        for site, i in index.items():
            for p, q, w in self.edges_of[site]:
                if site == p and q in index:
                    j = index[q]
                    e00, e01 = w * V[zero[i]][zero[j]], w * V[zero[i]][one[j]]
                    e10, e11 = w * V[one[i]][zero[j]], w * V[one[i]][one[j]]
                    pairs.append((i, j, e00, e01, e10, e11))
                elif site == p:
                    cost0[i] += w * V[zero[i]][labels[q]]
                    cost1[i] += w * V[one[i]][labels[q]]
                elif p not in index:
                    cost0[i] += w * V[labels[p]][zero[i]]
                    cost1[i] += w * V[labels[p]][one[i]]
        return binary_cut(cost0, cost1, pairs)
