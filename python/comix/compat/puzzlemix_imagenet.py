"""PuzzleMix for ImageNet: ``imagenet/mixup.py`` of snu-mllab/PuzzleMix at ``e2dbf3a``.

The same functions as :mod:`comix.compat.puzzlemix`, some with other arguments: transport moves whole blocks
(there is no ``t_size``) and there is no adversarial noise. The official code transports in chunks of 16
that it writes into the caller's batch; this reads its inputs only.
"""

from __future__ import annotations

from typing import Any

import torch

from comix.compat import puzzlemix
from comix.compat._official import official
from comix.compat._puzzle_parts import graphcut_multi, mask_transport, move_patches, neigh_penalty

__all__ = [
    "cost_matrix",
    "graphcut_multi",
    "mask_transport",
    "mixup_graph",
    "neigh_penalty",
    "transport_image",
]


@official
def cost_matrix(width: int) -> torch.Tensor:
    """Squared distances of all pairs of blocks, divided by ``(width-1)^2``.

    Args:
        width: blocks per side.

    Returns:
        float32 ``[width^2, width^2]``, on the current CUDA device if there is one (as officially).
    """
    return puzzlemix.cost_matrix(width)


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
    dataset: str | None = None,
    mp: Any = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix every image with its partner, as :func:`comix.compat.puzzlemix.mixup_graph` with ``t_size=-1``.

    Args:
        input1: see there.
        grad1: see there.
        indices: see there.
        block_num: see there.
        alpha: see there.
        beta: see there.
        gamma: see there.
        eta: see there.
        neigh_size: see there.
        n_labels: see there.
        mean: see there.
        std: see there.
        transport: see there.
        t_eps: see there.
        dataset: ignored; "imagenet" makes the official code work in chunks.
        mp: ignored, the solvers run threads.

    Returns:
        images ``[N, C, H, W]`` and the own images' shares float32 ``[N]``.

    Raises:
        TypeError, ValueError: see there.
    """
    return puzzlemix.mixup_graph(
        input1,
        grad1,
        indices,
        block_num=block_num,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        eta=eta,
        neigh_size=neigh_size,
        n_labels=n_labels,
        mean=mean,
        std=std,
        transport=transport,
        t_eps=t_eps,
        t_size=-1,
    )


@official
def transport_image(img: torch.Tensor, plan: torch.Tensor, block_num: int, block_size: int) -> torch.Tensor:
    """Move the patches of images by plans; a target without a source becomes 0.

    Args:
        img: ``[N, C, W, W]`` with ``W = block_num * block_size``, any C.
        plan: ``[N, block_num^2, block_num^2]``, [source, target].
        block_num: patches per side.
        block_size: pixels per side of a patch.

    Returns:
        ``[N, C, W, W]``; differentiable in the images.

    Raises:
        TypeError, ValueError: not tensors, or shapes that do not fit.
    """
    return move_patches(img, plan, block_num, block_size)
