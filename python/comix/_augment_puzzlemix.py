"""The PuzzleMix augmentation: images and targets in, mixed images and soft targets out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._mix_kernel import entries_of_arrays
from comix._mixers import Mixer, check_generator, draw_beta
from comix.mixing import MixPlan
from comix.puzzlemix import mask_and_terms
from comix.saliency import pool_saliency
from comix.transport import transport_plan


class PuzzleMix(Mixer):
    """Mix each sample with a partner: salient blocks of both survive, and move to where they fit.

    Kim, Choo & Song, "Puzzle Mix: exploiting saliency and local statistics for optimal mixup", ICML 2020.
    Masks are proven optima of the paper's energy, transport plans optimal permutations.

    Random draws per call, in this order, all from ``generator`` (torch's global one if None): the grid (one
    index into those of ``grid_choices`` that fit the image), the partners (a permutation of the batch), lam
    (Beta(alpha, alpha), one per batch).

    Args:
        num_classes: number of classes, for targets given as class indices.
        alpha: of the Beta distribution of lam; 0 keeps lam at 1. Default 1.0.
        grid_choices: blocks per side, one is drawn per batch. Default (2, 4, 8, 16).
        n_labels: number of mask values, at least 2. Default 3.
        beta: smoothness. Default 1.2.
        gamma: local contrast, as a share of beta. Default 0.5.
        eta: prior. Default 0.2.
        neigh_size: side in pixels of the cells compared across borders. Default 4.
        transport: whether blocks move. Default True.
        transport_eps: price of moving across the grid. Default 0.8.
        transport_size: side in pixels of the blocks that move, where smaller than a mask block (4 in the
            paper's CIFAR setting). Default: mask blocks move.
        mean: channel means that the images were normalised with. Default: images in 0..1.
        std: channel standard deviations, likewise.
        generator: torch.Generator of all draws.

    Raises:
        TypeError, ValueError: a parameter of a wrong type or range.

    Example:
        >>> import comix, torch
        >>> aug = comix.PuzzleMix(num_classes=10, generator=torch.Generator().manual_seed(0))
        >>> images, targets = aug(torch.rand(4, 3, 32, 32), torch.tensor([1, 2, 3, 4]))
        >>> images.shape, targets.shape
        (torch.Size([4, 3, 32, 32]), torch.Size([4, 10]))
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        alpha: float = 1.0,
        grid_choices: Sequence[int] = (2, 4, 8, 16),
        n_labels: int = 3,
        beta: float = 1.2,
        gamma: float = 0.5,
        eta: float = 0.2,
        neigh_size: int = 4,
        transport: bool = True,
        transport_eps: float = 0.8,
        transport_size: int | None = None,
        mean: Sequence[float] | torch.Tensor | float | None = None,
        std: Sequence[float] | torch.Tensor | float | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if num_classes is not None:
            checks.check_count(num_classes, "num_classes", 1)
        if isinstance(grid_choices, int):
            grid_choices = (grid_choices,)
        if not isinstance(grid_choices, Sequence) or isinstance(grid_choices, str):
            checks.fail("grid_choices", "a sequence of ints", repr(grid_choices), TypeError)
        if not grid_choices:
            checks.fail("grid_choices", "at least one grid to choose", repr(grid_choices))
        for choice in grid_choices:
            checks.check_count(choice, "grid_choices", 1)
        if transport_size is not None:
            checks.check_count(transport_size, "transport_size", 1)
        self.num_classes = num_classes
        self.alpha = checks.check_number(alpha, "alpha", 0.0)
        self.grid_choices = tuple(grid_choices)
        if not isinstance(transport, bool):
            checks.fail("transport", "True or False", repr(transport), TypeError)
        self.transport = transport
        self.transport_eps = checks.check_number(transport_eps, "transport_eps", 0.0)
        self.transport_size = transport_size
        self.generator = check_generator(generator)
        self._energy: dict[str, Any] = {
            "n_labels": checks.check_count(n_labels, "n_labels", 2),
            "beta": checks.check_number(beta, "beta", 0.0),
            "gamma": checks.check_number(gamma, "gamma", 0.0),
            "eta": checks.check_number(eta, "eta", 0.0),
            "neigh_size": checks.check_count(neigh_size, "neigh_size", 1),
            "mean": mean,
            "std": std,
        }

    def __repr__(self) -> str:
        settings = f"grid_choices={self.grid_choices}, alpha={self.alpha:g}, transport={self.transport}"
        return f"PuzzleMix({settings})"

    def draw(self, batch: int, height: int, width: int) -> tuple[int, torch.Tensor, float]:
        """The random part of one call: (grid, partners int64 ``[B]``, lam)."""
        fitting = [grid for grid in self.grid_choices if grid <= min(height, width)]
        if not fitting:
            expected = f"a grid that fits {height} x {width} pixels"
            checks.fail("grid_choices", expected, repr(self.grid_choices))
        grid = fitting[int(torch.randint(0, len(fitting), (), generator=self.generator))]
        index = torch.randperm(batch, generator=self.generator)
        lam = 1.0 if self.alpha == 0 else draw_beta(self.alpha, self.generator)
        return grid, index, lam

    def plan(
        self,
        images: torch.Tensor,
        saliency: torch.Tensor,
        index: torch.Tensor,
        lam: torch.Tensor | float,
        grid: int | tuple[int, int],
    ) -> MixPlan:
        """The mix plan for given draws; deterministic.

        Args:
            images: ``[B, C, H, W]``.
            saliency: ``[B, H, W]``.
            index: ``[B]`` partners.
            lam: expected share of the own image, a number or ``[B]``.
            grid: blocks per side.

        Returns:
            A plan with B outputs.
        """
        # "auto" is exact here, except for gamma > 1 on wide grids, where exact would have to refuse.
        mask, terms = mask_and_terms(images, saliency, index, lam, grid=grid, method="auto", **self._energy)
        blocks, index = terms.blocks, terms.partner
        if not self.transport:
            return MixPlan.from_mask(torch.as_tensor(mask), index)
        height, width = saliency.shape[1:]
        fine = [self._refinement(n // g) for n, g in zip((height, width), mask.shape[1:], strict=True)]
        if fine != [1, 1]:
            batch, gh, gw = mask.shape
            spread = torch.as_tensor(mask)[:, :, None, :, None].expand(batch, gh, fine[0], gw, fine[1])
            spread = spread.reshape(batch, gh * fine[0], gw * fine[1])
            blocks = pool_saliency(saliency, (spread.shape[1], spread.shape[2]))
            on_cpu = isinstance(mask, np.ndarray)
            mask, blocks = (native.array(t) if on_cpu else t for t in (spread, blocks))
        own, partner = self._moves(blocks, mask, index)
        if isinstance(mask, np.ndarray):
            if built := entries_of_arrays(mask, native.array(index), own, partner):
                return MixPlan._of_checked(*built)
            mask, own, partner = map(torch.from_numpy, (mask, own, partner))
        return MixPlan.from_mask(mask, index, own, partner)

    def _refinement(self, block: int) -> int:
        """Blocks that move per mask block, along one axis of mask blocks of this many pixels."""
        return 1 if self.transport_size is None else max(1, block // self.transport_size)

    def _moves(self, blocks: Any, mask: Any, index: torch.Tensor) -> tuple[Any, Any]:
        """Transport plans of own images and partners, solved as one batch of problems."""
        maps: Any
        shown: Any
        if isinstance(mask, np.ndarray):
            shape = (2 * len(mask), *mask.shape[1:])
            maps, shown = np.empty(shape, blocks.dtype), np.empty(shape, np.float32)
            native.core.puzzlemix_moves(mask, blocks, native.array(index), maps, shown)
        else:
            partners = index.clamp(0, len(mask) - 1)  # values on the device are not checked
            maps = torch.cat((blocks, blocks[partners])).to(torch.float64)
            shown = torch.cat((mask, 1 - mask)).to(torch.float64)
        plans = transport_plan(maps, shown, eps=self.transport_eps)
        return plans[: len(mask)], plans[len(mask) :]

    def _plan_batch(self, images: torch.Tensor, saliency: torch.Tensor) -> MixPlan:
        grid, index, lam = self.draw(images.shape[0], images.shape[2], images.shape[3])
        return self.plan(images, saliency, index, lam, grid)
