"""Batches, and both augmentations to mix them with."""

from __future__ import annotations

from typing import Any

import comix
import pytest
import torch
from torch import Tensor

CLASSES = 5
AUGMENTATIONS: dict[str, Any] = {"puzzlemix": comix.PuzzleMix, "comixup": comix.CoMixup}
both = pytest.mark.parametrize("name", list(AUGMENTATIONS))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(name: str, **options: Any) -> Any:
    return AUGMENTATIONS[name](num_classes=CLASSES, generator=seeded(), **options)


def batch(
    count: int = 6, size: tuple[int, int] = (16, 16), channels: int = 3, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Images, class indices and saliency."""
    images = torch.rand(count, channels, *size, generator=seeded(1), dtype=torch.float64)
    images = (images * 255).to(dtype) if dtype == torch.uint8 else images.to(dtype)
    return images, torch.arange(count) % CLASSES, torch.rand(count, *size, generator=seeded(2)) ** 3
