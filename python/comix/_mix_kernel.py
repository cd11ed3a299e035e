"""The compiled mixing kernels on the CPU, and what native code does there for plans.

Arguments are checked by the caller, except for values: functions that build or judge a plan say whether its
values are in range, and leave the explanation to the caller.
"""

from __future__ import annotations

from typing import Any

import torch

from comix import _native as native

Entries = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # source, block, weight: [B_out, gh, gw, 2]


def mix_kernel(images: torch.Tensor, entries: Entries) -> torch.Tensor:
    """Gather and blend blocks of images ``[n, C, H, W]``."""
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


def mix_transpose_kernel(mixed: torch.Tensor, entries: Entries, n_inputs: int) -> torch.Tensor:
    """The transpose: ``[B_out, C, H, W]`` to ``[n_inputs, C, H, W]``, contiguous."""
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
