"""Block transport on CUDA: no kernels yet."""

from __future__ import annotations

import torch

from comix._on_cuda import not_yet


def transport_plan(
    saliency: torch.Tensor,  # float64 [B, gh, gw]
    mask: torch.Tensor,  # float64 [B, gh, gw]
    eps: float,
    method: str,
) -> torch.Tensor:
    """Which block lands at each position, int64 ``[B, gh, gw]``; no kernel yet."""
    not_yet("transport_plan")


def transport_cost(
    plan: torch.Tensor,  # int64 [B, gh, gw]
    saliency: torch.Tensor,  # float64 [B, gh, gw]
    mask: torch.Tensor,  # float64 [B, gh, gw]
    eps: float,
) -> torch.Tensor:
    """Cost of plans, float64 ``[B]``; no kernel yet."""
    not_yet("transport_cost")
