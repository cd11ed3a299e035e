"""The errors of :mod:`comix.compat.gco`, and the checks of its arrays that raise them."""

from __future__ import annotations

from typing import Any

import numpy as np

from comix import _checks as checks
from comix.compat._official import official
from comix.compat._replay import Numbers


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


def real_numbers(value: Any, name: str, ndim: int) -> Numbers:
    """``value`` as an array of real numbers with ``ndim`` dimensions."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise DataTypeNotSupportedError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim != ndim:
        raise ShapeMismatchError(f"{name}: expected {ndim} dimensions, got shape {list(array.shape)}")
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # what the solvers hold anyway
    return array


def finite_numbers(value: Any, name: str, shape: tuple[int, ...]) -> Numbers:
    """``value`` as an array of ``shape``, all of it finite."""
    array = real_numbers(value, name, len(shape))
    fit(array, name, shape)
    if not np.isfinite(array).all():
        checks.fail(name, "finite values", "NaN or infinite ones")
    return array


def fit(array: Numbers, name: str, expected: tuple[int, ...]) -> None:
    """ShapeMismatchError unless the array has the shape."""
    if array.shape != expected:
        raise ShapeMismatchError(f"{name}: expected shape {list(expected)}, got {list(array.shape)}")


def check_symmetric(table: Numbers, name: str, error: type[Exception] = ValueError) -> None:
    """An error unless both orders of two labels cost the same (NaN is left to other checks)."""
    if not np.array_equal(table, table.T, equal_nan=True):
        checks.fail(name, "a symmetric table", "one that is not", error)


def indices(value: Any, name: str, shape: tuple[int, ...], limit: int) -> Numbers:
    """Integers of ``shape`` in ``0..limit-1``, as int64."""
    array = np.asarray(value)
    if array.size == 0:  # NumPy's empty lists are floats
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise DataTypeNotSupportedError(f"{name}: expected integers, got dtype {array.dtype}")
    fit(array, name, shape)
    if array.size and not (int(array.min()) >= 0 and int(array.max()) < limit):
        wrong = int(array.min()) if int(array.min()) < 0 else int(array.max())
        raise IndexOutOfBoundError(f"{name}: expected values in 0..{limit - 1}, got {wrong}")
    return array.astype(np.int64)


def index(value: Any, name: str, limit: int) -> int:
    """One integer in ``0..limit-1``."""
    if isinstance(value, bool | np.bool_) or np.ndim(value) != 0:
        raise DataTypeNotSupportedError(f"{name}: expected an integer, got {value!r}")
    return int(indices(value, name, (), limit))
