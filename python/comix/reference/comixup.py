"""Co-Mixup: a joint labelling of m outputs over n inputs that is salient, smooth and diverse.

Output o shows in block p the share z[o, p, i] of input i, all of one input or half of two. With s_o[i] =
sum_p z[o, p, i], pi_o = the sum of the s of all other outputs, and A the compatibility of the inputs, the
objective is

    F(z) = sum c_i[p] z[o,p,i] + beta'/2 sum_o sum_edges |z[o,p] - z[o,q]|^2 + gamma' sum_o s_o . f(pi_o)

with beta' = beta/(gh gw), gamma' = gamma/(gh gw), tau' = tau gh gw, and f one of

    plain: A pi      hard: [A pi > tau'] (A pi)      soft: [A pi > tau'] (A pi - tau')
    hard_official: A ([A pi > tau'] pi), which is what the official code evaluates for its hard threshold

`comixup_labels` re-labels one output at a time, the others fixed, with the last term linearised. Guarantee:
none; F need not fall. Cost: sweeps * m cuts of gh gw sites with n to n+3 labels.

Source: Kim, Choo, Jeong, Song, "Co-Mixup: Saliency Guided Joint Mixup with Supermodular Diversity", ICLR
2021, section 4 (objective, iterative minimisation) and its official code for order and constants.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .gridcut import Labels, gco_integers
from .gridcut_moves import swap

Cut = Callable[[NDArray[Any], NDArray[Any], Any], Labels]
THRESHOLDS = ("hard", "soft", "hard_official")


def shares(labels: ArrayLike, n_inputs: int) -> NDArray[np.float64]:
    """z: the share of every input in every block.

    Args:
        labels: [..., 2] the two inputs of a block, equal where one fills it.
        n_inputs: n.

    Returns:
        [..., n] float64 with values 0, 1/2, 1.
    """
    return np.asarray(np.eye(n_inputs)[np.asarray(labels)].mean(-2))


def comixup_objective(
    labels: ArrayLike,
    cost: ArrayLike,
    *,
    compatibility: ArrayLike | None = None,
    beta: float = 0.32,
    gamma: float = 1.0,
    tau: float = 0.83,
    threshold: str = "hard",
) -> float:
    """The thresholded objective of one partition.

    Args:
        labels: [m, gh, gw, 2] the two inputs of each block.
        cost: [n, gh, gw] cost of showing input i in block p, prior included.
        compatibility: [n, n]; None is the identity.
        beta: weight of the smoothness.
        gamma: weight of the diversity.
        tau: an input may fill this many outputs before it is penalised.
        threshold: "hard", "soft" or "hard_official".

    Returns:
        The objective in float64.

    Raises:
        ValueError: unknown threshold.
    """
    if threshold not in THRESHOLDS:
        raise ValueError(f"threshold: expected one of {', '.join(THRESHOLDS)}, got {threshold!r}")
    cost = np.asarray(cost, np.float64)
    size = cost[0].size  # gh * gw
    z = shares(labels, len(cost))  # [m, gh, gw, n]
    A = np.eye(len(cost)) if compatibility is None else np.asarray(compatibility, np.float64)
    s = z.sum((1, 2))  # [m, n]
    diversity = 0.0
    for s_o in s:
        pi = s.sum(0) - s_o  # [n]
        q = A @ pi
        over = q > tau * size
        f = {"hard": over * q, "soft": over * (q - tau * size), "hard_official": A @ (over * pi)}[threshold]
        diversity += float(s_o @ f)
    return float(_show_and_smooth(z, cost, beta) + gamma / size * diversity)


def plain_objective(
    labels: ArrayLike,
    cost: ArrayLike,
    *,
    compatibility: ArrayLike | None = None,
    beta: float = 0.32,
    gamma: float = 1.0,
) -> float:
    """The objective without threshold, f = A pi; arguments as in `comixup_objective`."""
    cost = np.asarray(cost, np.float64)
    z = shares(labels, len(cost))
    A = np.eye(len(cost)) if compatibility is None else np.asarray(compatibility, np.float64)
    s = z.sum((1, 2))  # [m, n]
    return float(_show_and_smooth(z, cost, beta) + gamma / cost[0].size * _overlap(s, A))


def _show_and_smooth(z: NDArray[np.float64], cost: NDArray[np.float64], beta: float) -> float:
    """First two terms of the objective, z [m, gh, gw, n] and cost [n, gh, gw]."""
    show = np.einsum("iyx,oyxi->", cost, z)
    rough = ((z[:, 1:] - z[:, :-1]) ** 2).sum() + ((z[:, :, 1:] - z[:, :, :-1]) ** 2).sum()
    return float(show + beta / cost[0].size / 2 * rough)


def _overlap(s: NDArray[np.float64], A: NDArray[np.float64]) -> float:
    """Sum over outputs of s_o . A pi_o, s [m, n]."""
    total = s.sum(0)
    return float(total @ A @ total - np.einsum("oi,ij,oj->", s, A, s))


def official_cut(unary: NDArray[Any], pairwise: NDArray[Any], weight: Any) -> Labels:
    """The official code's cut: alpha-beta swap from label 0 on integers of limited resolution.

    Args:
        unary: [gh, gw, L].
        pairwise: [L, L].
        weight: scalar weight of every edge.
    """
    gh, gw, _ = unary.shape
    weight_v = np.full((gh - 1, gw), weight, unary.dtype)
    weight_h = np.full((gh, gw - 1), weight, unary.dtype)
    return swap(*gco_integers(unary, pairwise, weight_v, weight_h))


def comixup_labels(
    cost: ArrayLike,
    *,
    compatibility: ArrayLike | None = None,
    init: ArrayLike,
    beta: float = 0.32,
    gamma: float = 1.0,
    tau: float = 0.83,
    sweeps: int = 4,
    threshold: str = "hard",
    resolve_duplicates: bool = True,
    select: str = "last",
    cut: Cut | None = None,
    members: ArrayLike | None = None,
    dtype: DTypeLike = np.float32,
) -> Labels:
    """Label the outputs of one partition.

    Args:
        cost: [n, gh, gw] cost of showing input i in block p, prior included.
        compatibility: [n, n]; None is the identity.
        init: [m, gh, gw] start labels, one input per block.
        beta: weight of the smoothness.
        gamma: weight of the diversity.
        tau: an input may fill this many outputs before it is penalised.
        sweeps: at most so many passes over the outputs.
        threshold: "hard", "soft" or "hard_official".
        resolve_duplicates: push outputs with equal sets of inputs apart in the last sweep.
        select: "last" returns the labelling after the last sweep, "best" the one with the lowest
            `comixup_objective` at the end of any sweep, the first on ties.
        cut: minimises unary [gh, gw, L], pairwise [L, L], scalar weight; None is `official_cut`.
        members: [cuts, 3] the inputs to blend in each cut, ascending, -1 where unused (cut = sweep * m +
            output); None takes the inputs with the largest counts, the lowest on ties.
        dtype: of all arithmetic; the official code uses float32.

    Returns:
        [m, gh, gw, 2] the two inputs of each block, ascending.

    Raises:
        ValueError: unknown threshold or select.
    """
    if threshold not in THRESHOLDS:
        raise ValueError(f"threshold: expected one of {', '.join(THRESHOLDS)}, got {threshold!r}")
    if select not in ("last", "best"):
        raise ValueError(f"select: expected 'last' or 'best', got {select!r}")
    cost = np.asarray(cost, dtype)  # [n, gh, gw]
    n, size = len(cost), cost[0].size
    real = cost.dtype.type
    A = np.eye(n, dtype=dtype) if compatibility is None else np.asarray(compatibility, dtype)  # [n, n]
    beta_, gamma_, tau_ = beta / size, gamma / size, tau * size
    cut = official_cut if cut is None else cut

    labels = np.stack([np.asarray(init, np.int64)] * 2, axis=-1)  # [m, gh, gw, 2]
    s = shares(labels, n).sum((1, 2)).astype(dtype)  # [m, n] counts; halves are exact in any dtype
    total = s.sum(0)
    push: NDArray[Any] | None = None  # [m, n] extra cost that separates equal outputs
    best, best_value = labels.copy(), np.inf
    value = real(plain_objective(labels, cost, beta=beta, gamma=gamma))
    for sweep in range(sweeps):
        for o in range(len(labels)):
            total -= s[o]
            penalty = _penalty(A, total, real(2 * gamma_), real(tau_), threshold)  # [n]
            unary = cost.transpose(1, 2, 0) + penalty  # [gh, gw, n]
            if push is not None:
                unary = unary + real(gamma_) * push[o]
            if sweep == 0:
                blended = []
            elif members is not None:
                blended = [int(i) for i in np.asarray(members)[sweep * len(labels) + o] if i >= 0]
            else:
                blended = _largest(s[o])
            labels[o] = _label_one(unary, blended, beta_, cut)
            s[o] = shares(labels[o], n).sum((0, 1))
            total += s[o]
        if select == "best":
            now = comixup_objective(
                labels,
                cost,
                compatibility=compatibility,
                beta=beta,
                gamma=gamma,
                tau=tau,
                threshold=threshold,
            )
            if now < best_value:
                best, best_value = labels.copy(), now
        if sweep == sweeps - 2 and resolve_duplicates:
            push = _separate(s > 0).astype(dtype)
        before, value = value, real(plain_objective(labels, cost, beta=beta, gamma=gamma))
        if abs(before - value) < 1e-6 * abs(value):
            break
    return best if select == "best" else labels


def _penalty(A: NDArray[Any], pi: NDArray[Any], weight: Any, tau: Any, threshold: str) -> NDArray[Any]:
    """Gradient of the diversity term for one output, f(pi) times twice gamma': [n]."""
    q = _product(A, pi)
    over = (q > tau).astype(A.dtype)
    if threshold == "hard":
        return np.asarray(weight * over * q)
    if threshold == "soft":
        return np.asarray(weight * over * (q - tau))
    return _product(weight * over * A, pi)  # the indicator scales the columns of A


def _product(matrix: NDArray[Any], vector: NDArray[Any]) -> NDArray[Any]:
    """Matrix @ vector, summed in float64 and rounded once: the same on every machine, whatever its BLAS."""
    return np.asarray((matrix.astype(np.float64) @ vector.astype(np.float64)).astype(matrix.dtype))


def _largest(s: NDArray[Any]) -> list[int]:
    """The inputs of an output that may be blended: the up to three largest counts, lowest index on ties."""
    order = sorted((-float(count), i) for i, count in enumerate(s) if count > 0)
    return sorted(i for _, i in order[:3]) if len(order) > 1 else []


def _label_one(unary: NDArray[Any], blended: list[int], weight: float, cut: Cut) -> Labels:
    """Cut one output, with an extra label for every pair of blended inputs: [gh, gw, n] -> [gh, gw, 2]."""
    n = unary.shape[-1]
    real = unary.dtype.type
    pairs = list(combinations(blended, 2))
    inputs = np.array([(i, i) for i in range(n)] + pairs, np.int64)  # [L, 2] the two inputs of each label
    halves = [(unary[..., i] + unary[..., j]) / real(2) - real(5e-4) for i, j in pairs]
    pairwise = 1 - np.eye(len(inputs), dtype=unary.dtype)  # [L, L]
    for k, (i, j) in enumerate(pairs, start=n):
        pairwise[k, [i, j]] = pairwise[[i, j], k] = real(0.25)
    both = np.concatenate([unary, *(half[..., None] for half in halves)], axis=-1)  # [gh, gw, L]
    return np.asarray(inputs[cut(both, pairwise, real(weight))])


def _separate(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One where an output should avoid an input: of two equal outputs, one its lowest, one its second.

    Args:
        present: [m, n] whether an output shows an input.

    Returns:
        [m, n] zeros and ones.
    """
    push = np.zeros(present.shape)
    for o, other in combinations(range(len(present)), 2):
        if (present[o] == present[other]).all() and present[o].sum() >= 2:
            first, second = np.flatnonzero(present[o])[:2]
            push[o, first] = push[other, second] = 1
    return push
