"""Co-Mixup on CUDA: labels, the objective, and the compatibility of inputs by their salient spots."""

from __future__ import annotations

import torch

from comix import _native as native
from comix._on_cuda import name_of, new, ready


def comixup_labels(
    cost: torch.Tensor,  # float64 [P, n, gh, gw]
    compatibility: torch.Tensor | None,  # float64 [P, n, n]
    init: torch.Tensor,  # int64 [P, R, m, gh, gw]
    *,
    beta: float,
    gamma: float,
    tau: float,
    sweeps: int,
    threshold: str,
    resolve_duplicates: bool,
    select: str,
    method: str,
) -> torch.Tensor:
    """Labels int64 ``[P, m, gh, gw, 2]``: of each partition's starts the one with the lowest objective.

    Expansions ("auto" too) try all labels at once and take the best, so labels may differ from the CPU's.
    "exact" cuts that do not fit the memory of a kernel are expansions.
    """
    partitions, starts, outputs, height, width = init.shape
    inputs = cost.shape[1]
    init, cost = ready(init), ready(cost)
    matrix = None if compatibility is None else ready(compatibility)
    kernels = native.cuda()
    size = kernels.comixup_labels_scratch(
        partitions=partitions,
        starts=starts,
        inputs=inputs,
        outputs=outputs,
        height=height,
        width=width,
        compatibility=matrix is not None,
        method=method,
    )
    scratch = native.scratch(size, cost)
    labels = new(cost, (partitions, starts, outputs, height, width, 2), torch.int64)
    objective = new(cost, (partitions, starts), torch.float64)
    kernels.comixup_labels(
        init=native.address(init),
        cost=native.address(cost),
        compatibility=native.address(matrix),
        partitions=partitions,
        starts=starts,
        inputs=inputs,
        outputs=outputs,
        height=height,
        width=width,
        beta=beta,
        gamma=gamma,
        tau=tau,
        sweeps=sweeps,
        threshold=threshold,
        resolve_duplicates=resolve_duplicates,
        select=select,
        method=method,
        scratch=native.address(scratch),
        labels=native.address(labels),
        objective=native.address(objective),
        **native.place(cost),
    )
    if starts == 1:
        return labels[:, 0]
    best = objective.argmin(1).view(-1, 1, 1, 1, 1, 1).expand(-1, 1, *labels.shape[2:])
    return labels.gather(1, best)[:, 0]


def comixup_objective(
    labels: torch.Tensor,  # int64 [P, m, gh, gw, 2]
    cost: torch.Tensor,  # float64 [P, n, gh, gw]
    compatibility: torch.Tensor | None,  # float64 [P, n, n]
    *,
    beta: float,
    gamma: float,
    tau: float,
    threshold: str,
) -> torch.Tensor:
    """The thresholded objective float64 ``[P]``; labels out of range count as the nearest."""
    partitions, inputs, height, width = cost.shape
    outputs = labels.shape[1]
    labels, cost = ready(labels), ready(cost)
    matrix = None if compatibility is None else ready(compatibility)
    kernels = native.cuda()
    size = kernels.comixup_objective_scratch(partitions=partitions, inputs=inputs, outputs=outputs)
    scratch = native.scratch(size, cost)
    objective = new(cost, (partitions,), torch.float64)
    kernels.comixup_objective(
        labels=native.address(labels),
        cost=native.address(cost),
        compatibility=native.address(matrix),
        partitions=partitions,
        inputs=inputs,
        outputs=outputs,
        height=height,
        width=width,
        beta=beta,
        gamma=gamma,
        tau=tau,
        threshold=threshold,
        scratch=native.address(scratch),
        objective=native.address(objective),
        **native.place(cost),
    )
    return objective


def salient_spots(saliency: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """Row and column of the most salient window of each map ``[..., H, W]``: int64 ``[..., 2]``."""
    height, width = saliency.shape[-2:]
    maps = ready(saliency, torch.float64 if saliency.dtype == torch.float64 else torch.float32)
    count = maps.shape[:-2].numel()
    kernels = native.cuda()
    size = kernels.salient_spots_scratch(count=count, height=height, window_height=window[0])
    scratch = native.scratch(size, maps)
    spots = new(maps, (*maps.shape[:-2], 2), torch.int64)
    kernels.salient_spots(
        saliency=native.address(maps),
        dtype=name_of(maps.dtype),
        count=count,
        height=height,
        width=width,
        window_height=window[0],
        window_width=window[1],
        scratch=native.address(scratch),
        spots=native.address(spots),
        **native.place(maps),
    )
    return spots


def salient_distance(saliency: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """L1 distance of the most salient windows of maps ``[..., n, H, W]``, pair by pair: ``[..., n, n]``."""
    spots = salient_spots(saliency, window).to(torch.float64)
    return (spots.unsqueeze(-2) - spots.unsqueeze(-3)).abs().sum(-1)


def compatibility(distance: torch.Tensor, omega: float) -> torch.Tensor:
    """``(1 - omega) I + omega n D / sum(D)`` of distances ``[P, n, n]``; the identity where all are zero."""
    n = distance.shape[-1]
    identity = torch.eye(n, dtype=torch.float64, device=distance.device)
    total = distance.sum((1, 2), keepdim=True)
    far = n * distance / total.clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(total > 0, (1 - omega) * identity + omega * far, identity)
