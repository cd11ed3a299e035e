"""Multi-label energies on a 4-connected grid: minimise and evaluate.

The energy of the labels l is ::

    E(l) = sum_p unary[p, l_p] + sum_edges weight[pq] * pairwise[l_p, l_q]

Boykov, Veksler & Zabih, PAMI 2001 (expansion, swap); Ishikawa, PAMI 2003 (exact, ordered labels);
Kolmogorov, PAMI 2006 (bounds).
"""

from __future__ import annotations

import math
import numbers
from typing import Any, NamedTuple

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._on_cuda import gridcut as on_cuda
from comix._solver_arrays import SolverArrays

METHODS = ("expansion", "swap", "exact", "auto")

_Array = np.ndarray[Any, Any]


class GridCut(NamedTuple):
    """What :func:`grid_cut` found; tensors or NumPy arrays, as the input was.

    Attributes:
        labels: int64 ``[..., H, W]``, the label of each site.
        energy: float64 ``[...]``, the energy of ``labels`` on the numbers given.
        optimal: bool ``[...]``, whether this labelling is proven optimal.
    """

    labels: Any
    energy: Any
    optimal: Any


class _Grid(NamedTuple):
    """A batch of grid problems, flattened to one leading axis: arrays on the CPU, tensors on CUDA."""

    batch: tuple[int, ...]
    unary: Any  # [P, H, W, L]
    pairwise: Any  # [L, L]
    weight_v: Any  # [P, H-1, W], or the number of all edges
    weight_h: Any  # [P, H, W-1], or the number of all edges

    @property
    def sites(self) -> tuple[int, int]:
        return self.unary.shape[1], self.unary.shape[2]

    @property
    def terms(self) -> tuple[Any, Any, Any, Any]:
        return self[1:]

    @property
    def on_cpu(self) -> bool:
        return isinstance(self.unary, np.ndarray)


def _weights(value: Any, name: str, arrays: SolverArrays, shape: tuple[int, ...]) -> torch.Tensor | float:
    """One number for all edges, or one per edge broadcast to ``shape`` = [..., rows, columns]."""
    if isinstance(value, (bool, str)) or value is None:
        checks.fail(name, "a number or a tensor", repr(value), TypeError)
    if isinstance(value, numbers.Real):
        return checks.check_number(value, name)
    weights = arrays.floats(value, name)
    rows, columns = shape[-2:]
    if weights.ndim == 0 and weights.device.type == "cpu":
        return float(weights)
    if weights.ndim and tuple(weights.shape[-2:]) != (rows, columns):
        checks.fail(name, f"a number or shape [..., {rows}, {columns}]", checks.shape_of(weights))
    try:
        weights = weights.expand(shape)
    except RuntimeError:
        checks.fail(name, f"a shape that broadcasts to {list(shape)}", checks.shape_of(weights))
    return weights.reshape(math.prod(shape[:-2]), rows, columns).contiguous()


def _grid(arrays: SolverArrays, unary: Any, pairwise: Any, weight_v: Any, weight_h: Any) -> _Grid:
    if (grid := _grid_in_place(unary, pairwise, weight_v, weight_h)) is not None:
        return grid
    unary = arrays.floats(unary, "unary")
    if unary.ndim < 3:
        checks.fail("unary", "shape [..., H, W, L]", checks.shape_of(unary))
    if 0 in unary.shape:
        checks.fail("unary", "at least one problem, site and label", f"shape {checks.shape_of(unary)}")
    *batch, height, width, labels = unary.shape
    pairwise = arrays.floats(pairwise, "pairwise")
    if tuple(pairwise.shape) != (labels, labels):
        checks.fail(
            "pairwise", f"shape [{labels}, {labels}] (unary has {labels} labels)", checks.shape_of(pairwise)
        )
    terms = (
        unary.reshape(-1, height, width, labels).contiguous(),
        pairwise.contiguous(),
        _weights(weight_v, "weight_v", arrays, (*batch, height - 1, width)),
        _weights(weight_h, "weight_h", arrays, (*batch, height, width - 1)),
    )
    if unary.device.type == "cpu":
        return _Grid(tuple(batch), *(native.array(t) if isinstance(t, torch.Tensor) else t for t in terms))
    return _Grid(tuple(batch), *terms)


def _grid_in_place(unary: Any, pairwise: Any, weight_v: Any, weight_h: Any) -> _Grid | None:
    """What :func:`_grid` makes of it where nothing must be converted, broadcast or explained; else None."""
    costs, distance = native.doubles_in_place(unary), native.doubles_in_place(pairwise)
    if costs is None or distance is None or costs.ndim < 3 or not costs.size:
        return None
    *batch, height, width, labels = costs.shape
    if distance.shape != (labels, labels):
        return None
    flat = len(batch) == 1
    judged = [costs, distance]
    weights: list[Any] = []
    for weight, rows, columns in ((weight_v, height - 1, width), (weight_h, height, width - 1)):
        if type(weight) is float and math.isfinite(weight):
            weights.append(weight)
            continue
        edges = native.doubles_in_place(weight)
        if edges is None or edges.shape != (*batch, rows, columns):
            return None
        judged.append(edges)
        weights.append(edges if flat else edges.reshape(math.prod(batch), rows, columns))
    if not native.core.all_finite(*judged):
        return None
    problems = costs if flat else costs.reshape(-1, height, width, labels)
    return _Grid(tuple(batch), problems, distance, *weights)


def _labels(arrays: SolverArrays, value: Any, name: str, grid: _Grid) -> torch.Tensor:
    """Labels broadcast to the grid's batch, int64 ``[P, H, W]``, in range."""
    labels = arrays.indices(value, name)
    expected = (*grid.batch, *grid.sites)
    if labels.ndim < 2 or tuple(labels.shape[-2:]) != grid.sites:
        checks.fail(name, f"shape {list(expected)}", checks.shape_of(labels))
    try:
        labels = labels.expand(expected)
    except RuntimeError:
        checks.fail(name, f"a shape that broadcasts to {list(expected)}", checks.shape_of(labels))
    checks.check_range(labels, name, 0, grid.unary.shape[-1] - 1)
    return labels.reshape(-1, *grid.sites).contiguous()


def grid_cut(
    unary: Any,
    pairwise: Any,
    weight_v: Any = 1.0,
    weight_h: Any = 1.0,
    *,
    method: str = "expansion",
    init: Any = None,
    max_sweeps: int | None = None,
) -> GridCut:
    """Minimise grid energies, each problem of the batch on its own.

    Args:
        unary: ``[..., H, W, L]`` cost of each label at each site, any float or integer dtype (solved in
            float64 and fixed point), any sign.
        pairwise: ``[L, L]`` label distance; entry ``[a, b]`` is for label a above or left of label b.
            Usually symmetric with a zero diagonal; neither is required.
        weight_v: weight of the edges between rows, a number or ``[..., H-1, W]``. Default 1.
        weight_h: weight of the edges between columns, a number or ``[..., H, W-1]``. Default 1.
        method: ``"expansion"`` (default): alpha-expansion. ``"swap"``: alpha-beta swap, in the order and with
            the ties of the gco library, so that on integer costs the labels are the same. ``"exact"``:
            the proven optimum, or an error with the reason. ``"auto"``: exact where that is
            affordable, else expansion followed by swap.
        init: ``[..., H, W]`` start labels for expansion and swap; the result is never worse. Default: the
            better of two attempts. Expansion starts at the unary minimum and tries the labels in
            ascending, then in descending order; swap starts from label 0 everywhere, then from the unary
            minimum - on costs that are all integers from label 0 only, as gco does.
        max_sweeps: rounds over the labels, for expansion and swap. Default: until no move helps.

    Returns:
        GridCut(labels int64 ``[..., H, W]``, energy float64 ``[...]``, optimal bool ``[...]``), NumPy
        arrays if ``unary`` was one. Energies are those of the caller's numbers; "proven optimal" is
        meant for costs rounded to 2^-50 of the sum of their magnitudes. Unary costs of labels that no
        optimum shows do not count in that sum: on the CPU, 1e30 forbids a label at no loss.

    Raises:
        TypeError: not a tensor or array, or of a wrong dtype.
        ValueError: wrong shapes, NaN or infinite costs, labels out of range, unknown method, or
            ``method="exact"`` on an energy that neither a minimum cut nor dynamic programming within
            256 MiB and 2e11 steps solves: binary submodular energies and label distances convex in
            ``|i - j|`` with weights >= 0 are exact on any grid, everything else on narrow grids, and on wide
            ones where lower bounds leave few labels open. (On CUDA the answer is expansion's and ``optimal``
            False: docs/cuda.md.)
        comix.BackendUnavailable: tensors on a device this build has no solvers for.

    Example:
        >>> import comix, torch
        >>> unary = torch.tensor([[[0.0, 1.0], [0.6, 0.4], [1.0, 0.0]]])  # [1, 3, 2]
        >>> potts = 1 - torch.eye(2)
        >>> comix.grid_cut(unary, potts, weight_h=0.5, method="exact").labels
        tensor([[0, 1, 1]])
    """
    checks.check_option(method, "method", METHODS)
    sweeps = 0 if max_sweeps is None else min(checks.check_count(max_sweeps, "max_sweeps", 1), 2**31 - 1)
    arrays = SolverArrays(unary)
    grid = _grid(arrays, unary, pairwise, weight_v, weight_h)
    start = None if init is None else _labels(arrays, init, "init", grid)
    labels, energy, optimal = (
        _cut_on_cpu(grid, method, start, sweeps)
        if grid.on_cpu
        else on_cuda.grid_cut(*grid.terms, method, start, sweeps)
    )
    if len(grid.batch) != 1:
        labels, energy, optimal = (
            labels.reshape(*grid.batch, *grid.sites),
            energy.reshape(grid.batch),
            optimal.reshape(grid.batch),
        )
    return GridCut(arrays.give_back(labels), arrays.give_back(energy), arrays.give_back(optimal))


def _cut_on_cpu(
    grid: _Grid, method: str, start: torch.Tensor | None, sweeps: int
) -> tuple[_Array, _Array, _Array]:
    count = grid.unary.shape[0]
    labels = np.empty((count, *grid.sites), np.int64)
    energy, optimal = np.empty(count), np.empty(count, np.bool_)
    given = None if start is None else native.array(start)
    native.core.grid_cut(*grid.terms, method, given, sweeps, native.threads(), labels, energy, optimal)
    return labels, energy, optimal


def grid_energy(labels: Any, unary: Any, pairwise: Any, weight_v: Any = 1.0, weight_h: Any = 1.0) -> Any:
    """Energy of labellings: unary costs plus weighted label distances over all edges.

    Args:
        labels: ``[..., H, W]`` integers in ``0..L-1``.
        unary: ``[..., H, W, L]`` as in :func:`grid_cut`.
        pairwise: ``[L, L]``.
        weight_v: a number or ``[..., H-1, W]``. Default 1.
        weight_h: a number or ``[..., H, W-1]``. Default 1.

    Returns:
        float64 ``[...]``, a NumPy array if ``unary`` was one.

    Raises:
        TypeError: not a tensor or array, or of a wrong dtype.
        ValueError: wrong shapes, NaN or infinite costs, labels out of range.

    Example:
        >>> import comix, torch
        >>> unary = torch.tensor([[[0.0, 1.0], [0.6, 0.4], [1.0, 0.0]]])
        >>> float(comix.grid_energy(torch.tensor([[0, 1, 1]]), unary, 1 - torch.eye(2), 1.0, 0.5))
        0.9000000059604645
    """
    arrays = SolverArrays(unary)
    grid = _grid(arrays, unary, pairwise, weight_v, weight_h)
    flat = _labels(arrays, labels, "labels", grid)
    if not grid.on_cpu:
        return arrays.give_back(on_cuda.grid_energy(flat, *grid.terms).reshape(grid.batch))
    energy = np.empty(flat.shape[0])
    native.core.grid_energy(native.array(flat), *grid.terms, energy)
    return arrays.give_back(energy.reshape(grid.batch))
