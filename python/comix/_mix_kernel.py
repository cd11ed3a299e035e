"""The compiled mixing kernels on the CPU, and what native code does there for plans.

Arguments are checked by the caller, except for values: functions that build or judge a plan say whether its
values are in range, and leave the explanation to the caller.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from comix import _native as native

_Array = np.ndarray[Any, Any]
Entries = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # source, block, weight: [B_out, gh, gw, 2]
Arrays = tuple[_Array, _Array, _Array]  # the same, contiguous


class Batch(NamedTuple):
    """Images and targets that the native code mixes in the call that makes their plan."""

    images: torch.Tensor  # the mixed ones, once that call has returned
    targets: torch.Tensor
    memory: tuple[Any, ...]  # as the native code takes it


def batch_to_mix(images: torch.Tensor, targets: torch.Tensor, num_classes: int | None) -> Batch:
    """Memory for as many outputs as inputs."""
    mixed, memory = _image_memory(images, images.shape[0])
    soft = _target_memory(images.shape[0], targets, num_classes)
    memory = (*memory, native.array(targets.contiguous()), soft)
    return Batch(mixed, torch.from_numpy(soft), memory)


def mix_kernel(images: torch.Tensor, entries: Entries) -> torch.Tensor:
    """Gather and blend blocks of images ``[n, C, H, W]``."""
    mixed, (read, written, name, channels_last) = _image_memory(images, entries[0].shape[0])
    source, block, weight = _arrays(entries)
    native.core.mix(source, block, weight, read, written, name, channels_last, native.threads())
    return mixed


def _image_memory(images: torch.Tensor, outputs: int) -> tuple[torch.Tensor, tuple[Any, ...]]:
    """A tensor for the outputs; inputs, outputs, dtype and channels_last as the native code takes them."""
    shape, dtype = images.shape, images.dtype
    # Each call of torch costs as much as mixing a few small images: no view is made that is not needed.
    contiguous = images.is_contiguous()
    channels_last = not contiguous and images.is_contiguous(memory_format=torch.channels_last)
    if contiguous and outputs == shape[0] and type(images) is torch.Tensor:
        # Half the cost of naming a shape.
        written = mixed = torch.empty_like(images, memory_format=torch.contiguous_format)
        read = images
    elif channels_last:
        mixed = torch.empty(
            (outputs, *shape[1:]), dtype=dtype, device="cpu", memory_format=torch.channels_last
        )
        read, written = images.detach().permute(0, 2, 3, 1), mixed.permute(0, 2, 3, 1)
    else:
        mixed = torch.empty((outputs, *shape[1:]), dtype=dtype, device="cpu")
        read, written = images.contiguous(), mixed
    name = str(dtype).removeprefix("torch.")
    return mixed, (native.array(read), native.array(written), name, channels_last)


def mix_transpose_kernel(mixed: torch.Tensor, entries: Entries, n_inputs: int) -> torch.Tensor:
    """The transpose: ``[B_out, C, H, W]`` to ``[n_inputs, C, H, W]``, contiguous."""
    # Half types add up in float32.
    dtype = mixed.dtype if mixed.dtype == torch.float64 else torch.float32
    gradient = torch.zeros((n_inputs, *mixed.shape[1:]), dtype=dtype, device="cpu")
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
    array = native.array(labels.contiguous())
    grouped = array if array.ndim == 5 else array[None]
    entries = new_entries(math.prod(grouped.shape[:2]), *grouped.shape[2:4])
    largest = native.core.plan_from_labels(grouped, n_inputs, *entries)
    return None if largest < 0 else (as_tensors(entries), largest)


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
    entries = new_entries(*mask.shape)
    own, partner = moved
    fine = native.core.plan_from_mask(
        native.array(mask.contiguous()), native.array(index), own, partner, *entries
    )
    return (as_tensors(entries), mask.shape[0] - 1) if fine else None


def ratio_kernel(source: torch.Tensor, weight: torch.Tensor, n_inputs: int) -> torch.Tensor:
    """Share of every input in every output, float32 ``[B_out, n_inputs]``; on the CPU."""
    ratio = np.empty((source.shape[0], n_inputs), np.float32)
    sources, weights = _arrays((source, weight))
    native.core.plan_ratio(sources, weights, ratio)
    return torch.from_numpy(ratio)


def targets_kernel(
    source: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, num_classes: int | None
) -> torch.Tensor:
    """The ratio times float32 targets ``[n, K]``, or int64 class indices ``[n]``; on the CPU.

    Few inputs share an output, so this is a sum over those, not a matrix product: the threads of a product
    this small cost more than its arithmetic.
    """
    mixed = _target_memory(source.shape[0], targets, num_classes)
    sources, weights, given = _arrays((source, weight, targets))
    mix = native.core.mix_targets if targets.ndim == 2 else native.core.mix_classes
    mix(sources, weights, given, mixed)
    return torch.from_numpy(mixed)


def _target_memory(outputs: int, targets: torch.Tensor, num_classes: int | None) -> _Array:
    classes = num_classes if targets.ndim == 1 and num_classes else targets.shape[1]
    return np.empty((outputs, classes), np.float32)


def _arrays(tensors: tuple[torch.Tensor, ...]) -> Any:
    return [native.array(tensor.contiguous()) for tensor in tensors]


# Small arrays: NumPy makes one in a fraction of the time that torch takes for a tensor.


def new_entries(outputs: int, height: int, width: int) -> Arrays:
    """Source, block and weight ``[outputs, height, width, 2]``, for the native code to fill."""
    shape = (outputs, height, width, 2)
    return np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape, np.float32)


def as_tensors(arrays: Arrays) -> Entries:
    """The same memory as tensors."""
    source, block, weight = arrays
    return torch.from_numpy(source), torch.from_numpy(block), torch.from_numpy(weight)
