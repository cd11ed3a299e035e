"""PuzzleMix for CIFAR and Tiny-ImageNet: ``mixup.py`` of snu-mllab/PuzzleMix at ``e2dbf3a``.

In ``models/*.py`` of that repository, ``from mixup import to_one_hot, mixup_process, get_lambda`` becomes

    from comix.compat.puzzlemix import to_one_hot, mixup_process, get_lambda

Kim, Choo & Song, "Puzzle Mix", ICML 2020.
"""

# ruff: noqa: NPY002 - the official code draws from NumPy's global state

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix.compat._official import device_named, official, setting, soft, to_one_hot
from comix.compat._puzzle_graph import Puzzle, Terms
from comix.compat._puzzle_parts import (
    graphcut_multi,
    mask_transport,
    move_patches,
    neigh_penalty,
    squared_distances,
)

__all__ = [
    "cost_matrix",
    "get_lambda",
    "graphcut_multi",
    "mask_transport",
    "mixup_box",
    "mixup_graph",
    "mixup_process",
    "neigh_penalty",
    "to_one_hot",
    "transport_image",
]


@official
def cost_matrix(width: int, device: Any = "cuda") -> torch.Tensor:
    """Squared distances of all pairs of blocks, divided by ``(width-1)^2``.

    Args:
        width: blocks per side.
        device: of the result; "cuda" means the CPU where there is none.

    Returns:
        float32 ``[width^2, width^2]``.
    """
    width = checks.check_count(width, "width", 1)
    return squared_distances(width, width, device_named(device))


@official
def get_lambda(alpha: float = 1.0, alpha2: float | None = None) -> float:
    """Draw a mixing ratio from NumPy's global state: Beta(alpha, alpha), or 1 for ``alpha <= 0``.

    Args:
        alpha: of the Beta distribution. Default 1.
        alpha2: the second parameter; both then get 0.01 more. Default: the same as ``alpha``.

    Returns:
        The expected share of the own image.

    Raises:
        TypeError: alpha is not a number (it has no default in the official scripts).
    """
    alpha = checks.check_number(alpha, "alpha")
    if alpha <= 0:
        return 1.0
    second = alpha if alpha2 is None else checks.check_number(alpha2, "alpha2") + 1e-2
    return float(np.random.beta(alpha if alpha2 is None else alpha + 1e-2, second))


@official
def mixup_box(
    input1: torch.Tensor, input2: torch.Tensor, alpha: float = 0.5, device: Any = "cuda"
) -> tuple[torch.Tensor, torch.Tensor]:
    """CutMix: one box of image 2 pasted into image 1, at a place drawn from NumPy's global state.

    The official code writes into ``input1``; this returns new images.

    Args:
        input1: ``[N, C, H, W]``.
        input2: the same shape.
        alpha: share of image 1, 0..1. Default 0.5.
        device: ignored, that of the images is used.

    Returns:
        images ``[N, C, H, W]`` and the share of image 1, float32 ``[N]``.

    Raises:
        TypeError, ValueError: not images, different shapes, alpha out of range.
    """
    checks.check_images(input1)
    checks.require_tensor(input2, "input2")
    if input2.shape != input1.shape:
        checks.fail("input2", f"the shape of input1, {checks.shape_of(input1)}", checks.shape_of(input2))
    if not 0 <= checks.check_number(alpha, "alpha") <= 1:
        checks.fail("alpha", "a number in 0..1", repr(alpha))
    height, width = input1.shape[2:]
    centres = [np.random.uniform(0, height), np.random.uniform(0, width)]
    half = float(np.sqrt(1 - alpha)) / 2
    (top, bottom), (left, right) = (
        tuple(int(np.clip(centre + sign * half * size, 0, size)) for sign in (-1, 1))
        for centre, size in zip(centres, (height, width), strict=True)
    )
    mixed = input1.clone()
    mixed[:, :, top:bottom, left:right] = input2[:, :, top:bottom, left:right]
    ratio = 1 - (bottom - top) * (right - left) / (width * height)
    return mixed, torch.full((len(input1),), ratio, dtype=torch.float32, device=input1.device)


@official
def mixup_graph(
    input1: torch.Tensor,
    grad1: torch.Tensor,
    indices: Any,
    block_num: int = 2,
    alpha: Any = 0.5,
    beta: float = 0.0,
    gamma: float = 0.0,
    eta: float = 0.2,
    neigh_size: int = 2,
    n_labels: int = 2,
    mean: Any = None,
    std: Any = None,
    transport: bool = False,
    t_eps: float = 10.0,
    t_size: int = 16,
    noise: torch.Tensor | None = None,
    adv_mask1: float = 0,
    adv_mask2: float = 0,
    device: Any = "cuda",
    mp: Any = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix every image with its partner: optimal masks, optimal transport; draws nothing.

    Images of any size, shape and channel count, grids and transport patches that need not divide them, and
    saliency maps that are all zero (the official code fails or returns NaN). Inputs are only read. The mixed
    images are differentiable in ``input1``.

    Args:
        input1: ``[N, C, H, W]`` images, normalised by ``mean`` and ``std``.
        grad1: ``[N, H, W]`` saliency >= 0, any scale.
        indices: ``[N]`` partners.
        block_num: blocks per side. Default 2.
        alpha: expected share of the own image. Default 0.5.
        beta: smoothness. Default 0.
        gamma: weight of the local contrast. Default 0.
        eta: weight of the prior. Default 0.2.
        neigh_size: pixels per side of the cells compared across borders. Default 2.
        n_labels: number of mask values, at least 2. Default 2.
        mean: channel means, ``[1, C, 1, 1]`` or C numbers. Default: images in 0..1.
        std: channel standard deviations, likewise.
        transport: whether blocks move. Default False.
        t_eps: price of moving. Default 10.
        t_size: pixels per side of moved patches, at most a block; -1: a block. Default 16.
        noise: ``[N, C, H, W]`` adversarial noise for images in 0..1.
        adv_mask1: 1 adds the noise to the own images. Default 0.
        adv_mask2: 1 adds it to the partners. Default 0.
        device: ignored, that of the images is used.
        mp: ignored, the solvers run threads.

    Returns:
        images ``[N, C, H, W]`` and the own images' shares float32 ``[N]``.

    Raises:
        TypeError, ValueError: wrong types, shapes or ranges; in replay also sizes and costs that the
            official code cannot take.

    Example:
        >>> import torch
        >>> from comix.compat.puzzlemix import mixup_graph
        >>> images, saliency = torch.rand(2, 3, 32, 32), torch.rand(2, 32, 32)
        >>> mixed, ratio = mixup_graph(images, saliency, [1, 0], block_num=4, beta=1.2, n_labels=3)
        >>> mixed.shape, ratio.shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2]))
    """
    terms = {"beta": beta, "gamma": gamma, "eta": eta, "neigh_size": neigh_size, "n_labels": n_labels}
    puzzle = Puzzle(input1, grad1, indices, block_num, alpha, {**terms, "mean": mean, "std": std})
    t_size = checks.check_count(t_size, "t_size", -1)
    if t_size == 0:
        checks.fail("t_size", "an int of at least 1, or -1", "0")
    return puzzle(bool(transport), t_eps, t_size, noise, adv_mask1 == 1, adv_mask2 == 1)


@official
def mixup_process(
    out: torch.Tensor,
    target_reweighted: torch.Tensor,
    hidden: int = 0,
    args: Any = None,
    grad: torch.Tensor | None = None,
    noise: torch.Tensor | None = None,
    adv_mask1: float = 0,
    adv_mask2: float = 0,
    mp: Any = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix a batch by PuzzleMix, CutMix (``args.box``), input mixup or manifold mixup (``hidden``).

    Draws from NumPy's global state, always all three: blocks per side ``2^randint(1, 5)``, the permutation
    of the batch, the ratio Beta(mixup_alpha, mixup_alpha); then CutMix its box.

    Args:
        out: ``[N, C, H, W]`` images or features.
        target_reweighted: ``[N, K]`` soft labels.
        hidden: whether ``out`` holds hidden features. Default 0.
        args: namespace with mixup_alpha, box, graph; for PuzzleMix also beta, gamma, eta, neigh_size,
            n_labels, mean, std, transport, t_eps, t_size (see :func:`mixup_graph`). ``in_batch`` is ignored.
        grad: ``[N, H, W]`` saliency, for PuzzleMix.
        noise: see :func:`mixup_graph`.
        adv_mask1: see there.
        adv_mask2: see there.
        mp: ignored.

    Returns:
        mixed ``out`` and targets ``[N, K]``.

    Raises:
        TypeError, ValueError: a field of args is missing, or see :func:`mixup_graph`.
    """
    checks.require_tensor(out, "out")
    target_reweighted = soft(target_reweighted, "target_reweighted", len(out))
    mixup_alpha = setting(args, "mixup_alpha")
    block_num = int(2 ** np.random.randint(1, 5))
    indices = native.send(torch.from_numpy(np.random.permutation(len(out))), out.device)
    lam = get_lambda(mixup_alpha)
    if hidden or not (setting(args, "box") or setting(args, "graph")):
        out, ratio = out * lam + out[indices] * (1 - lam), torch.full((len(out),), lam, device=out.device)
    elif args.box:
        out, ratio = mixup_box(out, out[indices], alpha=lam)
    else:
        names = (*Terms._fields, "transport", "t_eps", "t_size")
        options = {name: setting(args, name) for name in names}
        adversarial = {"noise": noise, "adv_mask1": adv_mask1, "adv_mask2": adv_mask2}
        out, ratio = mixup_graph(out, grad, indices, block_num, lam, **options, **adversarial)  # type: ignore[arg-type]
    own = ratio.unsqueeze(-1)
    return out, target_reweighted * own + target_reweighted[indices] * (1 - own)


@official
def transport_image(
    img: torch.Tensor, plan: torch.Tensor, batch_size: int, block_num: int, block_size: int
) -> torch.Tensor:
    """Move the patches of images by plans; a target without a source becomes 0.

    Args:
        img: ``[N, C, W, W]`` with ``W = block_num * block_size``, any C.
        plan: ``[N, block_num^2, block_num^2]``, [source, target].
        batch_size: N.
        block_num: patches per side.
        block_size: pixels per side of a patch.

    Returns:
        ``[N, C, W, W]``; differentiable in the images.

    Raises:
        TypeError, ValueError: not tensors, or shapes that do not fit.
    """
    checks.require_tensor(img, "img")
    if checks.check_count(batch_size, "batch_size", 1) != len(img):
        checks.fail("batch_size", f"{len(img)}, the images given", str(batch_size))
    return move_patches(img, plan, block_num, block_size)
