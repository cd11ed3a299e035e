"""gco-wrapper's grid functions with comix's solvers: exact arithmetic, exceptions instead of aborts.

gco-wrapper 3.0.9 multiplies floating costs by 1e5 (unary), 1e3 (edges) and 1e2 (label distances) and
truncates them to int32, which may wrap around; with "expansion" it ends the process on unary costs above 100.
Here labels are solved on the numbers given. Inside :func:`comix.compat.replay`, "swap" gives gco-wrapper's
labels.

    from comix.compat import gco            # or, for code that says "import gco":
    comix.compat.gco.install()
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from comix import BackendUnavailable, grid_cut
from comix import _checks as checks
from comix.compat._official import official
from comix.compat._replay import Numbers, official_cut, replaying

__all__ = [
    "DataTypeNotSupportedError",
    "IndexOutOfBoundError",
    "PyGcoError",
    "ShapeMismatchError",
    "cut_general_graph",
    "cut_grid_graph",
    "cut_grid_graph_simple",
    "install",
]


class PyGcoError(Exception):
    """Base of the errors of this module.

    Args:
        msg: what went wrong.
    """

    @official
    def __init__(self, msg: str = "") -> None:
        super().__init__(msg)
        self.msg = msg


class ShapeMismatchError(PyGcoError, ValueError):
    """Arrays whose shapes do not fit; also a ValueError."""


class DataTypeNotSupportedError(PyGcoError, TypeError):
    """Costs that are not real numbers; also a TypeError."""


class IndexOutOfBoundError(PyGcoError, IndexError):
    """A site or label that is not there; also an IndexError."""


def _numbers(value: Any, name: str, ndim: int) -> Numbers:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise DataTypeNotSupportedError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim != ndim:
        raise ShapeMismatchError(f"{name}: expected {ndim} dimensions, got shape {list(array.shape)}")
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # what the solvers hold anyway
    return array


def _fit(array: Numbers, name: str, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise ShapeMismatchError(f"{name}: expected shape {list(expected)}, got {list(array.shape)}")


@official
def cut_grid_graph(
    unary_cost: Any,
    pairwise_cost: Any,
    cost_v: Any,
    cost_h: Any,
    cost_dr: Any = None,
    cost_dl: Any = None,
    n_iter: int = -1,
    algorithm: str = "expansion",
) -> Numbers:
    """Label a 4-connected grid.

    Args:
        unary_cost: ``[H, W, L]``.
        pairwise_cost: ``[L, L]``, symmetric.
        cost_v: ``[H-1, W]`` weights of the edges between rows.
        cost_h: ``[H, W-1]`` weights of the edges between columns.
        cost_dr: must be None: comix has no diagonal edges.
        cost_dl: must be None.
        n_iter: rounds over the labels; -1 (default): until no move helps.
        algorithm: "expansion" (default) or "swap".

    Returns:
        int32 ``[H*W]`` labels.

    Raises:
        ShapeMismatchError, DataTypeNotSupportedError: shapes that do not fit, not numbers.
        ValueError: NaN, a table that is not symmetric, an unknown algorithm, n_iter below -1; in replay
            also "expansion" and costs that gco-wrapper cannot take.
        comix.BackendUnavailable: diagonal edges.

    Example:
        >>> import numpy as np
        >>> from comix.compat import gco
        >>> unary = np.array([[[0.0, 1.0], [0.6, 0.4], [1.0, 0.0]]])
        >>> gco.cut_grid_graph(unary, 1 - np.eye(2), np.zeros((0, 3)), np.full((1, 2), 0.5))
        array([0, 1, 1], dtype=int32)
    """
    checks.check_option(algorithm, "algorithm", ("expansion", "swap"))
    sweeps = checks.check_count(n_iter, "n_iter", -1)
    if cost_dr is not None or cost_dl is not None:
        raise BackendUnavailable("cost_dr, cost_dl: expected None, comix solves 4-connected grids only")
    unary = _numbers(unary_cost, "unary_cost", 3)
    if 0 in unary.shape:
        raise ShapeMismatchError(f"unary_cost: expected at least one site and label, got {list(unary.shape)}")
    height, width, labels = unary.shape
    table, down, right = (
        _numbers(value, name, 2)
        for value, name in ((pairwise_cost, "pairwise_cost"), (cost_v, "cost_v"), (cost_h, "cost_h"))
    )
    _fit(table, "pairwise_cost", (labels, labels))
    _fit(down, "cost_v", (height - 1, width))
    _fit(right, "cost_h", (height, width - 1))
    if not np.array_equal(table, table.T, equal_nan=True):
        checks.fail("pairwise_cost", "a symmetric table", "one that is not")
    if sweeps == 0:
        return np.zeros(height * width, np.int32)
    if replaying():
        checks.check_option(algorithm, "algorithm in replay", ("swap",))
        checks.check_option(str(sweeps), "n_iter in replay", ("-1",))
        found = official_cut(unary, table, down, right)
    else:
        limit = None if sweeps == -1 else sweeps
        arrays = (_solvable(a) for a in (unary, table, down, right))
        found = grid_cut(*arrays, method=algorithm, max_sweeps=limit).labels
    flat: Numbers = found.astype(np.int32).ravel()
    return flat


def _solvable(array: Numbers) -> Numbers:
    """Unsigned integers, which torch lacks, as wider ones."""
    return (
        array.astype(np.float64 if array.dtype == np.uint64 else np.int64)
        if array.dtype.kind == "u"
        else array
    )


@official
def cut_grid_graph_simple(
    unary_cost: Any, pairwise_cost: Any, n_iter: int = -1, connect: int = 4, algorithm: str = "expansion"
) -> Numbers:
    """Label a 4-connected grid whose edges all weigh 1.

    Args:
        unary_cost: ``[H, W, L]``.
        pairwise_cost: ``[L, L]``, symmetric.
        n_iter: rounds over the labels; -1 (default): until no move helps.
        connect: must be 4 (default).
        algorithm: "expansion" (default) or "swap".

    Returns:
        int32 ``[H*W]`` labels.

    Raises:
        ValueError: connect is neither 4 nor 8; see also :func:`cut_grid_graph`.
        comix.BackendUnavailable: ``connect=8``.
    """
    if connect == 8:
        raise BackendUnavailable("connect: expected 4, comix solves 4-connected grids only")
    if connect != 4:
        checks.fail("connect", "4 or 8", repr(connect))
    unary = _numbers(unary_cost, "unary_cost", 3)
    height, width, _ = unary.shape
    # Edges of the unary's kind, so that integers stay integers, as in gco-wrapper.
    down = np.ones((max(height - 1, 0), width), unary.dtype)
    right = np.ones((height, max(width - 1, 0)), unary.dtype)
    return cut_grid_graph(unary, pairwise_cost, down, right, n_iter=n_iter, algorithm=algorithm)


@official
def cut_general_graph(
    edges: Any,
    edge_weights: Any,
    unary_cost: Any,
    pairwise_cost: Any = None,
    n_iter: int = -1,
    algorithm: str = "expansion",
    init_labels: Any = None,
    down_weight_factor: float | None = None,
) -> Numbers:
    """Label any graph: not available, comix has solvers for grids only.

    Args:
        edges: ``[E, 2]`` sites.
        edge_weights: ``[E]``.
        unary_cost: ``[N, L]``.
        pairwise_cost: ``[L, L]``.
        n_iter: rounds over the labels.
        algorithm: "expansion" or "swap".
        init_labels: ``[N]`` start labels.
        down_weight_factor: divides all costs.

    Raises:
        comix.BackendUnavailable: always.
    """
    raise BackendUnavailable(
        "cut_general_graph: comix solves 4-connected grids only; for a graph that is one, "
        "use cut_grid_graph, for others gco-wrapper itself"
    )


def install() -> None:
    """Make ``import gco`` find this module, in this process.

    An already imported gco-wrapper is replaced for imports to come.

    Example:
        >>> import comix.compat.gco, sys
        >>> before = sys.modules.get("gco")
        >>> comix.compat.gco.install()
        >>> import gco
        >>> gco is comix.compat.gco
        True
        >>> _ = sys.modules.pop("gco") if before is None else sys.modules.update(gco=before)
    """
    sys.modules["gco"] = sys.modules[__name__]
