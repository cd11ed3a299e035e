"""Block transport on CUDA."""

from __future__ import annotations

import torch

from comix import _native as native
from comix._on_cuda import name_of, new, ready


def transport_plan(
    saliency: torch.Tensor,  # float32 or float64 [B, gh, gw]
    mask: torch.Tensor,  # the same [B, gh, gw]
    eps: float,
    method: str,
) -> torch.Tensor:
    """Which block lands at each position, int64 ``[B, gh, gw]``.

    Exact plans cost what the CPU's cost; among equally cheap ones another may be chosen. NaN and negative
    saliency counts as 0.
    """
    saliency, mask = _maps(saliency, mask)
    count, height, width = saliency.shape
    kernels = native.cuda()
    size = kernels.transport_plan_scratch(count=count, height=height, width=width, method=method)
    scratch = native.scratch(size, saliency)
    plan = new(saliency, (count, height, width), torch.int64)
    kernels.transport_plan(
        saliency=native.address(saliency),
        mask=native.address(mask),
        dtype=name_of(saliency.dtype),
        count=count,
        height=height,
        width=width,
        eps=eps,
        method=method,
        scratch=native.address(scratch),
        plan=native.address(plan),
        **native.place(saliency),
    )
    return plan


def transport_cost(
    plan: torch.Tensor,  # int64 [B, gh, gw]
    saliency: torch.Tensor,  # float32 or float64 [B, gh, gw]
    mask: torch.Tensor,  # the same [B, gh, gw]
    eps: float,
) -> torch.Tensor:
    """Cost of plans, float64 ``[B]``; blocks out of range count as the nearest."""
    plan = ready(plan)
    saliency, mask = _maps(saliency, mask)
    count, height, width = saliency.shape
    cost = new(saliency, (count,), torch.float64)
    native.cuda().transport_cost(
        plan=native.address(plan),
        saliency=native.address(saliency),
        mask=native.address(mask),
        dtype=name_of(saliency.dtype),
        count=count,
        height=height,
        width=width,
        eps=eps,
        cost=native.address(cost),
        **native.place(saliency),
    )
    return cost


def _maps(saliency: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both in one dtype, which kernels want."""
    both = saliency.dtype if saliency.dtype == mask.dtype == torch.float32 else torch.float64
    return ready(saliency, both), ready(mask, both)
