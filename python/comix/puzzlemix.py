"""PuzzleMix: which share of each block comes from a sample and which from its partner.

    E = sum_p (1-t_p) K1_p + t_p K2_p + eta prior(k_p) / blocks  +  sum_edges (g + beta') (t_p - t_q)^2

with t = k / (L-1) the partner's share under label k, K1 the saliency of the partner and K2 that of the
sample (what is not shown is lost), each plus half of the local contrast along block borders, and g the part
of that contrast that depends on both blocks. Kim, Choo & Song, "Puzzle Mix", ICML 2020, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._targets import check_index
from comix.gridcut import METHODS, grid_cut
from comix.saliency import pool_saliency

_PRIOR_EPS = 1e-8


class GridEnergy(NamedTuple):
    """A grid energy, ready for :func:`comix.grid_cut`.

    Attributes:
        unary: float64 ``[B, gh, gw, L]``.
        pairwise: float64 ``[L, L]``.
        weight_v: float64 ``[B, gh-1, gw]``, edges between rows.
        weight_h: float64 ``[B, gh, gw-1]``, edges between columns.
    """

    unary: torch.Tensor
    pairwise: torch.Tensor
    weight_v: torch.Tensor
    weight_h: torch.Tensor


def check_lam(lam: torch.Tensor | float, batch: int) -> torch.Tensor:
    """The own image's expected share as float64 ``[B]``, in 0..1."""
    if isinstance(lam, torch.Tensor):
        checks.check_dtype(lam, "lam", checks.FLOAT_DTYPES)
        if lam.ndim > 1 or (lam.ndim == 1 and lam.shape[0] != batch):
            checks.fail("lam", f"a number or shape [{batch}]", checks.shape_of(lam))
        lam = lam.detach().to(torch.float64).expand(batch)
    else:
        lam = torch.full((batch,), checks.check_number(lam, "lam"), dtype=torch.float64)
    checks.check_finite(lam, "lam")
    checks.check_range(lam, "lam", 0, 1)
    return lam


def check_channel_values(values: Any, name: str, channels: int) -> torch.Tensor:
    """``mean`` or ``std`` as float64 ``[C]``: one number, or one per channel."""
    if isinstance(values, (int, float)) and not isinstance(values, bool):
        values = [values] * channels
    if not isinstance(values, (Sequence, np.ndarray, torch.Tensor)) or isinstance(values, str):
        checks.fail(name, f"{channels} numbers, one per channel", repr(values), TypeError)
    try:
        tensor = torch.as_tensor(values, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError):
        checks.fail(name, f"{channels} numbers, one per channel", repr(values), TypeError)
    if tuple(tensor.shape) != (channels,):
        checks.fail(name, f"{channels} numbers, one per channel", f"shape {checks.shape_of(tensor)}")
    checks.check_finite(tensor, name)
    return tensor


def _log_prior(lam: np.ndarray[Any, Any], n_labels: int) -> np.ndarray[Any, Any]:
    """-log of the binomial probability of label k when each share is the sample's with chance lam: [B, L]."""
    n = n_labels - 1
    k = np.arange(n_labels)
    choose = np.array([math.comb(n, i) for i in range(n_labels)], dtype=np.float64)
    share = lam[:, None]
    # NumPy, for torch hands logarithms as few as these to threads.
    return np.asarray(-np.log(choose * share ** (n - k) * (1 - share) ** k + _PRIOR_EPS))


def _energy(
    images: torch.Tensor,
    saliency: torch.Tensor,
    index: torch.Tensor,
    lam: torch.Tensor | float,
    *,
    grid: int | tuple[int, int],
    n_labels: int,
    beta: float,
    gamma: float,
    eta: float,
    neigh_size: int,
    mean: Any,
    std: Any,
) -> tuple[GridEnergy, torch.Tensor]:
    """:func:`puzzlemix_energy`, and the block saliency ``[B, gh, gw]`` behind it."""
    checks.check_images(images)
    checks.check_saliency(saliency, images)
    checks.check_same_device({"images": images, "saliency": saliency})
    native.require_cpu(images, "images")
    batch, channels, height, width = images.shape
    gh, gw = checks.grid_pair(grid, height, width)
    checks.check_count(n_labels, "n_labels", 2)
    checks.check_count(neigh_size, "neigh_size", 1)
    numbers = {"beta": beta, "gamma": gamma, "eta": eta}
    beta, gamma, eta = (checks.check_number(value, name, 0.0) for name, value in numbers.items())
    index = check_index(index, batch, images.device)
    lam = check_lam(lam, batch)
    if mean is not None:
        check_channel_values(mean, "mean", channels)
    deviation = torch.ones(channels, dtype=torch.float64)
    if std is not None:
        deviation = check_channel_values(std, "std", channels)
        checks.check_range(deviation, "std", 0, float("inf"))
    given = images
    rounding = torch.finfo(torch.float32 if images.dtype == torch.uint8 else images.dtype).eps
    if images.dtype == torch.uint8:
        images = images.to(torch.float32) / 255
    elif images.dtype != torch.float64:
        images = images.to(torch.float32)
    unary = torch.empty(batch, gh, gw, n_labels, dtype=torch.float64)
    weight_v = torch.empty(batch, gh - 1, gw, dtype=torch.float64)
    weight_h = torch.empty(batch, gh, gw - 1, dtype=torch.float64)
    # Normalised images are rounded: that must not make an edge weight of 0 negative.
    smoothness = beta / math.sqrt(gh * gw) / 16
    blocks = pool_saliency(saliency, (gh, gw))
    finite = native.core.puzzlemix_energy(
        native.array(images.contiguous()),
        native.array(blocks.to(torch.float64)),
        native.array(index),
        eta / (gh * gw) * _log_prior(native.array(lam), n_labels),
        native.array(deviation),
        smoothness,
        gamma,
        neigh_size,
        4 * rounding * smoothness,
        native.threads(),
        unary.numpy(),
        weight_v.numpy(),
        weight_h.numpy(),
    )
    if not finite:
        checks.check_finite(given, "images")
    share = np.arange(n_labels) / (n_labels - 1)
    pairwise = torch.from_numpy((share[:, None] - share) ** 2)
    return GridEnergy(unary, pairwise, weight_v, weight_h), blocks


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
            may become negative, which ``method="exact"`` solves on narrow grids only.
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
    return _energy(
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
    )[0]


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
        images: as all others in :func:`puzzlemix_energy`.
        saliency: see there.
        index: see there.
        lam: see there.
        grid: see there.
        n_labels: see there.
        beta: see there.
        gamma: see there.
        eta: see there.
        neigh_size: see there.
        mean: see there.
        std: see there.
        method: of the cut, as in :func:`comix.grid_cut`. Default ``"exact"``: one minimum cut finds the
            optimum for any grid and n_labels as long as no edge weight is negative (gamma <= 1).

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
    return mask_and_blocks(
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
        method=method,
    )[0]


def mask_and_blocks(
    images: torch.Tensor,
    saliency: torch.Tensor,
    index: torch.Tensor,
    lam: torch.Tensor | float,
    *,
    method: str,
    **settings: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`puzzlemix_mask`, all its settings given, and the block saliency ``[B, gh, gw]`` behind it."""
    checks.check_option(method, "method", METHODS)
    energy, blocks = _energy(images, saliency, index, lam, **settings)
    labels: torch.Tensor = grid_cut(*energy, method=method).labels
    n_labels = energy.pairwise.shape[0]
    weight = (1 - np.arange(n_labels) / (n_labels - 1)).astype(np.float32)  # of the own image, per label
    return torch.from_numpy(weight[labels.numpy()]), blocks
