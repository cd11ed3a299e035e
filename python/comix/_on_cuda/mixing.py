"""Mixing by plans on CUDA. Inputs and blocks out of range count as the nearest, as in the kernels."""

from __future__ import annotations

import torch

from comix import _native as native
from comix._on_cuda import name_of, new_images, ready, ready_images

Entries = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # source, block, weight: [B_out, gh, gw, 2]


def mix(images: torch.Tensor, entries: Entries) -> torch.Tensor:
    """Gather and blend blocks of images ``[n, C, H, W]``; memory format and dtype stay."""
    source, block, weight = (ready(entry) for entry in entries)
    outputs, grid_height, grid_width, _ = source.shape
    inputs, channels, height, width = images.shape
    images, channels_last = ready_images(images)
    mixed = new_images(images, outputs, channels_last)
    native.cuda().mix(
        source=native.address(source),
        block=native.address(block),
        weight=native.address(weight),
        outputs=outputs,
        grid_height=grid_height,
        grid_width=grid_width,
        images=native.address(images),
        inputs=inputs,
        channels=channels,
        height=height,
        width=width,
        mixed=native.address(mixed),
        dtype=name_of(images.dtype),
        channels_last=channels_last,
        **native.place(images),
    )
    return mixed


def mix_transpose(mixed: torch.Tensor, entries: Entries, n_inputs: int) -> torch.Tensor:
    """The transpose of :func:`mix`: ``[B_out, C, H, W]`` to ``[n_inputs, C, H, W]``; the format stays."""
    source, block, weight = (ready(entry) for entry in entries)
    outputs, grid_height, grid_width, _ = source.shape
    _, channels, height, width = mixed.shape
    mixed, channels_last = ready_images(mixed)
    order, starts = _uses(source, block, weight, n_inputs)
    images = new_images(mixed, n_inputs, channels_last)
    native.cuda().mix_transpose(
        source=native.address(source),
        block=native.address(block),
        weight=native.address(weight),
        outputs=outputs,
        grid_height=grid_height,
        grid_width=grid_width,
        order=native.address(order),
        starts=native.address(starts),
        mixed=native.address(mixed),
        images=native.address(images),
        inputs=n_inputs,
        channels=channels,
        height=height,
        width=width,
        dtype=name_of(mixed.dtype),
        channels_last=channels_last,
        **native.place(mixed),
    )
    return images


def _uses(
    source: torch.Tensor, block: torch.Tensor, weight: torch.Tensor, n_inputs: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The entries that take each block of each input, and where each block's list begins.

    order int64 ``[entries]``, by input, then block, then entry; starts int64 ``[n_inputs * blocks + 1]``.
    Entries of weight 0 come last, in no list.
    """
    blocks = source.shape[1] * source.shape[2]
    taken = source.clamp(0, n_inputs - 1) * blocks + block.clamp(0, blocks - 1)
    key = taken.masked_fill(weight == 0, n_inputs * blocks).flatten()
    ordered, order = key.sort(stable=True)
    return order, torch.searchsorted(ordered, torch.arange(n_inputs * blocks + 1, device=source.device))


def ratio(source: torch.Tensor, weight: torch.Tensor, n_inputs: int) -> torch.Tensor:
    """Share of every input in every output, float32 ``[B_out, n_inputs]``; NaN where a weight is NaN.

    Weights are summed as integers: floating sums would depend on the order in which the threads add.
    """
    outputs = source.shape[0]
    weight = weight.detach().reshape(outputs, -1).to(torch.float64).clamp(0, 1)
    bits = 62 - weight.shape[1].bit_length()  # so many that no sum overflows: float32 weights stay exact
    parts = (weight * 2.0**bits).round().to(torch.int64)
    used = source.reshape(outputs, -1).clamp(0, n_inputs - 1)
    shares = torch.zeros(outputs, n_inputs, dtype=torch.int64, device=source.device)
    shares.scatter_add_(1, used, parts)
    total = parts.sum(1, keepdim=True) + 0 * weight.sum(1, keepdim=True)
    return (shares / total).to(torch.float32)


def mix_targets(source: torch.Tensor, weight: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """The ratio times float32 targets ``[n, K]``.

    In float64, which neither autocast nor torch.set_float32_matmul_precision cuts short.
    """
    shares = ratio(source, weight, soft.shape[0])
    return (shares.to(torch.float64) @ soft.to(torch.float64)).to(torch.float32)
