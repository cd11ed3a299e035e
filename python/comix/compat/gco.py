"""gco-wrapper's functions and class with comix's solvers: exact arithmetic, exceptions instead of aborts.

gco-wrapper 3.0.9 multiplies floating costs by 1e5 (unary), 1e3 (edges) and 1e2 (label distances) and
truncates them to int32, which may wrap around; with "expansion" it ends the process on unary costs above 100.
Here labels are solved on the numbers given. Inside :func:`comix.compat.replay` the grid functions and ``GCO``
give gco-wrapper's labels, for both algorithms. ::

    from comix.compat import gco            # or, for code that says "import gco":
    comix.compat.gco.install()
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from comix import _checks as checks
from comix import grid_cut
from comix.compat._gco_arrays import (
    DataTypeNotSupportedError,
    IndexOutOfBoundError,
    PyGcoError,
    ShapeMismatchError,
    check_symmetric,
    fit,
    indices,
    real_numbers,
)
from comix.compat._gco_class import GCO
from comix.compat._gco_graph import grid_edges, official_labels, solve_graph
from comix.compat._official import official
from comix.compat._replay import Numbers, replaying

__all__ = [  # noqa: RUF022 - alphabetical
    "DataTypeNotSupportedError",
    "GCO",
    "IndexOutOfBoundError",
    "PyGcoError",
    "ShapeMismatchError",
    "cut_general_graph",
    "cut_grid_graph",
    "cut_grid_graph_simple",
    "get_images_edges_diag",
    "get_images_edges_vh",
    "install",
]


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
    """Label a 4-connected grid, or an 8-connected one when diagonal weights are given.

    Args:
        unary_cost: ``[H, W, L]``.
        pairwise_cost: ``[L, L]``, symmetric.
        cost_v: ``[H-1, W]`` weights of the edges between rows.
        cost_h: ``[H, W-1]`` weights of the edges between columns.
        cost_dr: ``[H-1, W-1]`` weights of the diagonals from (r, c) to (r+1, c+1); both diagonals or neither.
        cost_dl: ``[H-1, W-1]`` weights of those from (r, c+1) to (r+1, c).
        n_iter: rounds over the labels; -1 (default): until no move helps.
        algorithm: "expansion" (default) or "swap".

    Returns:
        int32 ``[H*W]`` labels.

    Raises:
        ShapeMismatchError, DataTypeNotSupportedError: shapes that do not fit, not numbers.
        ValueError: NaN, a table that is not symmetric, one diagonal without the other, an unknown algorithm,
            n_iter below -1; in replay also costs that gco-wrapper cannot take: those at which it aborts (for
            "expansion" unary costs above 100 and distances that are no metric), overflows its integers, or
            answers as no rule predicts (weights below 0).

    Example:
        >>> import numpy as np
        >>> from comix.compat import gco
        >>> unary = np.array([[[0.0, 1.0], [0.6, 0.4], [1.0, 0.0]]])
        >>> gco.cut_grid_graph(unary, 1 - np.eye(2), np.zeros((0, 3)), np.full((1, 2), 0.5))
        array([0, 1, 1], dtype=int32)
    """
    checks.check_option(algorithm, "algorithm", ("expansion", "swap"))
    sweeps = checks.check_count(n_iter, "n_iter", -1)
    if (cost_dr is None) != (cost_dl is None):
        checks.fail("cost_dr, cost_dl", "both or neither", "one of them")
    unary = real_numbers(unary_cost, "unary_cost", 3)
    if 0 in unary.shape:
        raise ShapeMismatchError(f"unary_cost: expected at least one site and label, got {list(unary.shape)}")
    height, width, labels = unary.shape
    table, down, right = (
        real_numbers(value, name, 2)
        for value, name in ((pairwise_cost, "pairwise_cost"), (cost_v, "cost_v"), (cost_h, "cost_h"))
    )
    fit(table, "pairwise_cost", (labels, labels))
    fit(down, "cost_v", (height - 1, width))
    fit(right, "cost_h", (height, width - 1))
    check_symmetric(table, "pairwise_cost")
    if sweeps == 0:
        return np.zeros(height * width, np.int32)
    weights = [("cost_v", down), ("cost_h", right)]
    for value, name in ((cost_dr, "cost_dr"), (cost_dl, "cost_dl")):
        if value is not None:
            weights.append((name, real_numbers(value, name, 2)))
            fit(weights[-1][1], name, (height - 1, width - 1))
    sites, edges = unary.reshape(-1, labels), np.concatenate(grid_edges(height, width)[: len(weights)])
    if replaying():
        return official_labels(sites, table, edges, weights, algorithm, sweeps)
    if cost_dr is not None:
        joined = np.concatenate([w.ravel().astype(np.float64) for _, w in weights])
        return solve_graph(sites, table, edges, joined, algorithm, sweeps, np.zeros(len(sites), np.int64))
    limit = None if sweeps == -1 else sweeps
    arrays = (_solvable(a) for a in (unary, table, down, right))
    flat: Numbers = grid_cut(*arrays, method=algorithm, max_sweeps=limit).labels.astype(np.int32).ravel()
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
    """Label a grid whose edges all weigh 1.

    Args:
        unary_cost: ``[H, W, L]``.
        pairwise_cost: ``[L, L]``, symmetric.
        n_iter: rounds over the labels; -1 (default): until no move helps.
        connect: 4 (default), or 8 for diagonals too.
        algorithm: "expansion" (default) or "swap".

    Returns:
        int32 ``[H*W]`` labels.

    Raises:
        ValueError: connect is neither 4 nor 8; see also :func:`cut_grid_graph`.
    """
    if connect not in (4, 8):
        checks.fail("connect", "4 or 8", repr(connect))
    unary = real_numbers(unary_cost, "unary_cost", 3)
    height, width, _ = unary.shape
    # Edges of the unary's kind, so that integers stay integers, as in gco-wrapper.
    down = np.ones((max(height - 1, 0), width), unary.dtype)
    right = np.ones((height, max(width - 1, 0)), unary.dtype)
    diagonal = np.ones((max(height - 1, 0), max(width - 1, 0)), unary.dtype) if connect == 8 else None
    return cut_grid_graph(unary, pairwise_cost, down, right, diagonal, diagonal, n_iter, algorithm)


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
    """Label any graph.

    Args:
        edges: ``[E, 2]`` pairs of different sites.
        edge_weights: ``[E]``.
        unary_cost: ``[N, L]``.
        pairwise_cost: ``[L, L]``, symmetric. Default: 1 between different labels.
        n_iter: rounds over the labels; -1 (default): until no move helps.
        algorithm: "expansion" (default) or "swap".
        init_labels: ``[N]`` start labels; the result is never worse. Default: label 0 everywhere.
        down_weight_factor: gco-wrapper divides unary costs and weights by it to fit them into integers; no
            labelling's rank depends on it, and nothing here. A number above 0, or None.

    Returns:
        int32 ``[N]`` labels.

    Raises:
        ShapeMismatchError, DataTypeNotSupportedError: shapes that do not fit, not numbers.
        IndexOutOfBoundError: an edge or a start label that is not there.
        ValueError: NaN, a table that is not symmetric, an edge from a site to itself, an unknown algorithm,
            n_iter below -1; in replay always: gco-wrapper scales these costs by a factor of its own.

    Example:
        >>> import numpy as np
        >>> from comix.compat import gco
        >>> unary = np.array([[0.0, 1.0], [0.6, 0.4], [1.0, 0.0]])
        >>> gco.cut_general_graph(np.array([[0, 1], [0, 2]]), np.array([0.5, 0.1]), unary)
        array([0, 0, 1], dtype=int32)
    """
    if replaying():
        raise ValueError(
            "cut_general_graph: expected to be called outside of replay, which knows grids and GCO only"
        )
    checks.check_option(algorithm, "algorithm", ("expansion", "swap"))
    sweeps = checks.check_count(n_iter, "n_iter", -1)
    if down_weight_factor is not None:
        checks.check_number(down_weight_factor, "down_weight_factor", 0.0, above=True)
    unary = real_numbers(unary_cost, "unary_cost", 2)
    if 0 in unary.shape:
        raise ShapeMismatchError(f"unary_cost: expected at least one site and label, got {list(unary.shape)}")
    sites, labels = unary.shape
    table = 1.0 - np.eye(labels) if pairwise_cost is None else real_numbers(pairwise_cost, "pairwise_cost", 2)
    fit(table, "pairwise_cost", (labels, labels))
    check_symmetric(table, "pairwise_cost")
    weights = real_numbers(edge_weights, "edge_weights", 1)
    pairs = indices(edges, "edges", (len(weights), 2), sites)
    if bool((pairs[:, 0] == pairs[:, 1]).any()):
        checks.fail("edges", "two different sites each", "an edge from a site to itself")
    start = np.zeros(sites, np.int64)
    if init_labels is not None:
        start = indices(init_labels, "init_labels", (sites,), labels)
    return solve_graph(unary, table, pairs, weights, algorithm, sweeps, start)


@official
def get_images_edges_vh(height: int, width: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Sites that the edges of a grid join, between rows and between columns.

    Args:
        height: H.
        width: W.

    Returns:
        int64: sites above ``[(H-1)*W]``, sites on the left ``[H*(W-1)]``, those below, those on the right.

    Example:
        >>> from comix.compat import gco
        >>> gco.get_images_edges_vh(2, 2)
        (array([0, 1]), array([0, 2]), array([2, 3]), array([1, 3]))
    """
    down, right, _, _ = grid_edges(*_sides(height, width))
    return down[:, 0], right[:, 0], down[:, 1], right[:, 1]


@official
def get_images_edges_diag(height: int, width: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Sites that the diagonals of a grid join.

    Args:
        height: H.
        width: W.

    Returns:
        int64, ``[(H-1)*(W-1)]`` each: upper left sites, upper right ones, the lower right ones across from
        the first, the lower left ones across from the second.

    Example:
        >>> from comix.compat import gco
        >>> gco.get_images_edges_diag(2, 2)
        (array([0]), array([1]), array([3]), array([2]))
    """
    _, _, right, left = grid_edges(*_sides(height, width))
    return right[:, 0], left[:, 0], right[:, 1], left[:, 1]


def _sides(height: Any, width: Any) -> tuple[int, int]:
    return checks.check_count(height, "height", 1), checks.check_count(width, "width", 1)


def install() -> None:
    """Make ``import gco`` find this module, in this process.

    ``from gco import GCO, cut_grid_graph`` and ``import gco.pygco`` work too. An already imported gco-wrapper
    is replaced for imports to come.

    Example:
        >>> import comix.compat.gco, sys
        >>> before = {name: sys.modules.pop(name, None) for name in ("gco", "gco.pygco")}
        >>> comix.compat.gco.install()
        >>> import gco
        >>> gco is comix.compat.gco
        True
        >>> del sys.modules["gco"], sys.modules["gco.pygco"]
        >>> sys.modules.update({name: module for name, module in before.items() if module})
    """
    sys.modules["gco"] = sys.modules["gco.pygco"] = sys.modules[__name__]
