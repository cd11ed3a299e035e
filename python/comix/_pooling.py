"""Block means of saliency maps: in one native pass, or step by step in torch where that pass cannot go."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from comix import _native as native
from comix._on_cuda import puzzlemix as on_cuda


def pool_in_one_pass(saliency: Tensor, rows: int, columns: int) -> Tensor | None:
    """Block means ``[B, rows, columns]`` of maps ``[B, H, W]``, each image summing to 1.

    None off the CPU, where a gradient is wanted, and when there are values below 0.
    """
    pooled = pool_array(saliency, rows, columns)
    return None if pooled is None else torch.from_numpy(pooled)


def pool_array(saliency: Tensor, rows: int, columns: int) -> np.ndarray[Any, Any] | None:
    """:func:`pool_in_one_pass` for those who work on in NumPy."""
    if saliency.device.type != "cpu" or (saliency.requires_grad and torch.is_grad_enabled()):
        return None
    values = readable_maps(saliency)
    pooled = np.empty((values.shape[0], rows, columns), values.dtype)
    return pooled if native.core.pool_saliency(values, native.threads(), pooled) else None


def readable_maps(saliency: Tensor) -> np.ndarray[Any, Any]:
    """Maps on the CPU as the native code reads them: contiguous, in the dtype that they are pooled in."""
    return native.array(_computed_in(saliency).contiguous())


def pool_elsewhere(saliency: Tensor, rows: int, columns: int) -> Tensor:
    """The same without a look at the values: by the CUDA kernel, or in steps where that cannot go."""
    wants_gradient = saliency.requires_grad and torch.is_grad_enabled()
    if native.has_kernels(saliency) and not wants_gradient:
        return on_cuda.pool_saliency(saliency, rows, columns)
    return pool_in_steps(saliency, rows, columns)


def pool_in_steps(saliency: Tensor, rows: int, columns: int) -> Tensor:
    """The same anywhere, differentiable, without a look at the values."""
    values = _computed_in(saliency)
    # Maps near 1e-30 or 1e30 are as good as any: with the peak at 1 no sum overflows and no mean underflows.
    # A peak of zero, infinity or NaN puts NaN into the map, and NaN ends up in the total.
    values = values / values.amax(dim=(1, 2), keepdim=True)
    pooled = _block_mean(values, rows)  # [B, rows, W]; rows first, they add up as whole lines
    pooled = _block_mean(pooled.transpose(1, 2), columns).transpose(1, 2)  # [B, rows, columns]
    total = pooled.sum(dim=(1, 2), keepdim=True)
    usable = torch.isfinite(total) & (total > 0)
    # Not torch.where, which in older versions of torch copies a number from the host, and waits.
    return (pooled / total).masked_fill(~usable, 1.0 / (rows * columns)).contiguous()


def _computed_in(saliency: Tensor) -> Tensor:
    return saliency if saliency.dtype in (torch.float32, torch.float64) else saliency.float()


def _block_mean(values: Tensor, blocks: int) -> Tensor:  # [B, n, M] -> [B, blocks, M]
    (batch, length, width), device = values.shape, values.device
    shortest = length // blocks
    if length == shortest * blocks:
        return values.reshape(batch, blocks, shortest, width).mean(dim=2)
    # Some blocks are one pixel longer than others. Nothing here is cached: a cached index tensor would tie
    # CUDA graphs and inference mode to whoever came first.
    edges = (torch.arange(blocks + 1, device=device) * length + blocks - 1).div(blocks, rounding_mode="floor")
    start, last, size = edges[:-1], edges[1:] - 1, edges.diff()
    total = values[:, start[:, None] + torch.arange(shortest, device=device)].sum(dim=2)
    longer = (size > shortest)[:, None]
    return (total + values[:, last].masked_fill(~longer, 0.0)) / size[:, None]
