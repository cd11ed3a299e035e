"""Replay mode: the official results bit for bit, with the numbers and ties of the official solver.

The official code hands gco-wrapper floating costs, which it multiplies by 1e5 (unary), 1e3 (edges) and 1e2
(label distances), in the dtype they come in, and truncates to int32. Alpha-beta swap from label 0 on those
integers has one result, which comix.grid_cut(method="swap") shares.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from comix import _checks as checks
from comix import grid_cut

Numbers = NDArray[Any]

UNARY, EDGE, DISTANCE = 100_000, 1_000, 100  # factors of gco-wrapper 3.0.9 on floating input
LIMIT = 10_000_000  # gco aborts the process above this
INT32 = 2**31 - 1


class _Recording:
    """The recorded members of the cuts still to come; None leaves ties to torch.topk."""

    def __init__(self, members: Any) -> None:
        self.rows: Numbers | None = None
        self.used = 0
        if members is not None:
            rows = np.asarray(members.cpu() if isinstance(members, torch.Tensor) else members)
            if rows.ndim != 2 or rows.shape[1] != 3 or not np.issubdtype(rows.dtype, np.integer):
                checks.fail("members", "integers [cuts, 3]", f"{rows.dtype} {list(rows.shape)}")
            self.rows = rows


# Process-wide: official models mix inside DataParallel, whose threads would not see a context variable.
_open: list[_Recording] = []


@contextlib.contextmanager
def replay(members: Any = None) -> Iterator[None]:
    """Inside this context the functions of ``comix.compat`` give the official results bit for bit.

    Integer costs, order of the swap moves, ties, the threshold's precedence slip and unfinished transport
    plans are reproduced (in Python, at about the official speed). Where the official code would overflow its
    integers, a ValueError says so. Applies to all threads of the process.

    Args:
        members: integers ``[cuts, 3]``: the inputs that got soft labels in each Co-Mixup cut, in the order of
            the cuts, -1 where there are fewer. Default: chosen by ``torch.topk``, as in the official code,
            whose ties depend on the version of torch.

    Raises:
        TypeError, ValueError: members of a wrong dtype or shape.

    Example:
        >>> import comix.compat, numpy as np
        >>> from comix.compat.puzzlemix import graphcut_multi
        >>> costs = np.full((2, 2), 0.25, np.float32), np.full((2, 2), 0.5, np.float32)
        >>> with comix.compat.replay():
        ...     mask = graphcut_multi(*costs, np.zeros((1, 2)), np.zeros((2, 1)), 0.5, 0.1, 0.2)
    """
    recording = _Recording(members)
    _open.append(recording)
    try:
        yield
    finally:
        _open.remove(recording)


def replaying() -> bool:
    """Whether a replay context is open."""
    return bool(_open)


def next_members(counts: torch.Tensor, first_sweep: bool) -> list[int]:
    """The two or three inputs that get soft labels in the next cut; empty when none do.

    Args:
        counts: ``[n]`` how much of the output each input fills now.
        first_sweep: whether this is the first sweep, which has no soft labels.
    """
    present = int((counts > 0).sum())
    expected = 0 if first_sweep or present < 2 else min(present, 3)
    recording = _open[-1] if _open else None
    if recording is None or recording.rows is None:
        return sorted(torch.topk(counts, expected).indices.tolist()) if expected else []
    if recording.used == len(recording.rows):
        checks.fail("members", f"a row for every cut, cut {recording.used} too", f"{recording.used} rows")
    row = [int(i) for i in recording.rows[recording.used] if i >= 0]
    if len(row) != expected or sorted(set(row)) != row or any(i >= len(counts) for i in row):
        expectation = f"{expected} inputs of 0..{len(counts) - 1} in row {recording.used}"
        checks.fail("members", f"{expectation}, ascending", str(row))
    if any(counts[i] <= 0 for i in row):
        checks.fail("members", f"inputs that output shows in row {recording.used}", str(row))
    recording.used += 1
    return row


def official_integers(
    values: Numbers, factor: int, name: str, most: int = LIMIT, why: str = "gco would abort"
) -> Numbers:
    """``trunc(values * factor)`` in the dtype of the values, as float64; ValueError beyond ``most``."""
    if not np.isfinite(values).all():
        checks.fail(
            name, "finite values", "NaN or infinite ones, which the official code would turn to int32"
        )
    floating = np.issubdtype(values.dtype, np.floating)
    scaled = np.trunc(values * factor) if floating else values.astype(np.int64) * factor
    result = scaled.astype(np.float64)
    largest = float(np.abs(result).max(initial=0))
    if largest > most:
        checks.fail(
            name, f"at most {most / factor:g} in magnitude in replay ({why})", f"{largest / factor:g}"
        )
    return result


def official_cut(unary: Numbers, pairwise: Numbers, cost_v: Numbers, cost_h: Numbers) -> Numbers:
    """Labels of gco-wrapper's alpha-beta swap: its scaling, moves from label 0, its ties.

    Args:
        unary: ``[..., H, W, L]``.
        pairwise: ``[L, L]``.
        cost_v: ``[..., H-1, W]``.
        cost_h: ``[..., H, W-1]``.

    Returns:
        int64 ``[..., H, W]``.

    Raises:
        ValueError: costs at which gco-wrapper would wrap around or abort.
    """
    floating = any(np.issubdtype(a.dtype, np.floating) for a in (unary, pairwise, cost_v, cost_h))
    factors = (UNARY, EDGE, DISTANCE) if floating else (1, 1, 1)
    why = "the official code's int32 would overflow"
    integers = official_integers(unary, factors[0], "unary", INT32, why)
    edges_v = official_integers(cost_v, factors[1], "cost_v")
    edges_h = official_integers(cost_h, factors[1], "cost_h")
    table = official_integers(pairwise, factors[2], "pairwise")
    labels: Numbers = grid_cut(integers, table, edges_v, edges_h, method="swap").labels
    return labels
