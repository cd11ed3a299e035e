"""The PuzzleMix augmentation: images and targets in, mixed images and soft targets out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from comix import _checks as checks
from comix import _native as native
from comix._mix_kernel import Batch, new_entries
from comix._mixers import Mixer, PlanDraft, check_generator, draw_beta
from comix._pooling import readable_maps
from comix._puzzlemix_terms import Arguments, checked_arguments, checked_deviation, settings_of
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
        self.transport = checks.check_flag(transport, "transport")
        self.transport_eps = checks.check_number(transport_eps, "transport_eps", 0.0)
        self.transport_size = transport_size
        self.generator = check_generator(generator)
        self._energy: dict[str, Any] = {
            "n_labels": checks.check_label_count(n_labels, "n_labels"),
            "beta": checks.check_number(beta, "beta", 0.0),
            "gamma": checks.check_number(gamma, "gamma", 0.0),
            "eta": checks.check_number(eta, "eta", 0.0),
            "neigh_size": checks.check_count(neigh_size, "neigh_size", 1),
        }
        self._channels: dict[str, Any] = {"mean": mean, "std": std}
        # What std says per channel, by the number of channels; only for values that nobody can change.
        self._deviations: dict[int, torch.Tensor] | None = {} if _fixed(mean) and _fixed(std) else None

    def __repr__(self) -> str:
        settings = f"grid_choices={self.grid_choices}, alpha={self.alpha:g}, transport={self.transport}"
        return f"PuzzleMix({settings})"

    def draw(self, batch: int, height: int, width: int) -> tuple[int, torch.Tensor, float]:
        """Draw the random part of one call, what :meth:`plan` takes.

        Args:
            batch: B, the number of images.
            height: of the images, in pixels.
            width: of the images, in pixels.

        Returns:
            blocks per side (an int), partners int64 ``[B]`` on the CPU, lam (a float in 0..1).

        Raises:
            ValueError: none of ``grid_choices`` fits the image.
        """
        fitting = [grid for grid in self.grid_choices if grid <= min(height, width)]
        if not fitting:
            expected = f"a grid that fits {height} x {width} pixels"
            checks.fail("grid_choices", expected, repr(self.grid_choices))
        grid = fitting[int(torch.randint(0, len(fitting), (), generator=self.generator, device="cpu"))]
        index = torch.randperm(batch, generator=self.generator, device="cpu")
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
            images: ``[B, C, H, W]``, any float dtype or uint8; read only.
            saliency: ``[B, H, W]`` maps >= 0.
            index: ``[B]`` integers, the partner of each sample.
            lam: expected share of the own image, a number or ``[B]``, in 0..1.
            grid: blocks per side, or (vertically, horizontally).

        Returns:
            A plan with B outputs, on the device of ``images``.

        Raises:
            TypeError, ValueError: an argument of a wrong type, shape or value; the text names it.
        """
        plan = self._solve(
            checked_arguments(images, saliency, index, lam, grid=grid, **self._energy, **self._channels)
        )
        return plan.finished() if isinstance(plan, PlanDraft) else plan

    def _solve(self, given: Arguments, batch: Batch | None = None) -> MixPlan | PlanDraft:
        finer = self._finer(given)
        if given.images.is_cpu and (draft := self._plan_in_one_call(given, finer, batch)):
            return draft
        return self._plan_in_steps(given, finer)

    def _finer(self, given: Arguments) -> tuple[int, int]:
        """Blocks that move per mask block, down and across."""
        if self.transport_size is None:
            return 1, 1
        (height, width), (gh, gw) = given.saliency.shape[1:], given.settings.grid
        down, across = height // gh // self.transport_size, width // gw // self.transport_size
        return max(1, down), max(1, across)

    def _plan_in_one_call(
        self, given: Arguments, finer: tuple[int, int], batch: Batch | None
    ) -> PlanDraft | None:
        """The plan on the CPU, and the batch mixed by it; None when a value is wrong: the steps say which."""
        (gh, gw), _, smoothness, gamma, _, neigh_size, rounding = given.settings
        down, across = finer if self.transport else (1, 1)
        entries = new_entries(given.images.shape[0], gh * down, gw * across)
        fine = native.core.puzzlemix_plan(
            given.pixels(),
            readable_maps(given.saliency),
            native.array(given.partner),
            given.prior(),
            native.array(given.deviation),
            (gh, gw),
            finer if self.transport else (0, 0),
            smoothness,
            gamma,
            neigh_size,
            rounding,
            self.transport_eps,
            native.threads(),
            *entries,
            None if batch is None else batch.memory,
        )
        return PlanDraft(entries, given.images.shape[0] - 1, pairs=True) if fine else None

    def _plan_in_steps(self, given: Arguments, finer: tuple[int, int]) -> MixPlan:
        # "auto" is exact here, except for gamma > 1 on wide grids, where exact might have to refuse.
        mask, terms = mask_and_terms(given, "auto")
        blocks, index = native.tensor(terms.blocks), terms.partner
        if not self.transport:
            return MixPlan.from_mask(mask, index)
        if finer != (1, 1):
            batch, gh, gw = mask.shape
            mask = mask[:, :, None, :, None].expand(batch, gh, finer[0], gw, finer[1])
            mask = mask.reshape(batch, gh * finer[0], gw * finer[1])
            blocks = pool_saliency(given.saliency, (mask.shape[1], mask.shape[2]))
        # Transport of own images and of partners, solved as one batch of problems.
        partners = index.clamp(0, len(mask) - 1)  # values on the device are not checked
        maps = torch.cat((blocks, blocks[partners])).to(torch.float64)
        shown = torch.cat((mask, 1 - mask)).to(torch.float64)
        own, partner = transport_plan(maps, shown, eps=self.transport_eps).chunk(2)
        return MixPlan.from_mask(mask, index, own, partner)

    def _deviation(self, images: torch.Tensor) -> torch.Tensor:
        channels, known = images.shape[1], self._deviations
        if known is not None and channels in known:
            return known[channels]
        deviation = checked_deviation(**self._channels, channels=channels, device=images.device)
        if known is not None:
            known[channels] = deviation
        return deviation

    def _plan_batch(
        self, images: torch.Tensor, saliency: torch.Tensor, batch: Batch | None
    ) -> MixPlan | PlanDraft:
        native.require_device(images, "images")
        grid, index, lam = self.draw(images.shape[0], images.shape[2], images.shape[3])
        index = index if images.is_cpu else native.send(index, images.device)
        settings = settings_of(images, (grid, grid), **self._energy)
        # The caller has checked the images, and the draws need no check.
        given = Arguments(images, saliency, index, lam, self._deviation(images), settings)
        return self._solve(given, batch)


def _fixed(values: object) -> bool:
    """Whether ``mean`` or ``std`` stays what it is: a number, a tuple of numbers, or None."""
    numbers = values if isinstance(values, tuple) else (values,)
    return all(isinstance(number, (int, float, type(None))) for number in numbers)
