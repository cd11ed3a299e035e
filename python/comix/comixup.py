"""Co-Mixup: mix a whole batch jointly, so that outputs are salient, smooth and unlike each other.

Each of m outputs labels every block with one of n inputs (or two at half weight). Minimised is ::

    sum_o sum_p c[l_op, p] + beta'/2 sum_o sum_edges |z_op - z_oq|^2 + gamma' sum_o s_o . f(pi_o)

with c = -saliency (each map sums to -1) plus a prior, s_o[i] the blocks of input i in output o, pi_o the
sum of the other outputs' s, f(pi) = [A pi > tau'] A pi for the compatibility A, and beta' = beta / blocks,
gamma' = gamma / blocks, tau' = tau * blocks. Kim, Choo, Jeong & Song, "Co-Mixup", ICLR 2021.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._on_cuda import comixup as on_cuda
from comix.gridcut import METHODS

THRESHOLDS = ("hard", "soft", "hard_official")
SELECTIONS = ("best", "last")

_Array = np.ndarray[Any, Any]


def _cost(cost: torch.Tensor, compatibility: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Cost as float64 ``[P, n, gh, gw]``, compatibility as float64 ``[P, n, n]`` or None."""
    checks.require_tensor(cost, "cost")
    checks.check_dtype(cost, "cost", checks.FLOAT_DTYPES)
    if cost.ndim != 4:
        checks.fail("cost", "shape [P, n, gh, gw]", checks.shape_of(cost))
    if 0 in cost.shape:
        checks.fail("cost", "at least one partition, input and block", f"shape {checks.shape_of(cost)}")
    native.require_device(cost, "cost")
    checks.check_finite(cost, "cost")
    if compatibility is not None:
        checks.require_tensor(compatibility, "compatibility")
        checks.check_dtype(compatibility, "compatibility", checks.FLOAT_DTYPES)
        expected = [cost.shape[0], cost.shape[1], cost.shape[1]]
        if list(compatibility.shape) != expected:
            checks.fail("compatibility", f"shape {expected}", checks.shape_of(compatibility))
        checks.check_same_device({"cost": cost, "compatibility": compatibility})
        checks.check_finite(compatibility, "compatibility")
        checks.check_range(compatibility, "compatibility", 0, float("inf"))
        compatibility = compatibility.detach().to(torch.float64).contiguous()
    return cost.detach().to(torch.float64).contiguous(), compatibility


def checked_numbers(beta: float, gamma: float, tau: float, threshold: str) -> tuple[float, float, float]:
    """``beta``, ``gamma`` and ``tau`` as finite floats of at least 0, for a known threshold."""
    checks.check_option(threshold, "threshold", THRESHOLDS)
    return (
        checks.check_number(beta, "beta", 0.0),
        checks.check_number(gamma, "gamma", 0.0),
        checks.check_number(tau, "tau", 0.0),
    )


def _starts(
    init: torch.Tensor | None, cost: torch.Tensor, n_outputs: int | None, generator: torch.Generator | None
) -> torch.Tensor:
    """Start labels ``[P, R, m, gh, gw]``, given or drawn."""
    partitions, n, height, width = cost.shape
    if generator is not None and not isinstance(generator, torch.Generator):
        checks.fail("generator", "a torch.Generator or None", type(generator).__name__, TypeError)
    if init is None:
        m = n if n_outputs is None else checks.check_count(n_outputs, "n_outputs", 1)
        if generator is not None and generator.device.type != "cpu":
            expected = "a CPU generator (draws are the same for all devices)"
            checks.fail("generator", expected, str(generator.device))
        shape = (partitions, 1, m, height, width)
        drawn = torch.randint(0, n, shape, generator=generator, device="cpu")
        return native.send(drawn, cost.device)
    checks.require_tensor(init, "init")
    checks.check_dtype(init, "init", checks.INDEX_DTYPES)
    sizes = init.shape
    fits = init.ndim in (4, 5) and sizes[0] == partitions and tuple(sizes[-2:]) == (height, width)
    if not fits or 0 in sizes:
        expected = f"shape [{partitions}, m, {height}, {width}] or [{partitions}, R, m, {height}, {width}]"
        checks.fail("init", expected, checks.shape_of(init))
    if init.ndim == 4:
        init = init.unsqueeze(1)
    if n_outputs is not None and init.shape[2] != checks.check_count(n_outputs, "n_outputs", 1):
        checks.fail("n_outputs", f"{init.shape[2]}, as init has", str(n_outputs))
    checks.check_same_device({"cost": cost, "init": init})
    checks.check_range(init, "init", 0, n - 1)
    return init.to(torch.int64).contiguous()


def comixup_labels(
    cost: torch.Tensor,
    *,
    compatibility: torch.Tensor | None = None,
    init: torch.Tensor | None = None,
    n_outputs: int | None = None,
    beta: float = 0.32,
    gamma: float = 1.0,
    tau: float = 0.83,
    sweeps: int = 4,
    threshold: str = "hard",
    resolve_duplicates: bool = True,
    select: str = "best",
    method: str = "auto",
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Label every block of every output with one or two inputs, partition by partition.

    In turn each output is re-solved by a grid cut with the others fixed, the linearised diversity term
    joining its unary costs; from the second sweep on, the two or three largest inputs of an output may also
    share a block half and half. Stops early when the objective without threshold and compatibility changes
    by less than 1e-6 of its value. This is a heuristic: no sweep is guaranteed to lower the objective. So the
    best sweep is kept, and blocks that show overused inputs are then given to other inputs, one by one, as
    long as that lowers the objective. The same is done with the second sweep's labels, and the better of the
    two results returned.

    Args:
        cost: ``[P, n, gh, gw]`` cost of showing input i at block p, any float dtype: minus the block
            saliency, plus a prior if wanted.
        compatibility: ``[P, n, n]`` matrix A, entries >= 0. Default: the identity.
        init: integers ``[P, m, gh, gw]``, start labels, or ``[P, R, m, gh, gw]``: R starts, the best result
            wins. Default: one start drawn uniformly from ``generator``.
        n_outputs: m, when init is None. Default n.
        beta: smoothness. Default 0.32.
        gamma: diversity. Default 1.0.
        tau: how much of an input, in image areas, the other outputs may use before it costs extra.
            Default 0.83.
        sweeps: at most this many rounds over the outputs. Default 4.
        threshold: ``"hard"`` (default), ``"soft"`` (``[A pi > tau'] (A pi - tau')``) or ``"hard_official"``
            (``A ([A pi > tau'] pi)``, the operator-precedence slip of the official code).
        resolve_duplicates: before the last sweep, outputs made of the same two or more inputs are told
            to avoid one each. Default True.
        select: ``"best"`` (default) takes the labelling with the lowest thresholded objective seen at the end
            of any sweep, and that of the second sweep, improves both by descent on single blocks and keeps
            the better one;
            ``"last"`` returns the one after the final sweep, as the official code does.
        method: of the inner cuts, as in :func:`comix.grid_cut` (one attempt each). Default ``"auto"``, which
            here means ``"expansion"``: the loop around the cuts linearises, so proven ones bring nothing.
            ``"exact"`` refuses cuts it cannot prove; on CUDA, where nothing can refuse, those are expansions.
        generator: source of the start labels when init is None.

    Returns:
        int64 ``[P, m, gh, gw, 2]``: each block's two inputs (counted inside the partition), equal when one
        fills the block, half weight each otherwise.

    Raises:
        TypeError: not a tensor, or of a wrong dtype.
        ValueError: wrong shapes, NaN, values or labels out of range, unknown options; on the CPU
            ``"exact"`` cuts that cannot be proven.
        comix.BackendUnavailable: tensors on a device this build has no solvers for.

    Example:
        >>> import comix, torch
        >>> saliency = torch.rand(1, 4, 4, 4)
        >>> cost = -saliency / saliency.sum((2, 3), keepdim=True)
        >>> comix.comixup_labels(cost, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([1, 4, 4, 4, 2])
    """
    checks.check_option(select, "select", SELECTIONS)
    checks.check_option(method, "method", METHODS)
    checks.check_flag(resolve_duplicates, "resolve_duplicates")
    sweeps = min(checks.check_count(sweeps, "sweeps", 1), 2**31 - 1)
    beta, gamma, tau = checked_numbers(beta, gamma, tau, threshold)
    cost, matrix = _cost(cost, compatibility)
    starts = _starts(init, cost, n_outputs, generator)
    if cost.device.type != "cpu":
        return on_cuda.comixup_labels(
            cost,
            matrix,
            starts,
            beta=beta,
            gamma=gamma,
            tau=tau,
            sweeps=sweeps,
            threshold=threshold,
            resolve_duplicates=bool(resolve_duplicates),
            select=select,
            method=method,
        )
    settings = _Settings(beta, gamma, tau, sweeps, threshold, bool(resolve_duplicates), select, method)
    given = None if matrix is None else native.array(matrix)
    return torch.from_numpy(_label(native.array(cost), given, native.array(starts), settings))


class _Settings(NamedTuple):
    """What the native code wants to know beside the arrays, in its order."""

    beta: float
    gamma: float
    tau: float
    sweeps: int
    threshold: str
    resolve_duplicates: bool
    select: str
    method: str


def _label(cost: _Array, compatibility: _Array | None, init: _Array, settings: _Settings) -> _Array:
    partitions, _, m, height, width = init.shape
    labels = np.empty((partitions, m, height, width, 2), np.int64)
    native.core.comixup_labels(cost, compatibility, init, *settings, native.threads(), labels)
    return labels


def comixup_objective(
    labels: torch.Tensor,
    cost: torch.Tensor,
    *,
    compatibility: torch.Tensor | None = None,
    beta: float = 0.32,
    gamma: float = 1.0,
    tau: float = 0.83,
    threshold: str = "hard",
) -> torch.Tensor:
    """The thresholded Co-Mixup objective of a labelling (equation at the head of this module).

    Args:
        labels: integers ``[P, m, gh, gw, 2]`` as :func:`comixup_labels` returns them.
        cost: ``[P, n, gh, gw]``, with or without a prior.
        compatibility: ``[P, n, n]``. Default: the identity.
        beta: smoothness. Default 0.32.
        gamma: diversity. Default 1.0.
        tau: threshold. Default 0.83.
        threshold: as in :func:`comixup_labels`.

    Returns:
        float64 ``[P]``.

    Raises:
        TypeError: not a tensor, or of a wrong dtype.
        ValueError: wrong shapes, NaN, labels out of range.

    Example:
        >>> import comix, torch
        >>> cost = torch.full((1, 2, 1, 1), -1.0)
        >>> comix.comixup_objective(torch.tensor([[[[[0, 0]]], [[[1, 1]]]]]), cost)
        tensor([-2.], dtype=torch.float64)
    """
    beta, gamma, tau = checked_numbers(beta, gamma, tau, threshold)
    cost, matrix = _cost(cost, compatibility)
    checks.require_tensor(labels, "labels")
    checks.check_dtype(labels, "labels", checks.INDEX_DTYPES)
    partitions, n, height, width = cost.shape
    sizes = labels.shape
    if labels.ndim != 5 or sizes[0] != partitions or tuple(sizes[2:]) != (height, width, 2) or sizes[1] == 0:
        checks.fail("labels", f"shape [{partitions}, m, {height}, {width}, 2]", checks.shape_of(labels))
    checks.check_same_device({"cost": cost, "labels": labels})
    checks.check_range(labels, "labels", 0, n - 1)
    if cost.device.type != "cpu":
        return on_cuda.comixup_objective(
            labels.to(torch.int64), cost, matrix, beta=beta, gamma=gamma, tau=tau, threshold=threshold
        )
    objective = torch.empty(partitions, dtype=torch.float64, device="cpu")
    native.core.comixup_objective(
        native.array(labels.to(torch.int64).contiguous()),
        native.array(cost),
        None if matrix is None else native.array(matrix),
        beta,
        gamma,
        tau,
        threshold,
        objective.numpy(),
    )
    return objective
