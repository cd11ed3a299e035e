"""Inputs of the benchmarks: every set has its own fixed seed, so all contenders see the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MEAN = (0.507, 0.487, 0.441)  # CIFAR-100
STD = (0.267, 0.256, 0.276)


def seeds(seed: int, count: int) -> range:
    """Return the seeds of ``count`` input sets; sets draw from seed and seed + 1, so they are 10 apart."""
    return range(1000 * seed, 1000 * seed + 10 * count, 10)


def generator(seed: int) -> torch.Generator:
    """Return a CPU generator with this seed."""
    return torch.Generator().manual_seed(seed)


def spectral_noise(count: int, size: int, power: float, rng: torch.Generator) -> Tensor:
    """Draw noise with amplitude frequency to the ``-power``: [count, size, size], mean 0, variance 1."""
    white = torch.randn(count, size, size, generator=rng)
    frequency = torch.fft.fftfreq(size)
    radius = (frequency[:, None] ** 2 + frequency[None] ** 2).sqrt().clamp_min(1 / size)
    noise = torch.fft.ifft2(torch.fft.fft2(white) / radius**power).real
    noise = noise - noise.mean((1, 2), keepdim=True)
    return noise / noise.std((1, 2), keepdim=True)


def saliency(count: int, size: int, seed: int, sigma: float = 0.8) -> Tensor:
    """Smooth log-normal saliency fields [count, size, size]; sigma 0.5 is diffuse, 1.2 peaked."""
    return (sigma * spectral_noise(count, size, 1.5, generator(seed))).exp()


def images(count: int, size: int, seed: int, channels: int = 3) -> Tensor:
    """Natural-looking images, normalised: 1/f noise with discs and boxes, [count, channels, size, size]."""
    rng = generator(seed)
    picture = 0.5 + 0.2 * spectral_noise(count * channels, size, 1.0, rng).view(count, channels, size, size)
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    for shape in range(4):
        centre = torch.rand(count, 2, 1, 1, generator=rng) * size
        radius = (0.08 + 0.2 * torch.rand(count, 1, 1, generator=rng)) * size
        down, right = row - centre[:, 0], column - centre[:, 1]
        near = (down**2 + right**2).sqrt() if shape % 2 else torch.maximum(down.abs(), right.abs())
        colour = torch.rand(count, channels, 1, 1, generator=rng)
        picture = torch.where((near < radius).unsqueeze(1), 0.3 * picture + 0.7 * colour, picture)
    if channels != 3:
        return (picture.clamp(0, 1) - 0.5) / 0.25
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    return (picture.clamp(0, 1) - mean) / std


def labelled_images(count: int, size: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw images that carry the pattern of their class at a random place, and the classes [count]."""
    rng = generator(seed + 1)
    label = torch.randint(classes, (count,), generator=rng)
    side = size // 4
    patterns = 2.0 * torch.randn(classes, 3, 2, 2, generator=generator(classes))  # the same for every seed
    patch = F.interpolate(patterns, size=side, mode="nearest")
    picture = images(count, size, seed)
    for image, known, (top, left) in zip(
        picture, label, torch.randint(size - side, (count, 2), generator=rng).tolist(), strict=True
    ):
        image[:, top : top + side, left : left + side] = patch[known]
    return picture, label


@dataclass(frozen=True)
class ComixupProblem:
    """Partitions to label: cost with the prior, compatibility, one start."""

    cost: Tensor  # [P, n, g, g] float32
    compatibility: Tensor  # [P, n, n] float32
    init: Tensor  # [P, m, g, g] int64


def comixup(
    partitions: int, n: int, grid: int, seed: int, size: int = 32, sigma: float = 0.8
) -> ComixupProblem:
    """Draw what Co-Mixup solves for a batch: n inputs and n outputs in every partition."""
    maps = saliency(partitions * n, size, seed, sigma)
    rng = generator(seed + 1)
    pooled = F.avg_pool2d(maps.unsqueeze(1), size // grid).view(partitions, n, grid, grid)
    cost = -pooled / pooled.sum((2, 3), keepdim=True)
    gamma = torch._standard_gamma(torch.full((partitions, n), 2.0), generator=rng)
    prior = -0.05 / grid**2 * (gamma / gamma.sum(1, keepdim=True) + 1e-8).log()
    init = torch.randint(n, (partitions, n, grid, grid), generator=rng)
    return ComixupProblem(
        cost + prior[..., None, None], compatibility(maps.view(partitions, n, size, size)), init
    )


def compatibility(maps: Tensor, omega: float = 0.001, window: int = 8) -> Tensor:
    """Distances of the most salient windows, mixed into the identity: maps [P, n, Y, X] -> [P, n, n]."""
    n, width = maps.shape[1], maps.shape[3]
    means = F.avg_pool2d(maps, window, stride=1)
    place = means.flatten(2).argmax(2)  # [P, n]
    across = width - window + 1
    row, column = place // across, place % across
    distance = (row[:, :, None] - row[:, None]).abs() + (column[:, :, None] - column[:, None]).abs()
    share = distance / distance.sum((1, 2), keepdim=True).clamp_min(1)
    return (1 - omega) * torch.eye(n) + omega * n * share


@dataclass(frozen=True)
class PuzzleProblem:
    """Pairs to mix: images, their saliency, their partners and the mixing ratio."""

    images: Tensor  # [N, 3, Y, X] float32
    saliency: Tensor  # [N, Y, X] float32
    index: Tensor  # [N] int64
    lam: float


def puzzlemix(count: int, size: int, seed: int, sigma: float = 0.8) -> PuzzleProblem:
    """Draw what PuzzleMix solves for a batch."""
    rng = generator(seed + 1)
    index = torch.randperm(count, generator=rng)
    lam = float(0.3 + 0.4 * torch.rand((), generator=rng))
    return PuzzleProblem(images(count, size, seed), saliency(count, size, seed, sigma), index, lam)


@dataclass(frozen=True)
class GridProblem:
    """Grid energies with whole numbers, so that integer and floating solvers see exactly the same energy."""

    unary: np.ndarray  # [K, H, W, L] int32
    pairwise: np.ndarray  # [L, L] int32
    weight_v: np.ndarray  # [K, H-1, W] int32
    weight_h: np.ndarray  # [K, H, W-1] int32

    @cached_property
    def floats(self) -> tuple[np.ndarray, ...]:
        """Return the same four arrays as float64."""
        arrays = (self.unary, self.pairwise, self.weight_v, self.weight_h)
        return tuple(array.astype(np.float64) for array in arrays)


def grid(
    kind: str, count: int, side: int, labels: int, seed: int, *, uniform: bool = False, weight: int = 150
) -> GridProblem:
    """Draw ``count`` problems with "potts" or "quadratic" distances and smooth unary costs up to 1000."""
    rng = generator(seed)
    fields = spectral_noise(count * labels, side, 1.0, rng).view(count, labels, side, side)
    fields = fields + 0.5 * torch.randn(fields.shape, generator=rng)
    unary = (400 + 150 * fields).clamp(0, 1000).permute(0, 2, 3, 1).contiguous().to(torch.int32).numpy()
    step = np.arange(labels)
    pairwise = (step[:, None] - step) ** 2 if kind == "quadratic" else (step[:, None] != step)
    scale = max(1, weight // (labels - 1)) if kind == "quadratic" else weight
    low = scale if uniform else max(1, scale // 2)
    weights = [
        torch.randint(low, scale + 1, shape, generator=rng, dtype=torch.int32).numpy()
        for shape in ((count, side - 1, side), (count, side, side - 1))
    ]
    return GridProblem(unary, pairwise.astype(np.int32), *weights)


@dataclass(frozen=True)
class TransportProblem:
    """Masks and block saliency."""

    saliency: Tensor  # [N, T, T] float32, each sums to 1
    mask: Tensor  # [N, T, T] float32 in {0, 1/2, 1}


def transport(count: int, grid: int, seed: int, sigma: float = 0.8) -> TransportProblem:
    """Draw transport problems with blob-shaped masks of three levels."""
    size = max(grid, 8)
    maps = F.avg_pool2d(saliency(count, size, seed, sigma).unsqueeze(1), size // grid).squeeze(1)
    level = spectral_noise(count, size, 1.5, generator(seed + 1))[:, :grid, :grid]
    mask = ((level > -0.2).float() + (level > 0.2).float()) / 2
    return TransportProblem(maps / maps.sum((1, 2), keepdim=True), mask)
