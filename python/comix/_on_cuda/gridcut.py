"""Grid energies on CUDA."""

from __future__ import annotations

import torch

from comix import _native as native
from comix._on_cuda import new, ready

Weight = torch.Tensor | float  # float64 [P, rows, columns], or one number for all edges


def grid_cut(
    unary: torch.Tensor,  # float64 [P, H, W, L]
    pairwise: torch.Tensor,  # float64 [L, L]
    weight_v: Weight,  # [P, H-1, W]
    weight_h: Weight,  # [P, H, W-1]
    method: str,
    init: torch.Tensor | None,  # int64 [P, H, W]
    max_sweeps: int,  # 0: until no move helps
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Labels int64 ``[P, H, W]``, energy float64 ``[P]`` and optimal bool ``[P]``."""
    labels, optimal = cut(unary, pairwise, weight_v, weight_h, method, init, max_sweeps)
    return labels, grid_energy(labels, unary, pairwise, weight_v, weight_h), optimal


def cut(
    unary: torch.Tensor,
    pairwise: torch.Tensor,
    weight_v: Weight,
    weight_h: Weight,
    method: str,
    init: torch.Tensor | None,
    max_sweeps: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`grid_cut` without the energies: labels int64 ``[P, H, W]`` and optimal bool ``[P]``.

    A kernel cannot raise: where ``"exact"`` does not apply, the answer is expansion's and ``optimal`` False.
    """
    problems, height, width, n_labels = unary.shape
    unary, pairwise = ready(unary), ready(pairwise)
    start = None if init is None else ready(init)
    vertical, uniform_v = _edges(weight_v)
    horizontal, uniform_h = _edges(weight_h)
    kernels = native.cuda()
    size = kernels.grid_cut_scratch(
        problems=problems, height=height, width=width, n_labels=n_labels, method=method
    )
    scratch = native.scratch(size, unary)
    labels = new(unary, (problems, height, width), torch.int64)
    optimal = new(unary, (problems,), torch.bool)
    kernels.grid_cut(
        unary=native.address(unary),
        pairwise=native.address(pairwise),
        weight_v=native.address(vertical),
        uniform_v=uniform_v,
        weight_h=native.address(horizontal),
        uniform_h=uniform_h,
        problems=problems,
        height=height,
        width=width,
        n_labels=n_labels,
        method=method,
        init=native.address(start),
        max_sweeps=max_sweeps,
        scratch=native.address(scratch),
        labels=native.address(labels),
        optimal=native.address(optimal),
        **native.place(unary),
    )
    return labels, optimal


def grid_energy(
    labels: torch.Tensor,  # int64 [P, H, W]
    unary: torch.Tensor,
    pairwise: torch.Tensor,
    weight_v: Weight,
    weight_h: Weight,
) -> torch.Tensor:
    """Energy float64 ``[P]``; labels out of range count as the nearest."""
    problems, height, width, n_labels = unary.shape
    labels, unary, pairwise = ready(labels), ready(unary), ready(pairwise)
    energy = new(unary, (problems,), torch.float64)
    vertical, uniform_v = _edges(weight_v)
    horizontal, uniform_h = _edges(weight_h)
    native.cuda().grid_energy(
        labels=native.address(labels),
        unary=native.address(unary),
        pairwise=native.address(pairwise),
        weight_v=native.address(vertical),
        uniform_v=uniform_v,
        weight_h=native.address(horizontal),
        uniform_h=uniform_h,
        problems=problems,
        height=height,
        width=width,
        n_labels=n_labels,
        energy=native.address(energy),
        **native.place(unary),
    )
    return energy


def _edges(weight: Weight) -> tuple[torch.Tensor | None, float]:
    """Memory of the weights, or None and the one weight of all edges."""
    return (ready(weight), 0.0) if isinstance(weight, torch.Tensor) else (None, weight)
