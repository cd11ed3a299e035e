"""The parts that both PuzzleMix repositories' scripts share: energy terms, cut, transport.

Names and meanings are those of the official ``mixup.py``: "image 1" is the sample, "image 2" its partner.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from comix import _checks as checks
from comix import grid_cut, transport_plan
from comix.compat._official import for_solver, official, where_solved
from comix.compat._replay import Numbers, official_cut, replaying


@official
def graphcut_multi(
    unary1: Any,
    unary2: Any,
    pw_x: Any,
    pw_y: Any,
    alpha: Any,
    beta: float,
    eta: float,
    n_labels: int = 2,
    eps: float = 1e-8,
) -> Numbers:
    """Cut one pair: the mask that minimises its PuzzleMix energy.

    ``sum_p (1-t) unary1 + t unary2 + eta prior / blocks + sum_edges (pw + beta) (t_p - t_q)^2``, with t the
    partner's share. Solved exactly (any ``n_labels >= 2``; the official code knows 2, 3 and 4, and its
    int32 costs wrap around where one block holds over 21 times its share of the saliency).

    Args:
        unary1: ``[H, W]`` cost of showing image 1 (paid with the mask).
        unary2: ``[H, W]`` cost of showing image 2.
        pw_x: ``[H-1, W]`` edge terms between rows, without ``beta``.
        pw_y: ``[H, W-1]`` edge terms between columns.
        alpha: expected share of image 1, 0..1.
        beta: smoothness of one edge.
        eta: weight of the prior, divided by the number of blocks here.
        n_labels: number of mask values. Default 2.
        eps: added to the prior's probabilities. Default 1e-8.

    Returns:
        float64 ``[H, W]``, the share of image 1, in ``{0, 1/(n_labels-1), ..., 1}``.

    Raises:
        TypeError, ValueError: wrong shapes, NaN, values out of range; in replay also costs that overflow.

    Example:
        >>> import numpy as np
        >>> from comix.compat.puzzlemix import graphcut_multi
        >>> show_1, show_2 = np.array([[0.0, 0.5]]), np.array([[0.5, 0.0]])
        >>> graphcut_multi(show_1, show_2, np.zeros((0, 2)), np.zeros((1, 1)), 0.5, 0.1, 0.2)
        array([[1., 0.]])
    """
    return cut_one(unary1, unary2, pw_x, pw_y, alpha, beta, eta, n_labels, eps)


def cut_one(
    unary1: Any,
    unary2: Any,
    pw_x: Any,
    pw_y: Any,
    alpha: Any,
    beta: float,
    eta: float,
    n_labels: int,
    eps: float = 1e-8,
    **how: Any,
) -> Numbers:
    """:func:`graphcut_multi`, with the further options of :func:`cut_pairs`."""
    first, second, down, right = (np.asarray(a) for a in (unary1, unary2, pw_x, pw_y))
    if first.ndim != 2 or 0 in first.shape:
        checks.fail("unary1", "shape [H, W]", str(list(first.shape)))
    height, width = first.shape
    shapes = {
        "unary1": (first, (height, width)),
        "unary2": (second, (height, width)),
        "pw_x": (down, (height - 1, width)),
    }
    shapes["pw_y"] = (right, (height, width - 1))
    for name, (array, expected) in shapes.items():
        if array.shape != expected:
            checks.fail(name, f"shape {list(expected)}", str(list(array.shape)))
        if not np.isfinite(array).all():
            checks.fail(name, "finite values", "NaN or infinite ones")
    beta, eta = checks.check_number(beta, "beta"), checks.check_number(eta, "eta")
    pair = (first[None], second[None], down[None], right[None])
    masks = cut_pairs(*pair, share(alpha), beta, eta, n_labels, eps, **how)
    only: Numbers = masks[0]
    return only


def share(alpha: Any) -> float:
    """A mixing ratio in 0..1, given as a number or an array of one."""
    try:
        values = np.asarray(alpha, dtype=np.float64)
    except (TypeError, ValueError):
        checks.fail("alpha", "one number in 0..1", repr(alpha), TypeError)
    if values.size != 1 or not 0 <= float(values.reshape(())) <= 1:
        checks.fail("alpha", "one number in 0..1", str(alpha))
    return float(values.reshape(()))


def cut_pairs(
    unary1: Numbers,  # [N, H, W]
    unary2: Numbers,  # [N, H, W]
    pw_x: Numbers,  # [N, H-1, W]
    pw_y: Numbers,  # [N, H, W-1]
    alpha: float,
    beta: float,
    eta: float,
    n_labels: int,
    eps: float = 1e-8,
    power: int = 2,
    prescaled: bool = True,
) -> Numbers:
    """:func:`graphcut_multi` of many pairs: float64 ``[N, H, W]``.

    Labels are ``|t_p - t_q|^power`` apart. ``prescaled``: the official code hands gco-wrapper whole numbers.
    """
    top = checks.check_count(n_labels, "n_labels", 2) - 1
    blocks = unary1.shape[1] * unary1.shape[2]
    odds = [comb(top, k) * alpha ** (top - k) * (1 - alpha) ** k for k in range(n_labels)]
    prior = eta * -np.log(np.array(odds) + eps) / blocks  # [L]
    t = np.arange(n_labels) / top
    unary = unary1[..., None] * (1 - t) + unary2[..., None] * t + prior  # float64 [N, H, W, L]
    table = np.abs(t[:, None] - t) ** power
    if replaying() and not prescaled:
        labels = official_cut(unary, table.astype(np.float32), pw_x + beta, pw_y + beta)
    elif replaying():
        # First integers of the official code; gco-wrapper multiplies them again, because the table floats.
        scale = 1000 * blocks
        whole = np.trunc(scale * unary)
        if np.abs(whole).max() < 2**31:  # else official_cut says that the float values overflow too
            whole = whole.astype(np.int64)
        edges = [np.trunc((scale * (pw + beta)).astype(np.float32)).astype(np.int64) for pw in (pw_x, pw_y)]
        labels = official_cut(whole, table.astype(np.float32), *edges)
    else:
        labels = grid_cut(unary, table, pw_x + beta, pw_y + beta, method="auto").labels
    mask: Numbers = 1.0 - labels / top
    return mask


@official
def neigh_penalty(input1: torch.Tensor, input2: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean colour difference across the borders of blocks, image 1 above or left of image 2.

    Args:
        input1: ``[N, C, H*k, W*k]`` images averaged over cells, k cells per block side.
        input2: the same size.
        k: cells per block side.

    Returns:
        ``[N, H-1, W]`` between rows and ``[N, H, W-1]`` between columns.

    Raises:
        TypeError, ValueError: not tensors, different shapes, sides that k does not divide.
    """
    checks.require_tensor(input1, "input1")
    checks.require_tensor(input2, "input2")
    checks.check_count(k, "k", 1)
    if input1.ndim != 4 or input1.shape[2] % k or input1.shape[3] % k:
        checks.fail("input1", f"shape [N, C, H*{k}, W*{k}]", checks.shape_of(input1))
    if input2.shape != input1.shape:
        checks.fail("input2", f"the shape of input1, {checks.shape_of(input1)}", checks.shape_of(input2))
    down = (input1[:, :, k - 1 : -1 : k] - input2[:, :, k::k]).abs().mean(1)  # [N, H-1, W*k]
    right = (input1[..., k - 1 : -1 : k] - input2[..., k::k]).abs().mean(1)  # [N, H*k, W-1]
    return F.avg_pool2d(down, (1, k)), F.avg_pool2d(right, (k, 1))


def official_saliency(grad: torch.Tensor, block: int) -> torch.Tensor:
    """Block saliency as the official code computes it: ``[N, H, W]`` that sum to 1 (NaN for an empty map)."""
    pooled = F.avg_pool2d(grad, block)
    return pooled / pooled.reshape(len(pooled), -1).sum(1).reshape(-1, 1, 1)


def official_mask(
    images: torch.Tensor,  # [N, C, Y, X], in 0..1
    saliency: torch.Tensor,  # [N, H, W] of the blocks
    indices: torch.Tensor,  # [N]
    alpha: float,
    beta: float,
    gamma: float,
    eta: float,
    neigh_size: int,
    n_labels: int,
) -> torch.Tensor:
    """Masks ``[N, 1, H, W]`` float32 by the official float32 arithmetic, for replay."""
    grid = saliency.shape[-1]
    block = images.shape[-1] // grid
    cell = min(neigh_size, block)
    beta = beta / grid / 16
    cells = {1: F.avg_pool2d(images, cell)}
    cells[0] = cells[1][indices]
    terms = {
        (a, b): [beta * gamma * d for d in neigh_penalty(cells[a], cells[b], block // cell)]
        for a in (0, 1)
        for b in (0, 1)
    }
    lost1, lost2 = saliency.clone(), saliency[indices].clone()  # what is lost where image 1 (2) is hidden
    edges = []
    for axis in (0, 1):
        h00, h01, h10, h11 = (terms[a, b][axis] for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)))
        near = (slice(None), *[slice(None)] * axis, slice(None, -1))
        far = (slice(None), *[slice(None)] * axis, slice(1, None))
        lost2[near] += (h10 + h11) / 2
        lost1[near] += (h01 + h00) / 2
        lost2[far] += (h01 + h11) / 2
        lost1[far] += (h10 + h00) / 2
        edges.append((h10 + h01 - h11 - h00) / 2)
    arrays = [for_solver(a).numpy() for a in (lost2, lost1, *edges)]
    masks = cut_pairs(arrays[0], arrays[1], arrays[2], arrays[3], alpha, beta, eta, n_labels)
    return torch.tensor(masks, dtype=torch.float32).to(images.device).unsqueeze(1)


def squared_distances(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Transport distances float32 ``[H*W, H*W]``, at most 2."""
    place = torch.arange(height * width, device=device)
    row, column = place // width, place % width
    squares = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    return squares.to(torch.float32) / max(1, (max(height, width) - 1) ** 2)


@official
def mask_transport(mask: torch.Tensor, grad_pool: torch.Tensor, eps: float = 0.01) -> torch.Tensor:
    """Plans that move salient blocks to where the mask shows them.

    Optimal permutations. The official contest (in replay) stops unfinished, so that blocks without a source
    turn into the mean colour, and runs on grids of 2, 4, 8 and 16 only.

    Args:
        mask: ``[N, 1, H, W]`` share of the image per block; above 0 counts as shown.
        grad_pool: ``[N, H, W]`` block saliency >= 0, each map summing to 1.
        eps: price of moving across the grid. Default 0.01.

    Returns:
        float32 ``[N, H*W, H*W]`` with a 1 at [source, target], on the device of ``mask``.

    Raises:
        TypeError, ValueError: not tensors, wrong shapes, NaN, values out of range.
    """
    checks.require_tensor(mask, "mask")
    checks.require_tensor(grad_pool, "grad_pool")
    if mask.ndim != 4 or mask.shape[1] != 1 or 0 in mask.shape:
        checks.fail("mask", "shape [N, 1, H, W]", checks.shape_of(mask))
    n, _, height, width = mask.shape
    if tuple(grad_pool.shape) != (n, height, width):
        checks.fail("grad_pool", f"shape [{n}, {height}, {width}]", checks.shape_of(grad_pool))
    if replaying():
        return _contest(mask.flatten(1), grad_pool.flatten(1), eps, (height, width))
    source = transport_plan(where_solved(grad_pool), where_solved(mask)[:, 0], eps=eps)
    plan = torch.zeros(n, height * width, height * width, device=mask.device)
    return plan.scatter_(1, source.view(n, 1, -1).to(mask.device), 1)


def _contest(mask: torch.Tensor, saliency: torch.Tensor, eps: float, grid: tuple[int, int]) -> torch.Tensor:
    """The official bids of sources for targets: as many rounds as the grid is wide."""
    shown = (mask > 0).to(torch.float32)
    cost = eps * squared_distances(*grid, mask.device) - saliency.unsqueeze(2) * shown.unsqueeze(1)
    wins = torch.zeros_like(cost)
    for _ in range(grid[1]):
        bids = torch.zeros_like(cost).scatter_(2, cost.argmin(2, keepdim=True), 1)
        first = (cost * bids).argmin(1, keepdim=True)  # no bid counts as 0
        wins = torch.zeros_like(cost).scatter_(1, first, 1) * bids
        cost = cost + (bids - wins)  # losers bid elsewhere from now on
    return wins


def move_patches(img: torch.Tensor, plan: torch.Tensor, block_num: int, block_size: int) -> torch.Tensor:
    """Patches of ``[N, C, Y, X]`` moved by plans ``[N, blocks, blocks]``; differentiable in the images."""
    checks.require_tensor(img, "img")
    checks.require_tensor(plan, "plan")
    g, s = checks.check_count(block_num, "block_num", 1), checks.check_count(block_size, "block_size", 1)
    if img.ndim != 4 or tuple(img.shape[2:]) != (g * s, g * s):
        checks.fail("img", f"shape [N, C, {g * s}, {g * s}]", checks.shape_of(img))
    n, channels = img.shape[:2]
    if tuple(plan.shape) != (n, g * g, g * g):
        checks.fail("plan", f"shape [{n}, {g * g}, {g * g}]", checks.shape_of(plan))
    patches = img.reshape(n, channels, g, s, g, s).permute(0, 2, 4, 1, 3, 5).reshape(n, g * g, -1)
    moved = plan.to(img.dtype).transpose(1, 2) @ patches
    return moved.view(n, g, g, channels, s, s).permute(0, 3, 1, 4, 2, 5).reshape(img.shape)
