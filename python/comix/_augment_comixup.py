"""The Co-Mixup augmentation: images and targets in, mixed images and soft targets out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._mix_kernel import entries_from_labels
from comix._mixers import Mixer, check_generator, draw_dirichlet, draw_gamma
from comix._on_cuda import comixup as on_cuda
from comix._pooling import pool_array
from comix.comixup import THRESHOLDS, comixup_labels, labels_of_arrays
from comix.mixing import MixPlan
from comix.saliency import pool_saliency

_WINDOW = 8  # pixels per side of the window that locates an image's salient spot
_PRIOR_EPS = 1e-8

_Array = np.ndarray[Any, Any]
_SolvePart = Callable[[int, int, int], torch.Tensor]  # labels of inputs begin..end, n per partition


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

    Random draws per call, from ``generator`` (torch's global one if None), partition by partition: the prior
    (Dirichlet(alpha), one share per input), then the start labels (uniform, ``restarts`` of them). So a
    batch gives the same result as its partitions one after the other.

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
        checks.check_option(threshold, "threshold", THRESHOLDS)
        self.num_classes = num_classes
        self.grid = grid
        self.partition = checks.check_count(partition, "partition", 1)
        self.alpha = checks.check_number(alpha, "alpha", 0.0, above=True)
        self.beta = checks.check_number(beta, "beta", 0.0)
        self.gamma = checks.check_number(gamma, "gamma", 0.0)
        self.tau = checks.check_number(tau, "tau", 0.0)
        self.eta = checks.check_number(eta, "eta", 0.0)
        self.omega = checks.check_number(omega, "omega", 0.0)
        if self.omega > 1:
            checks.fail("omega", "a number in 0..1", repr(omega))
        self.sweeps = checks.check_count(sweeps, "sweeps", 1)
        self.restarts = checks.check_count(restarts, "restarts", 1)
        self.threshold = threshold
        self.generator = check_generator(generator)

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
        shape = (self.restarts, n, *grid)
        shares, starts = [], []
        alphas = torch.from_numpy(np.full(n, self.alpha, np.float64))
        plain = self.alpha >= 1  # then all partitions are normalised at once, below
        for _ in range(partitions):
            drawn = (
                draw_gamma(alphas, self.generator) if plain else draw_dirichlet(n, self.alpha, self.generator)
            )
            shares.append(drawn.numpy())
            starts.append(torch.randint(0, n, shape, generator=self.generator).numpy())
        # Small arrays: NumPy's calls cost a fraction of torch's.
        share = np.concatenate(shares).reshape(partitions, n)
        if plain:
            share = share / torch.from_numpy(share).sum(1, keepdim=True).numpy()
        prior = -self.eta / (grid[0] * grid[1]) * np.log(share + _PRIOR_EPS)
        init = np.concatenate(starts).reshape(partitions, *shape)
        return torch.from_numpy(prior), torch.from_numpy(init)

    def labels(self, saliency: torch.Tensor) -> torch.Tensor:
        """Label the blocks of every output with inputs of the batch; draws from the generator.

        Args:
            saliency: ``[B, H, W]`` maps >= 0.

        Returns:
            int64 ``[B, gh, gw, 2]``, counting inputs of the whole batch.
        """
        grid = checks.grid_pair(self.grid, saliency.shape[1], saliency.shape[2])
        solver = self._solver_on_cpu if saliency.device.type == "cpu" else self._solver_on_cuda
        solve_part = solver(saliency, grid)
        batch = saliency.shape[0]
        whole = batch // self.partition * self.partition
        results = [
            solve_part(begin, end, n)
            for begin, end, n in ((0, whole, self.partition), (whole, batch, batch - whole))
            if begin != end
        ]
        return results[0] if len(results) == 1 else torch.cat(results)

    def _solver_on_cpu(self, saliency: torch.Tensor, grid: tuple[int, int]) -> _SolvePart:
        checks.check_saliency(saliency)
        blocks = pool_array(saliency, *grid)
        if blocks is None:
            blocks = native.array(pool_saliency(saliency, grid))
        spots = _spots(saliency)

        def solve_part(begin: int, end: int, n: int) -> torch.Tensor:
            prior, init = self.draw((end - begin) // n, n, grid)
            part = blocks[begin:end].reshape(-1, n, *grid)
            cost, matrix = np.empty(part.shape), np.empty((len(part), n, n))
            places = spots[begin:end].reshape(-1, n, 2)
            native.core.comixup_terms(native.array(prior), part, places, self.omega, cost, matrix)
            labels = labels_of_arrays(cost, matrix, native.array(init), **self._settings())
            labels += np.arange(begin, end, n).reshape(-1, 1, 1, 1, 1)
            return torch.from_numpy(labels.reshape(end - begin, *grid, 2))

        return solve_part

    def _solver_on_cuda(self, saliency: torch.Tensor, grid: tuple[int, int]) -> _SolvePart:
        blocks = pool_saliency(saliency, grid).to(torch.float64)  # [B, gh, gw]

        def solve_part(begin: int, end: int, n: int) -> torch.Tensor:
            distance = salient_distance(saliency[begin:end].reshape(-1, n, *saliency.shape[1:]))
            drawn = self.draw((end - begin) // n, n, grid)
            prior, init = (native.send(numbers, saliency.device) for numbers in drawn)
            labels = comixup_labels(
                prior[:, :, None, None] - blocks[begin:end].view(-1, n, *grid),
                compatibility=compatibility_of(distance, self.omega),
                init=init,
                **self._settings(),
            )
            labels += torch.arange(begin, end, n, device=labels.device).view(-1, 1, 1, 1, 1)
            return labels.flatten(0, 1)

        return solve_part

    def _settings(self) -> dict[str, Any]:
        names = ("beta", "gamma", "tau", "sweeps", "threshold")
        return {name: getattr(self, name) for name in names}

    def _plan_batch(self, images: torch.Tensor, saliency: torch.Tensor) -> MixPlan:
        labels = self.labels(saliency)
        built = entries_from_labels(labels, len(labels))
        return MixPlan._of_checked(*built) if built else MixPlan.from_labels(labels)
