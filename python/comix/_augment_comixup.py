"""The Co-Mixup augmentation: images and targets in, mixed images and soft targets out."""

from __future__ import annotations

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._mixers import Mixer, check_generator, draw_dirichlet, draw_gamma
from comix._on_cuda import comixup as on_cuda
from comix.comixup import THRESHOLDS, comixup_labels
from comix.mixing import MixPlan
from comix.saliency import pool_saliency

_WINDOW = 8  # pixels per side of the window that locates an image's salient spot
_PRIOR_EPS = 1e-8


def salient_distance(saliency: torch.Tensor) -> torch.Tensor:
    """L1 distance in pixels between the most salient windows of all pairs of maps.

    Args:
        saliency: ``[..., n, H, W]``.

    Returns:
        float64 ``[..., n, n]``. The window is 8 x 8, stride 1, the first of equals; smaller in small images.
    """
    native.require_device(saliency, "saliency")
    height, width = saliency.shape[-2:]
    window = (min(_WINDOW, height), min(_WINDOW, width))
    if saliency.device.type != "cpu":
        return on_cuda.salient_distance(saliency, window)
    maps = saliency if saliency.dtype in (torch.float32, torch.float64) else saliency.to(torch.float32)
    spots = np.empty((*saliency.shape[:-2], 2), np.int64)
    native.core.salient_spots(
        native.array(maps.reshape(-1, height, width).contiguous()),
        *window,
        native.threads(),
        spots.reshape(-1, 2),
    )
    # Small arrays: NumPy's calls cost a fraction of torch's.
    y, x = spots[..., 0].astype(np.float64), spots[..., 1].astype(np.float64)
    rows, columns = y[..., :, None] - y[..., None, :], x[..., :, None] - x[..., None, :]
    return torch.from_numpy(np.abs(rows) + np.abs(columns))


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
        alphas = torch.full((n,), self.alpha, dtype=torch.float64)
        plain = self.alpha >= 1  # then all partitions are normalised at once, below
        for _ in range(partitions):
            shares.append(
                draw_gamma(alphas, self.generator) if plain else draw_dirichlet(n, self.alpha, self.generator)
            )
            starts.append(torch.randint(0, n, shape, generator=self.generator))
        share = torch.stack(shares)
        if plain:
            share /= share.sum(1, keepdim=True)
        prior = -self.eta / (grid[0] * grid[1]) * np.log(share.numpy() + _PRIOR_EPS)
        return torch.from_numpy(prior), torch.stack(starts)

    def labels(self, saliency: torch.Tensor) -> torch.Tensor:
        """Label the blocks of every output with inputs of the batch; draws from the generator.

        Args:
            saliency: ``[B, H, W]`` maps >= 0.

        Returns:
            int64 ``[B, gh, gw, 2]``, counting inputs of the whole batch.
        """
        gh, gw = checks.grid_pair(self.grid, saliency.shape[1], saliency.shape[2])
        blocks = pool_saliency(saliency, (gh, gw)).to(torch.float64)  # [B, gh, gw]
        batch = saliency.shape[0]
        whole = batch // self.partition * self.partition
        results = []
        for begin, end, n in ((0, whole, self.partition), (whole, batch, batch - whole)):
            if begin == end:
                continue
            part = blocks[begin:end].view(-1, n, gh, gw)
            maps = saliency[begin:end].reshape(-1, n, *saliency.shape[1:])
            distance = salient_distance(maps)
            drawn = self.draw(part.shape[0], n, (gh, gw))
            prior, init = (native.send(numbers, saliency.device) for numbers in drawn)
            labels = comixup_labels(
                prior[:, :, None, None] - part,
                compatibility=compatibility_of(distance, self.omega),
                init=init,
                beta=self.beta,
                gamma=self.gamma,
                tau=self.tau,
                sweeps=self.sweeps,
                threshold=self.threshold,
            )
            labels += torch.arange(begin, end, n, device=labels.device).view(-1, 1, 1, 1, 1)
            results.append(labels.flatten(0, 1))
        return results[0] if len(results) == 1 else torch.cat(results)

    def _plan_batch(self, images: torch.Tensor, saliency: torch.Tensor) -> MixPlan:
        return MixPlan.from_labels(self.labels(saliency))
