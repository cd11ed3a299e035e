"""The compiled mixing kernel as a differentiable function of the images, and what native code does for plans.

Arguments are checked by the caller, except for values: functions that build or judge a plan say whether its
values are in range, and leave the explanation to the caller.
"""

from __future__ import annotations

from typing import Any

import torch

from comix import _native as native

Entries = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # source, block, weight: [B_out, gh, gw, 2]


def mix_kernel(
    images: torch.Tensor, source: torch.Tensor, block: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Gather and blend blocks; arguments checked by the caller. Records a graph when images require it."""
    entries = (source, block, weight.detach())
    if images.requires_grad and torch.is_grad_enabled():
        mixed: torch.Tensor = _Mix.apply(images, entries)  # type: ignore[no-untyped-call]
        return mixed
    return _mix(images, entries)


def _mix(images: torch.Tensor, entries: Entries) -> torch.Tensor:
    shape = (entries[0].shape[0], *images.shape[1:])
    # Each call of torch costs as much as mixing a few small images: no view is made that is not needed.
    channels_last = not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)
    if channels_last:
        mixed = torch.empty(shape, dtype=images.dtype, memory_format=torch.channels_last)
        read, written = images.detach().permute(0, 2, 3, 1), mixed.permute(0, 2, 3, 1)
    else:
        mixed = torch.empty(shape, dtype=images.dtype)
        read, written = images.contiguous(), mixed
    source, block, weight = _arrays(entries)
    native.core.mix(
        source,
        block,
        weight,
        native.array(read),
        native.array(written),
        str(images.dtype).removeprefix("torch."),
        channels_last,
        native.threads(),
    )
    return mixed


def _mix_transpose(mixed: torch.Tensor, entries: Entries, n_inputs: int) -> torch.Tensor:
    # Half types add up in float32.
    dtype = mixed.dtype if mixed.dtype == torch.float64 else torch.float32
    gradient = torch.zeros((n_inputs, *mixed.shape[1:]), dtype=dtype)
    source, block, weight = _arrays(entries)
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


def largest_source(entries: Entries, tolerance: float) -> int:
    """The largest source of a plan on the CPU; -1 when a value is out of range (weights: by tolerance)."""
    source, block, weight = _arrays(entries)
    return native.core.plan_largest_source(source, block, weight, tolerance)


def entries_from_labels(labels: torch.Tensor, n_inputs: int) -> tuple[Entries, int] | None:
    """Entries and largest source of labels ``[P, m, gh, gw, 2]``, partitions of n_inputs inputs each.

    ``[B_out, gh, gw, 2]`` is one partition. None when a label is out of range, or they are not on the CPU.
    """
    if labels.device.type != "cpu" or n_inputs > 2**31:
        return None
    grouped = labels if labels.ndim == 5 else labels.unsqueeze(0)
    entries = _new_entries(labels.shape[:-3].numel(), labels.shape[-3], labels.shape[-2])
    array = native.array(grouped.contiguous())
    largest = native.core.plan_from_labels(array, n_inputs, *_arrays(entries))
    return None if largest < 0 else (entries, largest)


def entries_from_mask(
    mask: torch.Tensor, index: torch.Tensor, plan_own: Any, plan_partner: Any
) -> tuple[Entries, int] | None:
    """Entries and largest source of a mask ``[B, gh, gw]`` and moved blocks (any object: looked at here).

    None when an argument is wrong, or not of the kind that the native pass takes.
    """
    if mask.device.type != "cpu" or mask.dtype != torch.float32:
        return None
    moved: list[Any] = []
    for plan in (plan_own, plan_partner):
        if plan is not None:
            if not isinstance(plan, torch.Tensor) or plan.layout != torch.strided:
                return None
            if plan.shape != mask.shape or plan.device != mask.device or plan.dtype != torch.int64:
                return None
            plan = native.array(plan.contiguous())
        moved.append(plan)
    entries = _new_entries(*mask.shape)
    given = (native.array(mask.contiguous()), native.array(index), *moved)
    fine = native.core.plan_from_mask(*given, *_arrays(entries))
    return (entries, mask.shape[0] - 1) if fine else None


def ratio_kernel(source: torch.Tensor, weight: torch.Tensor, n_inputs: int) -> torch.Tensor:
    """Share of every input in every output, float32 ``[B_out, n_inputs]``; on the CPU."""
    ratio = torch.empty(source.shape[0], n_inputs, dtype=torch.float32)
    sources, weights = _arrays((source, weight))
    native.core.plan_ratio(sources, weights, ratio.numpy())
    return ratio


def targets_kernel(source: torch.Tensor, weight: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """The ratio times float32 targets ``[n, K]``; on the CPU.

    Few inputs share an output, so this is a sum over those, not a matrix product: the threads of a product
    this small cost more than its arithmetic.
    """
    mixed = torch.empty(source.shape[0], soft.shape[1], dtype=torch.float32)
    sources, weights, targets = _arrays((source, weight, soft))
    native.core.mix_targets(sources, weights, targets, mixed.numpy())
    return mixed


def _arrays(tensors: tuple[torch.Tensor, ...]) -> Any:
    return tuple(native.array(tensor.contiguous()) for tensor in tensors)


def _new_entries(outputs: int, height: int, width: int) -> Entries:
    shape = (outputs, height, width, 2)
    source, block = torch.empty(shape, dtype=torch.int64), torch.empty(shape, dtype=torch.int64)
    return source, block, torch.empty(shape, dtype=torch.float32)
