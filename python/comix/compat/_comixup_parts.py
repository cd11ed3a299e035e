"""The parts that both Co-Mixup scripts share: objectives, one output's cut, mixing.

Names and meanings are those of the official ``match.py``. A mask holds the share of every input in every
block of every output: 0, 1/2 or 1.
"""

# ruff: noqa: NPY002 - the official code draws from NumPy's global state

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from comix import MixPlan, grid_cut, grid_energy
from comix import _checks as checks
from comix.compat._official import for_solver, mix, official, one_hot, soft
from comix.compat._replay import Numbers, next_members, official_cut, replaying

_SOFT_BONUS = 5e-4  # what a half-and-half label costs less than its members' mean


@official
def to_onehot(idx: torch.Tensor, n_input: int, device: Any = "cuda") -> torch.Tensor:
    """One-hot rows.

    Args:
        idx: integers ``[k]`` in 0..n_input-1.
        n_input: n.
        device: ignored, that of ``idx`` is used.

    Returns:
        float32 ``[k, n]``.

    Raises:
        TypeError, ValueError: not integers, wrong shape, out of range.
    """
    return one_hot(idx, n_input, "idx")


@official
def random_initialize(n_input: int, n_output: int, height: int, width: int) -> Numbers:
    """Draw start labels from NumPy's global state, uniform over the inputs.

    Args:
        n_input: n.
        n_output: m.
        height: blocks per column.
        width: blocks per row.

    Returns:
        int64 ``[m, height, width]`` (the official code swaps the sides; on square grids that is the same).
    """
    return np.random.randint(0, n_input, (n_output, height, width))


def _counts(cost_matrix: torch.Tensor, mask_onehot: torch.Tensor) -> torch.Tensor:
    """How many blocks each output takes from each input, ``[m, n]``."""
    checks.require_tensor(cost_matrix, "cost_matrix")
    checks.require_tensor(mask_onehot, "mask_onehot")
    if mask_onehot.ndim != 4 or 0 in mask_onehot.shape:
        checks.fail("mask_onehot", "shape [m, H, W, n]", checks.shape_of(mask_onehot))
    _, height, width, n = mask_onehot.shape
    if tuple(cost_matrix.shape) != (n, height, width):
        checks.fail("cost_matrix", f"shape [{n}, {height}, {width}]", checks.shape_of(cost_matrix))
    return mask_onehot.flatten(1, 2).sum(1)


def shared_blocks(cost_matrix: torch.Tensor, mask_onehot: torch.Tensor) -> torch.Tensor:
    """How many pairs of blocks of different outputs show the same input: ``|sum s|^2 - sum |s|^2``."""
    counts = _counts(cost_matrix, mask_onehot)
    return counts.sum(0).square().sum() - counts.square().sum()


def smooth_cost(cost: torch.Tensor, mask: torch.Tensor, beta: float, power: int = 2) -> torch.Tensor:
    """Costs plus ``beta/2`` times the differences across edges, squared or (power 1) absolute."""
    down, right = mask[:, :-1] - mask[:, 1:], mask[:, :, :-1] - mask[:, :, 1:]
    down, right = (d.square().sum() if power == 2 else d.abs().sum() for d in (down, right))
    return (cost.permute(1, 2, 0).unsqueeze(0) * mask).sum() + beta / 2 * (down + right)


@official
def obj_fn(cost_matrix: torch.Tensor, mask_onehot: torch.Tensor, beta: float, gamma: float) -> torch.Tensor:
    """The objective without threshold: ``cost + beta/2 |dz|^2 + gamma (|sum s|^2 - sum |s|^2)``.

    Args:
        cost_matrix: ``[n, H, W]``.
        mask_onehot: ``[m, H, W, n]``.
        beta: smoothness per edge.
        gamma: diversity per pair of blocks.

    Returns:
        A scalar of the dtype of the mask; s are the blocks per output and input.

    Raises:
        TypeError, ValueError: not tensors, shapes that do not fit.
    """
    overlap = shared_blocks(cost_matrix, mask_onehot)
    return smooth_cost(cost_matrix, mask_onehot, beta) + gamma * overlap


@official
def obj_fn_thres(
    cost_matrix: torch.Tensor, mask_onehot: torch.Tensor, beta: float, gamma: float, thres: float
) -> torch.Tensor:
    """The objective with threshold: only inputs that other outputs use more than ``thres`` blocks of cost.

    Args:
        cost_matrix: ``[n, H, W]``.
        mask_onehot: ``[m, H, W, n]``.
        beta: smoothness per edge.
        gamma: diversity per pair of blocks.
        thres: in blocks.

    Returns:
        A scalar of the dtype of the mask.

    Raises:
        TypeError, ValueError: not tensors, shapes that do not fit.
    """
    counts = _counts(cost_matrix, mask_onehot)
    others = counts.sum(0, keepdim=True) - counts
    penalty = ((others > thres).to(others.dtype) * others * counts).sum()
    return smooth_cost(cost_matrix, mask_onehot, beta) + gamma * penalty


@official
def resolve_label(assigned_label_total: torch.Tensor, device: Any = "cuda") -> torch.Tensor:
    """Tell outputs that are made of the same two or more inputs to avoid one each.

    Args:
        assigned_label_total: ``[m, n]``, 1 where an output shows an input, else 0.
        device: ignored, that of the tensor is used.

    Returns:
        ``[m, n]``, 1 where an output should avoid an input: of two equal outputs the first its lowest
        input, the second its second lowest.

    Raises:
        TypeError, ValueError: not a tensor, wrong shape.
    """
    checks.require_tensor(assigned_label_total, "assigned_label_total")
    if assigned_label_total.ndim != 2:
        checks.fail("assigned_label_total", "shape [m, n]", checks.shape_of(assigned_label_total))
    present = assigned_label_total > 0
    avoid = torch.zeros_like(assigned_label_total)
    several = present.sum(1) >= 2
    same = (present.unsqueeze(1) == present).all(-1) & several.unsqueeze(1)
    for first, second in same.triu(1).nonzero().tolist():
        lowest, next_lowest = present[first].nonzero()[:2, 0].tolist()
        avoid[first, lowest] = avoid[second, next_lowest] = 1
    return avoid


@official
def graphcut_multi(
    cost: Any, beta: float = 1, algorithm: str = "swap", n_label: int = 0, add_idx: Any = None
) -> Numbers:
    """Label one output: Potts distances, and soft labels at a quarter from their two members.

    Solved in exact arithmetic, never worse than by the official scaling (which rounds ``beta`` to 1/1000).

    Args:
        cost: ``[H, W, L]`` of every label; the last 1 or 3 are soft labels if ``n_label`` is 2 or 3.
        beta: weight of every edge. Default 1.
        algorithm: ignored outside replay; "swap" (default) there.
        n_label: members of the soft labels: 2, 3, or anything else for none. Default 0.
        add_idx: bool ``[inputs]``, the members.

    Returns:
        int32 ``[H*W]``.

    Raises:
        TypeError, ValueError: wrong shapes, NaN; in replay also costs that overflow.
    """
    unary = np.ascontiguousarray(cost)
    if unary.ndim != 3 or 0 in unary.shape:
        checks.fail("cost", "shape [H, W, L]", str(list(unary.shape)))
    beta = checks.check_number(beta, "beta", 0.0)
    height, width, labels = unary.shape
    table = 1 - np.eye(labels, dtype=np.float32)
    soft = {2: 1, 3: 3}.get(n_label, 0)
    if soft:
        members = np.flatnonzero(np.asarray(add_idx, dtype=bool)) if add_idx is not None else np.zeros(0, int)
        if len(members) != n_label or members[-1] >= labels - soft:
            checks.fail("add_idx", f"{n_label} of {labels - soft} inputs", str(add_idx))
        pairs = [(0, 1)] if soft == 1 else [(0, 1), (0, 2), (1, 2)]
        for k, pair in enumerate(pairs):
            table[labels - soft + k, members[list(pair)]] = 0.25
            table[members[list(pair)], labels - soft + k] = 0.25
    edges = [np.full(s, beta, np.float32) for s in ((height - 1, width), (height, width - 1))]
    if replaying():
        checks.check_option(algorithm, "algorithm in replay", ("swap",))
        return official_cut(unary, table, *edges).astype(np.int32).ravel()
    best = grid_cut(unary, table, beta, beta, method="auto")
    found = best.labels
    if not best.optimal:
        try:
            start = official_cut(unary, table, *edges)
        except ValueError:  # beyond the official integers
            start = None
        other = grid_cut(unary, table, beta, beta, method="swap", init=start)
        if other.energy < grid_energy(found, unary, table, beta, beta):
            found = other.labels
    result: Numbers = found.astype(np.int32).ravel()
    return result


@official
def graphcut_wrapper(
    cost_penalty: torch.Tensor,
    label_count: torch.Tensor,
    n_input: int,
    height: int,
    width: int,
    beta: float,
    device: Any,
    iter_idx: int = 0,
) -> torch.Tensor:
    """Label one output, from the second sweep on with soft labels for its two or three largest inputs.

    Args:
        cost_penalty: ``[H, W, n]`` cost of every input, penalties included.
        label_count: ``[n]`` blocks that the output takes from every input now.
        n_input: n.
        height: H.
        width: W.
        beta: weight of every edge.
        device: ignored, that of the cost is used.
        iter_idx: sweep, from 0. Default 0.

    Returns:
        float32 ``[H, W, n]``: 0, 1/2 or 1.

    Raises:
        TypeError, ValueError: not tensors, shapes that do not fit; see also :func:`graphcut_multi`.
    """
    checks.require_tensor(cost_penalty, "cost_penalty")
    checks.require_tensor(label_count, "label_count")
    if tuple(cost_penalty.shape) != (height, width, n_input):
        checks.fail("cost_penalty", f"shape [{height}, {width}, {n_input}]", checks.shape_of(cost_penalty))
    if tuple(label_count.shape) != (n_input,):
        checks.fail("label_count", f"shape [{n_input}]", checks.shape_of(label_count))
    members = _members(for_solver(label_count), iter_idx == 0)
    cost = for_solver(cost_penalty)
    shares = torch.eye(n_input)  # [labels, n]
    chosen = torch.zeros(n_input, dtype=torch.bool)
    if members:
        pairs = torch.combinations(torch.tensor(members))  # [1 or 3, 2]
        halves = cost[..., pairs].sum(-1) / 2 - _SOFT_BONUS
        cost = torch.cat([cost, halves], -1)
        shares = torch.cat([shares, torch.zeros(len(pairs), n_input).scatter_(1, pairs, 0.5)])
        chosen[members] = True
    labels = graphcut_multi(cost.numpy(), beta=beta, n_label=len(members), add_idx=chosen.numpy())
    return shares[torch.from_numpy(labels).long()].view(height, width, n_input).to(cost_penalty.device)


def _members(counts: torch.Tensor, first_sweep: bool) -> list[int]:
    if replaying():
        return next_members(counts, first_sweep)
    present = int((counts > 0).sum())
    if first_sweep or present < 2:
        return []
    largest = torch.argsort(counts, descending=True, stable=True)[: min(present, 3)]
    return sorted(largest.tolist())


def mix_masks(
    mask: torch.Tensor, images: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixed images ``[m, C, Y, X]``, and targets ``[m, K]`` summed over blocks (weighted ``[n, H, W]``)."""
    checks.require_tensor(mask, "mask_onehot")
    checks.check_images(images)
    targets = soft(targets, "target_reweighted", len(images))
    if mask.ndim != 4 or 0 in mask.shape or mask.shape[3] != len(images):
        checks.fail("mask_onehot", f"shape [m, H, W, {len(images)}]", checks.shape_of(mask))
    sums = (mask if weight is None else mask * weight.permute(1, 2, 0)).flatten(1, 2).sum(1)  # [m, n]
    value, index = mask.detach().topk(min(2, mask.shape[3]), -1)
    one, half = value[..., :1] == 1, (value == 0.5).all(-1, keepdim=True)
    full = mask.detach().sum(-1, keepdim=True) == 1
    if bool((full & (one | half)).all()) and mask.shape[3] > 1:  # one input or two halves: a mix plan
        labels = torch.where(one, index[..., :1], index)
        mixed = mix(MixPlan.from_labels(for_solver(labels)), images)
    else:
        shares = F.interpolate(mask.permute(0, 3, 1, 2), size=images.shape[2:])  # [m, n, Y, X]
        mixed = torch.stack([(z.unsqueeze(1) * images).sum(0) for z in shares])
    return mixed, sums.to(targets.dtype) @ targets
