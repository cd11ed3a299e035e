"""PuzzleMix for ImageNet in 100 epochs: ``imagenet_fast/lib/utils.py`` of snu-mllab/PuzzleMix at ``e2dbf3a``.

The script cuts the masks in the main process, :func:`get_mask`, and lets the model's forward move and mix
what each GPU got, :func:`transport`:

    from comix.compat.puzzlemix_imagenet_fast import get_mask     # main_fast.py, after "from utils import *"
    from comix.compat.puzzlemix_imagenet_fast import transport    # models/imagenet_resnet.py, likewise

Images of any size and channel count; inputs are only read, where the official ``transport`` writes into the
batch it is given.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from comix import MixPlan, pool_saliency, transport_plan
from comix import _checks as checks
from comix._targets import check_index
from comix.compat import puzzlemix
from comix.compat._official import mix, official, where_solved
from comix.compat._puzzle_graph import Puzzle
from comix.compat._puzzle_parts import (
    cut_one,
    mask_transport,
    move_patches,
    neigh_penalty,
    official_saliency,
)
from comix.compat._replay import Numbers, replaying
from comix.compat.puzzlemix_imagenet import transport_image

__all__ = [
    "cost_matrix",
    "get_mask",
    "graphcut_multi",
    "graphcut_multi_float",
    "mask_transport",
    "neigh_penalty",
    "transport",
    "transport_image",
]

_POWERS = {"l1": 1, "l2": 2, "l4": 4}


@official
def cost_matrix(width: int) -> Numbers:
    """Squared distances of all pairs of blocks, divided by ``(width-1)^2``.

    Args:
        width: blocks per side.

    Returns:
        float32 NumPy array ``[width^2, width^2]``.
    """
    costs: Numbers = puzzlemix.cost_matrix(width, "cpu").numpy()
    return costs


@official
def get_mask(
    input1: torch.Tensor,
    grad1: torch.Tensor,
    block_num: int,
    indices: Any,
    alpha: Any = 0.5,
    beta: float = 1.2,
    gamma: float = 0.5,
    eta: float = 0.2,
    neigh_size: int = 2,
    n_labels: int = 3,
    mean: Any = None,
    std: Any = None,
    mp: Any = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Optimal masks of every image and its partner; see :func:`comix.compat.puzzlemix.mixup_graph`.

    Args:
        input1: ``[N, C, H, W]`` images, normalised by ``mean`` and ``std``; only read.
        grad1: ``[N, H, W]`` saliency >= 0, any scale.
        block_num: blocks per side.
        indices: ``[N]`` partners.
        alpha: expected share of the own image. Default 0.5.
        beta: smoothness. Default 1.2.
        gamma: weight of the local contrast. Default 0.5.
        eta: weight of the prior. Default 0.2.
        neigh_size: pixels per side of the cells compared across borders. Default 2.
        n_labels: number of mask values, at least 2. Default 3.
        mean: channel means: ``[C, H, W]`` (the same at all pixels, as in the script), ``[1, C, 1, 1]`` or C
            numbers. Default: images in 0..1.
        std: channel standard deviations, likewise.
        mp: ignored, the solvers run threads.

    Returns:
        mask float32 ``[N, 1, block_num, block_num]``, the own images' share of every block, and ratio float32
        ``[N]``, its mean; on the device of the images.

    Raises:
        TypeError, ValueError: wrong types, shapes or ranges; in replay also sizes and costs that the
            official code cannot take.

    Example:
        >>> import torch
        >>> from comix.compat.puzzlemix_imagenet_fast import get_mask, transport
        >>> images, saliency, partner = torch.rand(4, 3, 32, 32), torch.rand(4, 32, 32), [1, 0, 3, 2]
        >>> mask, ratio = get_mask(images, saliency, 4, partner)
        >>> mask.shape, transport(images, saliency, partner, 4, mask).shape
        (torch.Size([4, 1, 4, 4]), torch.Size([4, 3, 32, 32]))
    """
    terms = {"beta": beta, "gamma": gamma, "eta": eta, "neigh_size": neigh_size, "n_labels": n_labels}
    channels = {"mean": _per_channel(mean, "mean"), "std": _per_channel(std, "std")}
    mask = Puzzle(input1, grad1, indices, block_num, alpha, {**terms, **channels}).mask()
    return mask, mask.flatten(1).mean(1)


def _per_channel(value: Any, name: str) -> Any:
    """The script's ``[C, H, W]`` as C numbers."""
    if not isinstance(value, torch.Tensor) or value.ndim != 3:
        return value
    first = value[:, :1, :1]
    if checks.values_checked(value) and not bool((value == first).all()):
        checks.fail(name, "the same numbers at all pixels", "others")
    return first.flatten()


@official
def transport(
    input1: torch.Tensor,
    grad1: torch.Tensor,
    indices: Any,
    block_num: int,
    mask: torch.Tensor,
    eps: float = 0.8,
) -> torch.Tensor:
    """Move the blocks of every image and its partner to where the mask shows them, and mix the two.

    Args:
        input1: ``[N, C, H, W]`` images; only read (the official code writes into them).
        grad1: ``[N, H, W]`` saliency >= 0.
        indices: ``[N]`` partners.
        block_num: blocks per side.
        mask: ``[N, 1, block_num, block_num]``, from :func:`get_mask`.
        eps: price of moving across the grid. Default 0.8.

    Returns:
        ``[N, C, H, W]``, differentiable in the images.

    Raises:
        TypeError, ValueError: wrong types, shapes or ranges, NaN.
    """
    images = checks.check_images(input1)
    checks.check_dtype(images, "input1", checks.FLOAT_DTYPES)
    saliency = checks.check_saliency(grad1, images, "grad1")
    index = check_index(indices, len(images), images.device, "indices")
    grid = checks.grid_pair(block_num, images.shape[2], images.shape[3], "block_num")
    checks.require_tensor(mask, "mask")
    if tuple(mask.shape) != (len(images), 1, *grid):
        checks.fail("mask", f"shape [{len(images)}, 1, {grid[0]}, {grid[1]}]", checks.shape_of(mask))
    checks.check_range(mask, "mask", 0.0, 1.0)
    if replaying():
        return _transport_as_official(images, saliency, index, grid[0], mask, eps)
    blocks, shares, partner = (
        pool_saliency(where_solved(saliency), grid),
        where_solved(mask)[:, 0],
        where_solved(index),
    )
    own = transport_plan(blocks, shares, eps=eps)
    other = transport_plan(blocks[partner], 1 - shares, eps=eps)
    return mix(MixPlan.from_mask(shares, partner, own, other), images)


def _transport_as_official(
    images: torch.Tensor, grad: torch.Tensor, index: torch.Tensor, grid: int, mask: torch.Tensor, eps: float
) -> torch.Tensor:
    width = images.shape[-1]
    if images.shape[-2] != width or width % grid:
        got = checks.shape_of(images)
        checks.fail("input1", f"square images that {grid} blocks divide in replay", got)
    block = width // grid
    saliency = official_saliency(grad, block)
    first = move_patches(images, mask_transport(mask, saliency, eps), grid, block)
    second = move_patches(images[index], mask_transport(1 - mask, saliency[index], eps), grid, block)
    mask = F.interpolate(mask, size=width)
    return mask * first + (1 - mask) * second


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
    label_cost: str = "l2",
) -> Numbers:
    """Cut one pair, as :func:`comix.compat.puzzlemix.graphcut_multi`.

    Args:
        unary1: see there.
        unary2: see there.
        pw_x: see there.
        pw_y: see there.
        alpha: see there.
        beta: see there.
        eta: see there.
        n_labels: see there.
        label_cost: mask values m, m' are ``|m - m'|^k`` apart: "l1", "l2" (default) or "l4" (which the
            official code fails on).

    Returns:
        float64 ``[H, W]``, the share of image 1.

    Raises:
        TypeError, ValueError: see there; an unknown label_cost.
    """
    power = _power(label_cost)
    return cut_one(unary1, unary2, pw_x, pw_y, alpha, beta, eta, n_labels, power=power)


@official
def graphcut_multi_float(
    unary1: Any,
    unary2: Any,
    pw_x: Any,
    pw_y: Any,
    alpha: Any,
    beta: float,
    eta: float,
    n_labels: int = 2,
    label_cost: str = "l2",
    beta_c: float = 0.0,
) -> Numbers:
    """The same as :func:`graphcut_multi`; in replay with gco-wrapper's own rounding instead of the script's.

    Args:
        unary1: see there.
        unary2: see there.
        pw_x: see there.
        pw_y: see there.
        alpha: see there.
        beta: see there.
        eta: see there.
        n_labels: see there.
        label_cost: see there.
        beta_c: ignored, as officially.

    Returns:
        float64 ``[H, W]``, the share of image 1.

    Raises:
        TypeError, ValueError: see there.
    """
    power = _power(label_cost)
    return cut_one(unary1, unary2, pw_x, pw_y, alpha, beta, eta, n_labels, power=power, prescaled=False)


def _power(label_cost: Any) -> int:
    checks.check_option(label_cost, "label_cost", tuple(_POWERS))
    return _POWERS[label_cost]
