"""The Co-Mixup augmentation: images and targets in, mixed images and soft targets out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._mix_kernel import Batch, new_entries
from comix._mixers import Mixer, PlanDraft, check_generator, draw_shares
from comix._on_cuda import comixup as on_cuda
from comix._pooling import readable_maps
from comix.comixup import checked_numbers, comixup_labels
from comix.mixing import MixPlan
from comix.saliency import pool_saliency

_WINDOW = 8  # pixels per side of the window that locates an image's salient spot
_SETTINGS = ("partition", "alpha", "beta", "gamma", "tau", "eta", "omega", "sweeps", "restarts", "threshold")

_Array = np.ndarray[Any, Any]


def salient_distance(saliency: torch.Tensor) -> torch.Tensor:
    """L1 distance in pixels between the most salient windows of all pairs of maps.

    Args:
        saliency: ``[..., n, H, W]``.

    Returns:
        float64 ``[..., n, n]``. The window is 8 x 8, stride 1, the first of equals; smaller in small images.
    """
    native.require_device(saliency, "saliency")
    if saliency.device.type != "cpu":
        height, width = saliency.shape[-2:]
        return on_cuda.salient_distance(saliency, (min(_WINDOW, height), min(_WINDOW, width)))
    spots = _spots(saliency)
    apart = np.abs(spots[..., :, None, :] - spots[..., None, :, :])
    return torch.from_numpy((apart[..., 0] + apart[..., 1]).astype(np.float64))


def _spots(saliency: torch.Tensor) -> _Array:
    """Row and column of the most salient window of each map ``[..., H, W]``: int64 ``[..., 2]``."""
    height, width = saliency.shape[-2:]
    maps = saliency if saliency.dtype in (torch.float32, torch.float64) else saliency.to(torch.float32)
    spots = np.empty((*saliency.shape[:-2], 2), np.int64)
    native.core.salient_spots(
        native.array(maps.contiguous()).reshape(-1, height, width),
        min(_WINDOW, height),
        min(_WINDOW, width),
        native.threads(),
        spots.reshape(-1, 2),
    )
    return spots


def _end_to_end(drawn: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[_Array, _Array]:
    """Priors and start labels of all partitions, each as one array."""
    if len(drawn) == 1:
        prior, init = drawn[0]
        return native.array(prior).reshape(-1), native.array(init).reshape(-1)
    priors, inits = zip(*drawn, strict=True)
    return (
        np.concatenate([native.array(part).reshape(-1) for part in priors]),
        np.concatenate([native.array(part).reshape(-1) for part in inits]),
    )


def compatibility_of(distance: torch.Tensor, omega: float) -> torch.Tensor:
    """``A = (1 - omega) I + omega n D / sum(D)``; the identity when all distances are zero.

    Args:
        distance: float64 ``[P, n, n]``.
        omega: weight of the distances, 0..1.

    Returns:
        float64 ``[P, n, n]``.
    """
    n = distance.shape[-1]
    if distance.device.type != "cpu":
        return on_cuda.compatibility(distance, omega)
    eye = np.eye(n)
    far = native.array(distance)
    total = far.sum((1, 2), keepdims=True)
    matrix = (1 - omega) * eye + omega * (n * far / np.maximum(total, np.finfo(np.float64).tiny))
    return torch.from_numpy(np.where(total > 0, matrix, eye))


class CoMixup(Mixer):
    """Mix a batch jointly: every output gathers salient blocks of several inputs, outputs stay diverse.

    Kim, Choo, Jeong & Song, "Co-Mixup: saliency guided joint mixup with supermodular diversity", ICLR 2021.
    The batch is cut into consecutive partitions of ``partition`` images (the last one may be smaller),
    each mixed on its own into as many outputs.

    Random draws per call, from ``generator`` (torch's global one if None): the priors of all whole partitions
    (Dirichlet(alpha), one share per input), then their start labels (uniform, ``restarts`` per partition);
    after that both for a smaller last partition.

    Args:
        num_classes: number of classes, for targets given as class indices.
        grid: blocks per side, or (vertically, horizontally). Default 4.
        partition: images mixed jointly. Default 20.
        alpha: of the Dirichlet prior. Default 2.0.
        beta: smoothness. Default 0.32.
        gamma: diversity. Default 1.0.
        tau: share of the others' area that an input may fill before it costs extra. Default 0.83.
        eta: weight of the prior. Default 0.05.
        omega: weight of the distance between salient spots in the compatibility. Default 0.001.
        sweeps: rounds over the outputs. Default 4.
        restarts: random starts; the result with the lowest objective is kept. Default 1.
        threshold: ``"hard"`` (default), ``"soft"`` or ``"hard_official"``, as in
            :func:`comix.comixup_labels`.
        generator: torch.Generator of all draws.

    Raises:
        TypeError, ValueError: a parameter of a wrong type or range.

    Example:
        >>> import comix, torch
        >>> aug = comix.CoMixup(num_classes=10, generator=torch.Generator().manual_seed(0))
        >>> images, targets = aug(torch.rand(4, 3, 32, 32), torch.tensor([1, 2, 3, 4]))
        >>> images.shape, targets.shape
        (torch.Size([4, 3, 32, 32]), torch.Size([4, 10]))
    """

    _settings: dict[str, Any] | None  # None: not checked since they changed

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        grid: int | tuple[int, int] = 4,
        partition: int = 20,
        alpha: float = 2.0,
        beta: float = 0.32,
        gamma: float = 1.0,
        tau: float = 0.83,
        eta: float = 0.05,
        omega: float = 0.001,
        sweeps: int = 4,
        restarts: int = 1,
        threshold: str = "hard",
        generator: torch.Generator | None = None,
    ) -> None:
        if num_classes is not None:
            checks.check_count(num_classes, "num_classes", 1)
        checks.grid_pair(grid, 2**31, 2**31)
        self.num_classes = num_classes
        self.grid = grid
        self.partition = partition
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.tau = tau
        self.eta = eta
        self.omega = omega
        self.sweeps = sweeps
        self.restarts = restarts
        self.threshold = threshold
        self._check_settings()
        self.generator = check_generator(generator)

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name in _SETTINGS:
            super().__setattr__("_settings", None)  # to be checked by the next call

    def __repr__(self) -> str:
        return f"CoMixup(grid={self.grid}, partition={self.partition}, restarts={self.restarts})"

    def draw(self, partitions: int, n: int, grid: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """The random part for partitions of n inputs.

        Args:
            partitions: P.
            n: inputs per partition.
            grid: (gh, gw).

        Returns:
            prior float64 ``[P, n]`` (what showing an input costs extra at each block) and start labels int64
            ``[P, restarts, n, gh, gw]``.
        """
        prior = np.empty((partitions, n))
        amounts = draw_shares((partitions, n), self.alpha, self.generator)
        native.core.comixup_prior(native.array(amounts), self.eta / (grid[0] * grid[1]), prior)
        shape = (partitions, self.restarts, n, *grid)
        init = torch.randint(0, n, shape, generator=self.generator, device="cpu")
        return torch.from_numpy(prior), init

    def _draw_batch(self, batch: int, grid: tuple[int, int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The draws for the whole partitions of a batch, and those for a smaller last one."""
        whole, rest = divmod(batch, self.partition)
        groups = ((whole, self.partition), (1, rest))
        return [self.draw(count, n, grid) for count, n in groups if count and n]

    def labels(self, saliency: torch.Tensor) -> torch.Tensor:
        """Label the blocks of every output with inputs of the batch; draws from the generator.

        Args:
            saliency: ``[B, H, W]`` maps >= 0.

        Returns:
            int64 ``[B, gh, gw, 2]``, counting inputs of the whole batch: what :meth:`MixPlan.from_labels
            <comix.MixPlan.from_labels>` takes.

        Raises:
            TypeError, ValueError: saliency of a wrong dtype, shape or value, or a grid that does not fit it.
        """
        checks.check_saliency(saliency)
        native.require_device(saliency, "saliency")
        if saliency.is_cpu:
            return torch.from_numpy(self._plan_on_cpu(saliency).entries[0])
        return self._labels_on_cuda(saliency)

    def _plan_on_cpu(self, saliency: torch.Tensor, batch: Batch | None = None) -> PlanDraft:
        count, height, width = saliency.shape
        grid = checks.grid_pair(self.grid, height, width)
        numbers = self._check_settings()
        prior, init = _end_to_end(self._draw_batch(count, grid))
        entries = new_entries(count, *grid)
        largest = native.core.comixup_plan(
            readable_maps(saliency),
            prior,
            init,
            grid,
            min(self.partition, count),
            self.restarts,
            (min(_WINDOW, height), min(_WINDOW, width)),
            self.omega,
            **numbers,
            threads=native.threads(),
            source=entries[0],
            block=entries[1],
            weight=entries[2],
            mixed=None if batch is None else batch.memory,
        )
        if largest < 0:
            pool_saliency(saliency, grid)  # says what is wrong with the maps
            checks.check_finite(torch.from_numpy(prior), "eta: prior")  # all that is left to be wrong
        return PlanDraft(entries, largest, pairs=False)

    def _labels_on_cuda(self, saliency: torch.Tensor) -> torch.Tensor:
        grid = checks.grid_pair(self.grid, *saliency.shape[1:])
        numbers = self._check_settings()
        blocks = pool_saliency(saliency, grid).to(torch.float64)  # [B, gh, gw]
        labels, begin = [], 0
        for drawn in self._draw_batch(len(saliency), grid):
            prior, init = (native.send(draws, saliency.device) for draws in drawn)
            count, n = prior.shape
            end = begin + count * n
            distance = salient_distance(saliency[begin:end].reshape(count, n, *saliency.shape[1:]))
            part = comixup_labels(
                prior[:, :, None, None] - blocks[begin:end].view(count, n, *grid),
                compatibility=compatibility_of(distance, self.omega),
                init=init,
                **numbers,
            )
            part += torch.arange(begin, end, n, device=part.device).view(-1, 1, 1, 1, 1)
            labels.append(part.flatten(0, 1))
            begin = end
        return labels[0] if len(labels) == 1 else torch.cat(labels)

    def _check_settings(self) -> dict[str, Any]:
        """Those of the solver. Attributes may change after the constructor: then they are checked again."""
        if self._settings is not None:
            return self._settings
        for name in ("partition", "sweeps", "restarts"):
            setattr(self, name, checks.check_count(getattr(self, name), name, 1))
        self.alpha = checks.check_number(self.alpha, "alpha", 0.0, above=True)
        self.eta = checks.check_number(self.eta, "eta", 0.0)
        self.omega = checks.check_number(self.omega, "omega", 0.0)
        if self.omega > 1:
            checks.fail("omega", "a number in 0..1", repr(self.omega))
        self.beta, self.gamma, self.tau = checked_numbers(self.beta, self.gamma, self.tau, self.threshold)
        sweeps = min(self.sweeps, 2**31 - 1)
        numbers = {"beta": self.beta, "gamma": self.gamma, "tau": self.tau}
        self._settings = {**numbers, "sweeps": sweeps, "threshold": self.threshold}
        return self._settings

    def _plan_batch(
        self, images: torch.Tensor, saliency: torch.Tensor, batch: Batch | None
    ) -> MixPlan | PlanDraft:
        if images.is_cpu:
            return self._plan_on_cpu(saliency, batch)
        return MixPlan.from_labels(self._labels_on_cuda(saliency))
