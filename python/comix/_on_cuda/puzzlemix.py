"""PuzzleMix on CUDA: block saliency and the energy of masks."""

from __future__ import annotations

from typing import Any

import torch

from comix import _native as native
from comix._on_cuda import name_of, new, ready, ready_images

INLINE_CHANNELS = 64  # so many standard deviations travel as arguments of the kernel


def pool_saliency(saliency: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Block means of maps ``[B, H, W]``, each image summing to 1: float64 for float64, else float32."""
    batch, height, width = saliency.shape
    maps = ready(saliency)
    kernels = native.cuda()
    size = kernels.pool_saliency_scratch(batch=batch, width=width, grid_height=rows, grid_width=columns)
    scratch = native.scratch(size, maps)
    result = torch.float64 if maps.dtype == torch.float64 else torch.float32
    pooled = new(maps, (batch, rows, columns), result)
    kernels.pool_saliency(
        saliency=native.address(maps),
        dtype=name_of(maps.dtype),
        batch=batch,
        height=height,
        width=width,
        grid_height=rows,
        grid_width=columns,
        scratch=native.address(scratch),
        pooled=native.address(pooled),
        **native.place(maps),
    )
    return pooled


def puzzlemix_energy(
    images: torch.Tensor,  # [B, C, H, W] as they came; uint8 counts as 0..1
    blocks: torch.Tensor,  # float32 or float64 [B, gh, gw], each map sums to 1
    index: torch.Tensor,  # int64 [B]
    lam: torch.Tensor | float,  # float64 [B] on the device, or of all
    deviation: torch.Tensor,  # float64 [C], on the device or on the CPU
    *,
    n_labels: int,
    beta: float,  # per edge, divided for the grid
    gamma: float,
    eta: float,  # per block, divided for the grid
    slack: float,
    neigh_size: int,
) -> tuple[torch.Tensor, ...]:
    """Five results, written in one go: launches for small ones would take longer than the work.

    Float64 unary ``[B, gh, gw, L]``, pairwise ``[L, L]``, weight_v ``[B, gh-1, gw]`` and weight_h
    ``[B, gh, gw-1]``; float32 ``[L]``, the weight of the own image under each label.
    """
    batch, channels, height, width = images.shape
    _, gh, gw = blocks.shape
    images, channels_last = ready_images(images)
    blocks, index = ready(blocks), ready(index)
    shares, uniform_lam = (ready(lam), 0.0) if isinstance(lam, torch.Tensor) else (None, lam)
    deviations, numbers = _deviations(deviation, images.device)
    sizes: dict[str, Any] = {
        "batch": batch,
        "channels": channels,
        "height": height,
        "width": width,
        "grid_height": gh,
        "grid_width": gw,
        "n_labels": n_labels,
        "neigh_size": neigh_size,
        "gamma": gamma,
    }
    kernels = native.cuda()
    scratch = native.scratch(kernels.puzzlemix_energy_scratch(**sizes), images)
    unary = new(images, (batch, gh, gw, n_labels), torch.float64)
    pairwise = new(images, (n_labels, n_labels), torch.float64)
    weight_v = new(images, (batch, gh - 1, gw), torch.float64)
    weight_h = new(images, (batch, gh, gw - 1), torch.float64)
    shown = new(images, (n_labels,), torch.float32)
    kernels.puzzlemix_energy(
        images=native.address(images),
        dtype=name_of(images.dtype),
        channels_last=channels_last,
        saliency=native.address(blocks),
        saliency_dtype=name_of(blocks.dtype),
        index=native.address(index),
        lam=native.address(shares),
        uniform_lam=uniform_lam,
        deviation=native.address(deviations),
        uniform_deviation=numbers,
        beta=beta,
        eta=eta,
        slack=slack,
        scratch=native.address(scratch),
        unary=native.address(unary),
        pairwise=native.address(pairwise),
        weight_v=native.address(weight_v),
        weight_h=native.address(weight_h),
        shown=native.address(shown),
        **sizes,
        **native.place(images),
    )
    return unary, pairwise, weight_v, weight_h, shown


def _deviations(deviation: torch.Tensor, device: torch.device) -> tuple[torch.Tensor | None, list[float]]:
    """Standard deviations in device memory, or None and the numbers: few of them need no copy."""
    if deviation.device.type != "cpu":
        return ready(deviation), []
    if deviation.shape[0] > INLINE_CHANNELS:
        return native.send(deviation, device), []
    return None, deviation.tolist()
