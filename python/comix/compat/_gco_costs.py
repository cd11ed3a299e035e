"""The numbers of one graph of :class:`comix.compat.gco.GCO`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from comix import _checks as checks
from comix.compat._gco_arrays import DataTypeNotSupportedError
from comix.compat._replay import DISTANCE, EDGE, INT32, UNARY, Numbers, official_integers, replaying

SmoothCost = Callable[[int, int, int, int], float]


class Costs:
    """Data costs, edges and distances in float64: as given, or in replay gco-wrapper's integers."""

    def __init__(self, sites: int, labels: int, as_float: bool) -> None:
        self.truncated = replaying()
        self.as_float = as_float
        self.unary = np.zeros((sites, labels))
        # gco-wrapper does not scale this default, which makes it 1/100 in a graph of floats.
        self._table: Numbers = 1.0 - np.eye(labels)
        self._function: SmoothCost | None = None
        self._own: Numbers | None = None  # [E, L, L], what the function gave
        self._edges: list[Numbers] = [np.zeros((0, 2), np.int64)]
        self._weights: list[Numbers] = [np.zeros(0)]
        self._untouched = True  # no distance was ever given

    @property
    def unit(self) -> float:
        """What an energy of 1 counts as."""
        return float(UNARY) if self.truncated and self.as_float else 1.0

    def _number(self, value: Numbers, factor: int, name: str) -> Numbers:
        if not self.truncated:
            return value.astype(np.float64)
        limits = (INT32, "its int32 would overflow") if factor == UNARY else ()
        return official_integers(value, factor if self.as_float else 1, name, *limits)

    def set_unary(self, value: Numbers, where: tuple[int, int] | None = None) -> None:
        """Replace all data costs, or the one of a site and label."""
        if where is None:
            self.unary = self._number(value, UNARY, "unary")
        else:
            self.unary[where] = self._number(value, UNARY, "e")

    def add_edges(self, edges: Numbers, weights: Numbers) -> None:
        """Add edges ``[E, 2]``."""
        self._edges.append(edges)
        self._weights.append(self._number(weights, EDGE, "w"))
        self._own = None

    def set_table(self, table: Numbers) -> None:
        """Replace the distances, or the function of distances."""
        self._table = self._number(table, DISTANCE, "cost")
        self._function, self._untouched = None, False

    def set_distance(self, first: int, second: int, value: Numbers) -> None:
        """Replace the distance of two labels, in both orders."""
        if self._untouched:
            self._table = np.zeros_like(self._table)
        self._table[first, second] = self._table[second, first] = self._number(value, DISTANCE, "cost")
        self._function, self._untouched = None, False

    def set_function(self, function: SmoothCost) -> None:
        """Replace the distances by a function."""
        self._function, self._own = function, None

    def edges(self) -> tuple[Numbers, Numbers]:
        """Edges int64 ``[E, 2]`` and weights ``[E]``."""
        if len(self._edges) > 1:
            self._edges, self._weights = [np.concatenate(self._edges)], [np.concatenate(self._weights)]
        return self._edges[0], self._weights[0]

    def distances(self) -> Numbers:
        """Distances ``[L, L]``, or ``[E, L, L]`` where a function gives them."""
        if self._function is None:
            return self._table
        if self._own is None:
            labels, edges = range(len(self._table)), self.edges()[0]
            own = np.zeros((len(edges), len(labels), len(labels)))
            for e, (p, q) in enumerate(edges.tolist()):
                own[e] = [[_called(self._function, p, q, a, b) for b in labels] for a in labels]
            self._own = self._number(own, DISTANCE, "fun")
        return self._own

    def whole(self) -> bool:
        """Whether all costs are whole numbers."""
        return all(bool((a == np.trunc(a)).all()) for a in (self.unary, self.edges()[1], self.distances()))


def _called(function: SmoothCost, *arguments: int) -> float:
    value = function(*arguments)
    try:
        number = float(value)
    except (TypeError, ValueError):
        checks.fail("fun", "a number back", repr(value), DataTypeNotSupportedError)
    if not np.isfinite(number):
        checks.fail("fun", "a finite number back", f"{number} for {arguments}")
    return number
