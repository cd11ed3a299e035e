"""PuzzleMix: which share of each block comes from a sample and which from its partner.

The energy of a mask is ::

    E = sum_p (1-t_p) K1_p + t_p K2_p + eta prior(k_p) / blocks  +  sum_edges (g + beta') (t_p - t_q)^2

with t = k / (L-1) the partner's share under label k, K1 the saliency of the partner and K2 that of the
sample (what is not shown is lost), each plus half of the local contrast along block borders, and g the part
of that contrast that depends on both blocks. Kim, Choo & Song, "Puzzle Mix", ICML 2020, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._on_cuda import gridcut as on_cuda
from comix._pooling import readable_maps
from comix._puzzlemix_terms import (
    Arguments,
    EnergyTerms,
    GridEnergy,
    PuzzleTerms,
    checked_arguments,
    puzzle_terms,
)
from comix.gridcut import METHODS, grid_cut

__all__ = ["GridEnergy", "puzzlemix_energy", "puzzlemix_mask"]


def puzzlemix_energy(
    images: torch.Tensor,
    saliency: torch.Tensor,
    index: torch.Tensor,
    lam: torch.Tensor | float,
    *,
    grid: int | tuple[int, int] = 4,
    n_labels: int = 3,
    beta: float = 1.2,
    gamma: float = 0.5,
    eta: float = 0.2,
    neigh_size: int = 4,
    mean: Sequence[float] | torch.Tensor | float | None = None,
    std: Sequence[float] | torch.Tensor | float | None = None,
) -> GridEnergy:
    """The grid energy whose minimum is the PuzzleMix mask; label k gives the partner k/(n_labels-1).

    Where sizes do not divide, blocks differ by one pixel (see :class:`comix.MixPlan`) and each block is cut
    into ``block // min(neigh_size, block)`` cells; the official code fails there. On non-square grids
    the official ``beta / grid`` becomes ``beta / sqrt(gh * gw)``. Where everything divides, the
    numbers are those of the official code.

    Args:
        images: ``[B, C, H, W]``, any float dtype, normalised by ``mean`` and ``std``; uint8 counts as 0..1.
        saliency: ``[B, H, W]`` >= 0, any scale.
        index: ``[B]`` integers, the partner of each sample.
        lam: expected share of the own image, a number or ``[B]``, in 0..1.
        grid: blocks per side, or (vertically, horizontally). Default 4.
        n_labels: number of mask values, at least 2. Default 3.
        beta: weight of label smoothness. Default 1.2.
        gamma: weight of the local image contrast, as a share of beta. Default 0.5. Above 1, edge weights
            may become negative, which ``method="exact"`` may refuse on wide grids.
        eta: weight of the prior on lam. Default 0.2.
        neigh_size: side in pixels of the cells compared across block borders. Default 4.
        mean: channel means the images were normalised with. Default: images are in 0..1. (Only
            differences of pixels matter, so the mean has no effect on the energy.)
        std: channel standard deviations, likewise. Default 1.

    Returns:
        GridEnergy(unary, pairwise, weight_v, weight_h), float64.

    Raises:
        TypeError: not a tensor, or of a wrong dtype.
        ValueError: wrong shapes, NaN, values out of range, a grid larger than the image.

    Example:
        >>> import comix, torch
        >>> images, saliency = torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8)
        >>> comix.puzzlemix_energy(images, saliency, torch.tensor([1, 0]), 0.5, grid=2).unary.shape
        torch.Size([2, 2, 2, 3])
    """
    given = checked_arguments(
        images,
        saliency,
        index,
        lam,
        grid=grid,
        n_labels=n_labels,
        beta=beta,
        gamma=gamma,
        eta=eta,
        neigh_size=neigh_size,
        mean=mean,
        std=std,
    )
    return GridEnergy(*map(_tensor, puzzle_terms(given).energy))


def _tensor(term: Any) -> torch.Tensor:
    if isinstance(term, torch.Tensor):
        return term
    # An empty array (no edges) has strides of its own.
    return torch.from_numpy(term) if term.size else torch.empty(term.shape, dtype=torch.float64, device="cpu")


def puzzlemix_mask(
    images: torch.Tensor,
    saliency: torch.Tensor,
    index: torch.Tensor,
    lam: torch.Tensor | float,
    *,
    grid: int | tuple[int, int] = 4,
    n_labels: int = 3,
    beta: float = 1.2,
    gamma: float = 0.5,
    eta: float = 0.2,
    neigh_size: int = 4,
    mean: Sequence[float] | torch.Tensor | float | None = None,
    std: Sequence[float] | torch.Tensor | float | None = None,
    method: str = "exact",
) -> torch.Tensor:
    """PuzzleMix masks: the minimum of :func:`puzzlemix_energy`, as the weight of the own image.

    Args:
        images: ``[B, C, H, W]``, any float dtype, or uint8. This and the following as in
            :func:`puzzlemix_energy`, which says more.
        saliency: ``[B, H, W]`` >= 0, any scale.
        index: ``[B]`` integers, the partner of each sample.
        lam: expected share of the own image, a number or ``[B]``, in 0..1.
        grid: blocks per side, or (vertically, horizontally). Default 4.
        n_labels: number of mask values, at least 2. Default 3.
        beta: weight of label smoothness. Default 1.2.
        gamma: weight of the local image contrast, as a share of beta. Default 0.5.
        eta: weight of the prior on lam. Default 0.2.
        neigh_size: side in pixels of the cells compared across block borders. Default 4.
        mean: channel means the images were normalised with. Default: images are in 0..1.
        std: channel standard deviations, likewise. Default 1.
        method: of the cut, as in :func:`comix.grid_cut`. Default ``"exact"``: the optimum
            for any grid and n_labels as long as no edge weight is negative (gamma <= 1), and mostly else.

    Returns:
        float32 ``[B, gh, gw]`` with values ``1 - k / (n_labels - 1)``.

    Raises:
        TypeError: not a tensor, or of a wrong dtype.
        ValueError: wrong shapes, NaN, values out of range, unknown method, or exact not affordable.

    Example:
        >>> import comix, torch
        >>> images, saliency = torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8)
        >>> comix.puzzlemix_mask(images, saliency, torch.tensor([1, 0]), 0.5, grid=2).shape
        torch.Size([2, 2, 2])
    """
    checks.check_option(method, "method", METHODS)
    given = checked_arguments(
        images,
        saliency,
        index,
        lam,
        grid=grid,
        n_labels=n_labels,
        beta=beta,
        gamma=gamma,
        eta=eta,
        neigh_size=neigh_size,
        mean=mean,
        std=std,
    )
    if given.images.is_cpu and (found := _masks_in_one_call(given, method)) is not None:
        return torch.from_numpy(found)
    return mask_and_terms(given, method)[0]


def _masks_in_one_call(given: Arguments, method: str) -> np.ndarray[Any, Any] | None:
    """The masks on the CPU; None when a value is wrong or the method refuses: the steps say which and why."""
    grid, _, smoothness, gamma, _, neigh_size, rounding = given.settings
    mask = np.empty((given.images.shape[0], *grid), np.float32)
    fine = native.core.puzzlemix_masks(
        given.pixels(),
        readable_maps(given.saliency),
        native.array(given.partner),
        given.prior(),
        native.array(given.deviation),
        grid,
        smoothness,
        gamma,
        neigh_size,
        rounding,
        method,
        native.threads(),
        mask,
    )
    return mask if fine else None


def mask_and_terms(given: Arguments, method: str) -> tuple[torch.Tensor, PuzzleTerms]:
    """:func:`puzzlemix_mask`, all its settings given, and what it was made from: arrays on the CPU.

    The CPU comes here for the error alone: what its one call declines is wrong.
    """
    terms = puzzle_terms(given)
    return native.tensor(terms.shown)[_labels(terms.energy, method)], terms


def _labels(energy: EnergyTerms, method: str) -> torch.Tensor:
    """What :func:`comix.grid_cut` finds, without its energy: on CUDA that would be a launch of its own."""
    if not isinstance(energy.unary, torch.Tensor):
        return native.tensor(grid_cut(*energy, method=method).labels)
    for name, costs in energy._asdict().items():
        checks.check_finite(costs, name)  # of itself only inside debug()
    return on_cuda.cut(*energy, method, None, 0)[0]
