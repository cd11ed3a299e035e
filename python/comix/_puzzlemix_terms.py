"""What PuzzleMix's energy is made from: arguments checked, numbers brought to the device, terms computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._on_cuda import puzzlemix as on_cuda
from comix._pooling import pool_array
from comix._targets import check_index
from comix.saliency import pool_saliency

_PRIOR_EPS = 1e-8

_Array = np.ndarray[Any, Any]


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


class EnergyTerms(NamedTuple):
    """The same four: arrays on the CPU, tensors on CUDA."""

    unary: Any
    pairwise: Any
    weight_v: Any
    weight_h: Any


class PuzzleTerms(NamedTuple):
    """An energy, what its labels mean and two of its checked ingredients: arrays on the CPU, but partners."""

    energy: EnergyTerms
    shown: Any  # float32 [L] weight of the own image under each label
    blocks: Any  # [B, gh, gw] block saliency, each map sums to 1
    partner: torch.Tensor  # int64 [B], where the images are


def check_lam(lam: torch.Tensor | float, batch: int, device: torch.device) -> torch.Tensor | float:
    """The own image's expected share as float64, 0..1: ``[B]`` on ``device`` or the CPU, or one for all."""
    if type(lam) is float and 0 <= lam <= 1:
        return lam
    if isinstance(lam, torch.Tensor):
        checks.check_dtype(lam, "lam", checks.FLOAT_DTYPES)
        if lam.ndim > 1 or (lam.ndim == 1 and lam.shape[0] != batch):
            checks.fail("lam", f"a number or shape [{batch}]", checks.shape_of(lam))
        if lam.device.type != "cpu" and lam.device != device:
            checks.fail("lam", f"a tensor on {device}, as the images are, or on the CPU", str(lam.device))
        lam = lam.detach().to(torch.float64)
    else:
        lam = torch.tensor(checks.check_number(lam, "lam"), dtype=torch.float64, device="cpu")
    checks.check_finite(lam, "lam")
    checks.check_range(lam, "lam", 0, 1)
    return lam


def check_channel_values(values: Any, name: str, channels: int, device: torch.device) -> torch.Tensor:
    """``mean`` or ``std`` as float64 ``[C]`` on ``device`` or the CPU: one number, or one per channel."""
    if isinstance(values, (int, float)) and not isinstance(values, bool):
        values = [values] * channels
    plain = type(values) in (list, tuple) and len(values) == channels
    if plain and all(type(value) is float and math.isfinite(value) for value in values):
        return torch.from_numpy(np.array(values))
    elsewhere = isinstance(values, torch.Tensor) and values.device.type != "cpu" and values.device != device
    if elsewhere and (device.type != "cpu" or values.is_meta):
        checks.fail(name, f"a tensor on {device}, as the images are, or on the CPU", str(values.device))
    array = isinstance(values, (np.ndarray, torch.Tensor))
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    if not (array or listed) or (array and "complex" in str(values.dtype)):
        checks.fail(name, f"{channels} numbers, one per channel", repr(values), TypeError)
    if isinstance(values, np.ndarray) and values.dtype.kind == "u":
        values = values.astype(np.float64)  # older versions of torch know no unsigned integers but bytes
    try:
        if not isinstance(values, torch.Tensor):
            values = torch.as_tensor(values, dtype=torch.float64, device="cpu")
        tensor: torch.Tensor = values.detach().to(torch.float64)
    except (TypeError, ValueError):
        checks.fail(name, f"{channels} numbers, one per channel", repr(values), TypeError)
    if tuple(tensor.shape) != (channels,):
        checks.fail(name, f"{channels} numbers, one per channel", f"shape {checks.shape_of(tensor)}")
    if device.type == "cpu":
        tensor = tensor.cpu()
    checks.check_finite(tensor, name)
    return tensor


def _log_prior(lam: _Array | float, n_labels: int) -> _Array:
    """-log of the binomial probability of label k when each share is the sample's with chance lam: [B, L]."""
    n = n_labels - 1
    if isinstance(lam, float):  # one row: NumPy's functions would take ten times as long
        chances = (math.comb(n, k) * lam ** (n - k) * (1 - lam) ** k for k in range(n_labels))
        return -np.array([[math.log(chance + _PRIOR_EPS) for chance in chances]])
    k = np.arange(n_labels)
    choose = np.array([math.comb(n, i) for i in range(n_labels)], dtype=np.float64)
    share = lam[:, None]
    # NumPy, for torch hands logarithms as few as these to threads.
    return np.asarray(-np.log(choose * share ** (n - k) * (1 - share) ** k + _PRIOR_EPS))


class Settings(NamedTuple):
    """Numbers of the energy, those of the sums over blocks already divided for the grid."""

    grid: tuple[int, int]
    n_labels: int
    smoothness: float  # beta per edge
    gamma: float
    prior: float  # eta per block
    neigh_size: int
    rounding: float  # of normalised images: it must not make an edge weight of 0 negative


class Arguments(NamedTuple):
    """The arguments of an energy, checked but for the values of images and saliency."""

    images: torch.Tensor
    saliency: torch.Tensor
    partner: torch.Tensor  # int64 [B], where the images are
    lam: torch.Tensor | float  # float64, one or [B]
    deviation: torch.Tensor  # float64 [C]
    settings: Settings

    def prior(self) -> _Array:
        """What each label costs at any block: float64 ``[1, L]``, or ``[B, L]``; on the CPU."""
        lam = self.lam if isinstance(self.lam, float) else native.array(self.lam.reshape(-1))
        return self.settings.prior * _log_prior(lam, self.settings.n_labels)

    def pixels(self) -> _Array:
        """The images as the native code reads them: contiguous float32 or float64."""
        images = self.images
        if images.dtype == torch.uint8:
            images = images.to(torch.float32) / 255
        elif images.dtype not in (torch.float32, torch.float64):
            images = images.to(torch.float32)
        return native.array(images.contiguous())


def checked_arguments(
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
) -> Arguments:
    """The arguments of :func:`comix.puzzlemix_energy`, or the error that names the wrong one."""
    checks.check_images(images)
    checks.check_saliency(saliency, images)
    checks.check_same_device({"images": images, "saliency": saliency})
    native.require_device(images, "images")
    batch, channels, height, width = images.shape
    grid = checks.grid_pair(grid, height, width)
    checks.check_label_count(n_labels, "n_labels")
    checks.check_count(neigh_size, "neigh_size", 1)
    numbers = {"beta": beta, "gamma": gamma, "eta": eta}
    beta, gamma, eta = (checks.check_number(value, name, 0.0) for name, value in numbers.items())
    index = check_index(index, batch, images.device)
    lam = check_lam(lam, batch, images.device)
    deviation = checked_deviation(mean, std, channels, images.device)
    settings = settings_of(images, grid, n_labels, beta, gamma, eta, neigh_size)
    return Arguments(images, saliency, index, lam, deviation, settings)


def checked_deviation(mean: Any, std: Any, channels: int, device: torch.device) -> torch.Tensor:
    """``std`` as float64 ``[C]``, ones for None; ``mean`` is only checked."""
    if mean is not None:
        check_channel_values(mean, "mean", channels, device)
    if std is None:
        return torch.from_numpy(np.ones(channels))
    deviation = check_channel_values(std, "std", channels, device)
    checks.check_range(deviation, "std", 0, float("inf"))
    return deviation


def settings_of(
    images: torch.Tensor,
    grid: tuple[int, int],
    n_labels: int,
    beta: float,
    gamma: float,
    eta: float,
    neigh_size: int,
) -> Settings:
    """The numbers of an energy, from those that users give."""
    gh, gw = grid
    smoothness = beta / math.sqrt(gh * gw) / 16
    rounding = torch.finfo(torch.float32 if images.dtype == torch.uint8 else images.dtype).eps
    return Settings(grid, n_labels, smoothness, gamma, eta / (gh * gw), neigh_size, 4 * rounding * smoothness)


def puzzle_terms(given: Arguments) -> PuzzleTerms:
    """:func:`comix.puzzlemix_energy`, and what it was made from."""
    grid = given.settings.grid
    if given.images.device.type != "cpu":
        blocks = pool_saliency(given.saliency, grid)
        return PuzzleTerms(*_energy_on_cuda(given, blocks), blocks, given.partner)
    means = pool_array(given.saliency, *grid)
    if means is None:
        means = native.array(pool_saliency(given.saliency, grid))
    return PuzzleTerms(*_energy_on_cpu(given, means), means, given.partner)


def _energy_on_cpu(given: Arguments, blocks: _Array) -> tuple[EnergyTerms, _Array]:
    """The energy as arrays: NumPy makes small ones in a fraction of the time that torch takes."""
    settings = given.settings
    batch, (gh, gw), n_labels = len(given.images), settings.grid, settings.n_labels
    unary = np.empty((batch, gh, gw, n_labels))
    weight_v, weight_h = np.empty((batch, gh - 1, gw)), np.empty((batch, gh, gw - 1))
    finite = native.core.puzzlemix_energy(
        given.pixels(),
        blocks.astype(np.float64, copy=False),
        native.array(given.partner),
        given.prior(),
        native.array(given.deviation),
        settings.smoothness,
        settings.gamma,
        settings.neigh_size,
        settings.rounding,
        native.threads(),
        unary,
        weight_v,
        weight_h,
    )
    if not finite:
        checks.check_finite(given.images, "images")
    share = np.arange(n_labels) / (n_labels - 1)
    energy = EnergyTerms(unary, (share[:, None] - share) ** 2, weight_v, weight_h)
    return energy, (1 - share).astype(np.float32)


def _energy_on_cuda(given: Arguments, blocks: torch.Tensor) -> tuple[EnergyTerms, torch.Tensor]:
    images, lam, settings = given.images, given.lam, given.settings
    checks.check_finite(images, "images")  # of itself only inside debug()
    shares: torch.Tensor | float
    if isinstance(lam, float) or (lam.ndim == 0 and lam.device.type == "cpu"):
        shares = float(lam)
    else:
        shares = lam.expand(images.shape[0]) if lam.device.type != "cpu" else native.send(lam, images.device)
    *energy, shown = on_cuda.puzzlemix_energy(
        images,
        blocks,
        given.partner,
        shares,
        given.deviation,
        n_labels=settings.n_labels,
        beta=settings.smoothness,
        gamma=settings.gamma,
        eta=settings.prior,
        slack=settings.rounding,
        neigh_size=settings.neigh_size,
    )
    return EnergyTerms(*energy), shown
