"""The compiled mixing kernel as a differentiable function of the images."""

from __future__ import annotations

from typing import Any

import torch

from comix import _native as native

Entries = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # source, block, weight: [B_out, gh, gw, 2]


def mix_kernel(
    images: torch.Tensor, source: torch.Tensor, block: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Gather and blend blocks; arguments checked by the caller. Records a graph when images require it."""
    entries = (source.contiguous(), block.contiguous(), weight.detach().contiguous())
    if images.requires_grad and torch.is_grad_enabled():
        mixed: torch.Tensor = _Mix.apply(images, entries)  # type: ignore[no-untyped-call]
        return mixed
    return _mix(images, entries)


def _mix(images: torch.Tensor, entries: Entries) -> torch.Tensor:
    images = images.detach()
    channels_last = not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    images = images.contiguous(memory_format=memory_format)
    shape = (entries[0].shape[0], *images.shape[1:])
    mixed = torch.empty(shape, dtype=images.dtype, memory_format=memory_format)
    order = (0, 2, 3, 1) if channels_last else (0, 1, 2, 3)
    source, block, weight = (native.array(entry) for entry in entries)
    native.core.mix(
        source,
        block,
        weight,
        native.array(images.permute(order)),
        native.array(mixed.permute(order)),
        str(images.dtype).removeprefix("torch."),
        channels_last,
        native.threads(),
    )
    return mixed


def _mix_transpose(mixed: torch.Tensor, entries: Entries, n_inputs: int) -> torch.Tensor:
    # Half types add up in float32.
    dtype = mixed.dtype if mixed.dtype == torch.float64 else torch.float32
    gradient = torch.zeros((n_inputs, *mixed.shape[1:]), dtype=dtype)
    source, block, weight = (native.array(entry) for entry in entries)
    native.core.mix_transpose(
        source,
        block,
        weight,
        native.array(mixed.detach().to(dtype).contiguous()),
        native.array(gradient),
        str(dtype).removeprefix("torch."),
        native.threads(),
    )
    return gradient.to(mixed.dtype)


class _Mix(torch.autograd.Function):
    """Mixing is linear in the images: its backward is the transpose, and that one's backward is mixing."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, entries: Entries) -> torch.Tensor:
        ctx.entries, ctx.n_inputs = entries, images.shape[0]
        return _mix(images, entries)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return _MixTranspose.apply(gradient, ctx.entries, ctx.n_inputs), None  # type: ignore[no-untyped-call]


class _MixTranspose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mixed: torch.Tensor, entries: Entries, n_inputs: int) -> torch.Tensor:
        ctx.entries = entries
        return _mix_transpose(mixed, entries, n_inputs)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return _Mix.apply(gradient, ctx.entries), None, None  # type: ignore[no-untyped-call]
