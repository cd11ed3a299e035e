"""PuzzleMix of one batch with given draws, for both PuzzleMix repositories' scripts."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from comix import MixPlan, pool_saliency, puzzlemix_mask, transport_plan
from comix import _checks as checks
from comix._targets import check_index
from comix.compat._official import mix, where_solved
from comix.compat._puzzle_parts import mask_transport, move_patches, official_mask, official_saliency, share
from comix.compat._replay import replaying


class Terms(NamedTuple):
    """The parameters of the energy, and mean and std as ``[1, C, 1, 1]`` or None (images in 0..1)."""

    beta: float
    gamma: float
    eta: float
    neigh_size: int
    n_labels: int
    mean: torch.Tensor | None
    std: torch.Tensor | None

    def plain(self, images: torch.Tensor) -> torch.Tensor:
        """Images in 0..1."""
        images = images if self.std is None else images * self.std
        return images if self.mean is None else images + self.mean

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`plain`."""
        images = images if self.mean is None else images - self.mean
        return images if self.std is None else images / self.std


def per_channel(value: Any, name: str, images: torch.Tensor) -> torch.Tensor | None:
    """``mean`` or ``std`` as the official scripts give them ([1, C, 1, 1]), or one number per channel."""
    if value is None:
        return None
    try:
        values = torch.as_tensor(value, dtype=torch.float32).to(images.device).reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        checks.fail(name, "numbers, one per channel", repr(value), TypeError)
    if values.numel() not in (1, images.shape[1]):
        checks.fail(name, f"{images.shape[1]} numbers, one per channel", f"{values.numel()}")
    return values.expand(images.shape[1]).reshape(1, -1, 1, 1)


class Puzzle:
    """A batch with its partners: the mask, then the mix."""

    def __init__(
        self, images: Any, grad: Any, indices: Any, block_num: int, alpha: Any, terms: dict[str, Any]
    ) -> None:
        self.images = checks.check_images(images)
        checks.check_dtype(self.images, "input1", checks.FLOAT_DTYPES)
        if grad is None:
            checks.fail("grad1", "saliency [N, H, W]", "None", TypeError)
        self.grad = checks.check_saliency(grad, self.images, "grad1")
        self.indices = check_index(indices, len(self.images), self.images.device, "indices")
        self.grid = checks.grid_pair(block_num, self.images.shape[2], self.images.shape[3], "block_num")
        self.alpha = share(alpha)
        for name in ("mean", "std"):
            terms[name] = per_channel(terms[name], name, self.images)
        self.terms = Terms(**terms)

    def noisy(
        self, noise: torch.Tensor | None, own: bool, partner: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The images to show and those that partners are taken from, with adversarial noise as wanted."""
        if not (own or partner):
            return self.images, self.images
        if noise is None:
            checks.fail("noise", f"shape {checks.shape_of(self.images)}, as adv_mask is 1", "None", TypeError)
        checks.require_tensor(noise, "noise")
        if noise.shape != self.images.shape:
            checks.fail("noise", f"shape {checks.shape_of(self.images)}", checks.shape_of(noise))
        noisy = self.terms.normalised((self.terms.plain(self.images) + noise).clamp(0, 1))
        return (noisy if own else self.images), (noisy if partner else self.images)

    def __call__(
        self,
        transport: bool,
        t_eps: float,
        t_size: int,
        noise: Any = None,
        own: bool = False,
        partner: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mixed images ``[N, C, Y, X]`` and the own images' shares float32 ``[N]``."""
        first, second = self.noisy(noise, own, partner)
        if replaying():
            return self._as_official(first, second, transport, t_eps, t_size)
        mask = self._best_mask()
        plan = self._plan(mask, transport, t_eps, t_size)
        if first is second:
            mixed = mix(plan, first)
        else:
            second_half = torch.arange(2, device=plan.source.device) * len(first)  # where partners are
            plan = MixPlan(plan.source + second_half, plan.block, plan.weight)
            mixed = mix(plan, torch.cat([first, second]))
        return mixed, mask.flatten(1).mean(1).to(self.images.device)

    def mask(self) -> torch.Tensor:
        """Own images' shares float32 ``[N, 1, H, W]`` on the images' device."""
        if replaying():
            return self._official_mask()[0]
        return self._best_mask().unsqueeze(1).to(self.images.device)

    def _best_mask(self) -> torch.Tensor:
        terms = self.terms
        return puzzlemix_mask(
            where_solved(self.images),
            where_solved(self.grad),
            where_solved(self.indices),
            self.alpha,
            grid=self.grid,
            n_labels=terms.n_labels,
            beta=terms.beta,
            gamma=terms.gamma,
            eta=terms.eta,
            neigh_size=terms.neigh_size,
            mean=None if terms.mean is None else where_solved(terms.mean).flatten(),
            std=None if terms.std is None else where_solved(terms.std).flatten(),
            method="auto",
        )

    def _plan(self, mask: torch.Tensor, transport: bool, eps: float, size: int) -> MixPlan:
        index = where_solved(self.indices)
        if not transport:
            return MixPlan.from_mask(mask, index)
        for axis, (pixels, blocks) in enumerate(zip(self.images.shape[2:], self.grid, strict=True)):
            if size > 0:  # patches smaller than a block; -1: whole blocks
                mask = mask.repeat_interleave(max(1, pixels // blocks // size), 1 + axis)
        saliency = pool_saliency(where_solved(self.grad), (mask.shape[1], mask.shape[2]))
        own = transport_plan(saliency, mask, eps=eps)
        partner = transport_plan(saliency[index], 1 - mask, eps=eps)
        return MixPlan.from_mask(mask, index, own, partner)

    def _as_official(
        self, first: torch.Tensor, second: torch.Tensor, transport: bool, eps: float, size: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mask, saliency = self._official_mask()
        width, (grid, _) = self.images.shape[-1], self.grid
        block = width // grid
        second = second[self.indices]
        if transport:
            patch = min(size, block)
            if patch == -1:
                patch = block
            elif patch < block:
                if width % patch:
                    checks.fail("t_size", f"a divisor of {width}, the image's side, in replay", str(size))
                grid = width // patch
                mask = F.interpolate(mask, size=grid)
                saliency = official_saliency(self.grad, patch)
            first = move_patches(first, mask_transport(mask, saliency, eps), grid, patch)
            second = move_patches(second, mask_transport(1 - mask, saliency[self.indices], eps), grid, patch)
        mask = F.interpolate(mask, size=width)
        return mask * first + (1 - mask) * second, mask.flatten(1).mean(1)

    def _official_mask(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks ``[N, 1, H, W]`` and block saliency ``[N, H, W]``."""
        width, (grid, _) = self.images.shape[-1], self.grid
        block = width // grid
        if self.images.shape[-2] != width or width % grid:
            got = checks.shape_of(self.images)
            checks.fail("input1", f"square images that {grid} blocks divide in replay", got)
        if grid == 1:
            checks.fail("block_num", "at least 2 in replay", "1")
        for name, tensor in (("input1", self.images), ("grad1", self.grad)):
            checks.check_dtype(tensor, f"{name} in replay", (torch.float32, torch.float64))
        if block % min(checks.check_count(self.terms.neigh_size, "neigh_size", 1), block):
            got = str(self.terms.neigh_size)
            checks.fail("neigh_size", f"a divisor of {block}, the pixels per block, in replay", got)
        terms, saliency = self.terms, official_saliency(self.grad, block)
        energy = (terms.beta, terms.gamma, terms.eta, terms.neigh_size, terms.n_labels)
        plain = terms.plain(self.images)
        return official_mask(plain, saliency, self.indices, self.alpha, *energy), saliency
