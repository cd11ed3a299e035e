"""The calls of the CUDA kernels: one module per domain, checked tensors in, new tensors out.

Callers check arguments. Everything runs on the current stream of the tensors' device, nothing looks at
values or waits for the device, so every function can be captured in a CUDA graph. Tensors whose addresses
a kernel gets are held by a name until it is launched: the memory of a temporary would be handed out again
before.
"""

from __future__ import annotations

import torch


def ready(tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """The tensor as kernels take it: contiguous, of ``dtype``, no graph, no lazy sign."""
    return tensor.detach().to(dtype or tensor.dtype).resolve_neg().contiguous()


def new(tensor: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Memory for a result, where ``tensor`` is."""
    return torch.empty(shape, dtype=dtype, device=tensor.device)


def name_of(dtype: torch.dtype) -> str:
    """What kernels call a dtype: ``float32``."""
    return str(dtype).removeprefix("torch.")


def is_channels_last(images: torch.Tensor) -> bool:
    """Whether images ``[B, C, H, W]`` lie as ``[B, H, W, C]`` in memory, and not the usual way."""
    return not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)


def ready_images(images: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """Images as kernels take them, in either memory format, and whether they are channels last."""
    channels_last = is_channels_last(images)
    return images.detach().resolve_neg() if channels_last else ready(images), channels_last


def new_images(images: torch.Tensor, count: int, channels_last: bool) -> torch.Tensor:
    """Memory for ``count`` images of the size, dtype and device of ``images``."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    shape = (count, *images.shape[1:])
    return torch.empty(shape, dtype=images.dtype, device=images.device, memory_format=memory_format)
