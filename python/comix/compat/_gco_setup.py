"""The half of :class:`comix.compat.gco.GCO` that builds the graph: sites, labels, costs and edges."""

from __future__ import annotations

from typing import Any

import numpy as np

from comix import _checks as checks
from comix.compat._gco_arrays import (
    DataTypeNotSupportedError,
    IndexOutOfBoundError,
    PyGcoError,
    check_symmetric,
    finite_numbers,
    index,
    indices,
)
from comix.compat._gco_costs import Costs, SmoothCost
from comix.compat._official import official


class GraphSetup:
    """Methods that create a graph and set its costs; see :class:`comix.compat.gco.GCO`."""

    @official
    def __init__(self) -> None:
        self._costs: Costs | None = None
        self._state = "none: call create_general_graph"

    @official
    def create_general_graph(self, num_sites: int, num_labels: int, energy_is_float: bool = False) -> None:
        """Start a graph without costs and edges, all labels 0; an earlier one is forgotten.

        Args:
            num_sites: N.
            num_labels: L.
            energy_is_float: whether energies are returned as float. Default False: as ``np.int64`` where all
                costs are whole numbers.

        Raises:
            TypeError, ValueError: not ints of at least 1.
        """
        sites = checks.check_count(num_sites, "num_sites", 1)
        labels = checks.check_count(num_labels, "num_labels", 1)
        self.nb_sites, self.nb_labels = sites, labels
        self.energy_is_float = bool(energy_is_float)
        self._costs = Costs(sites, labels, self.energy_is_float)
        self._labels = np.zeros(sites, np.int64)

    @official
    def destroy_graph(self) -> None:
        """Forget the graph; doing so twice does no harm."""
        self._costs = None
        self._state = "a destroyed one"

    def _graph(self) -> Costs:
        if self._costs is None:
            raise PyGcoError(f"GCO: expected a graph, got {self._state}")
        return self._costs

    def _site(self, value: Any, name: str) -> int:
        return index(value, name, self.nb_sites)

    def _label(self, value: Any, name: str) -> int:
        return index(value, name, self.nb_labels)

    @official
    def set_data_cost(self, unary: Any) -> None:
        """Set all data costs.

        Args:
            unary: ``[N, L]`` real numbers.

        Raises:
            ShapeMismatchError, DataTypeNotSupportedError, ValueError: wrong shape, not numbers, NaN.
        """
        self._graph().set_unary(finite_numbers(unary, "unary", (self.nb_sites, self.nb_labels)))

    @official
    def set_site_data_cost(self, site: int, label: int, e: float) -> None:
        """Set the cost of one label at one site; costs never set are 0.

        Args:
            site: 0..N-1.
            label: 0..L-1.
            e: the cost.

        Raises:
            IndexOutOfBoundError, DataTypeNotSupportedError, ValueError: no such site or label, not a number.
        """
        graph, site, label = self._graph(), self._site(site, "site"), self._label(label, "label")
        graph.set_unary(finite_numbers(e, "e", ()), (site, label))

    @official
    def set_neighbor_pair(self, s1: int, s2: int, w: float) -> None:
        """Add one edge; edges between the same two sites add up.

        Args:
            s1: a site.
            s2: another site.
            w: weight of the edge.

        Raises:
            IndexOutOfBoundError: no such site, or twice the same one.
            DataTypeNotSupportedError, ValueError: not numbers, NaN.
        """
        self._graph()
        self.set_all_neighbors(
            np.array([self._site(s1, "s1")]),
            np.array([self._site(s2, "s2")]),
            finite_numbers(w, "w", ()).reshape(1),
        )

    @official
    def set_all_neighbors(self, s1: Any, s2: Any, w: Any) -> None:
        """Add many edges.

        Args:
            s1: ``[E]`` integers, sites.
            s2: ``[E]`` integers, their neighbours.
            w: ``[E]`` weights.

        Raises:
            ShapeMismatchError, DataTypeNotSupportedError, ValueError: wrong shapes, not numbers, NaN.
            IndexOutOfBoundError: no such site, or an edge from a site to itself.
        """
        graph, count = self._graph(), np.size(s1)
        first = indices(s1, "s1", (count,), self.nb_sites)
        second = indices(s2, "s2", (count,), self.nb_sites)
        same = np.flatnonzero(first == second)
        if same.size:
            checks.fail("s1, s2", "different sites", f"{first[same[0]]} twice", IndexOutOfBoundError)
        graph.add_edges(np.stack((first, second), 1), finite_numbers(w, "w", (count,)))

    @official
    def set_smooth_cost(self, cost: Any) -> None:
        """Set the label distances, which edge weights multiply. Until then: 1 between different labels.

        Of this, :meth:`set_pair_smooth_cost` and :meth:`set_smooth_cost_function` the last call counts.

        Args:
            cost: ``[L, L]``, symmetric.

        Raises:
            ShapeMismatchError, DataTypeNotSupportedError, ValueError: wrong shape, not symmetric, not
                numbers, NaN.
        """
        graph, labels = self._graph(), self.nb_labels
        table = finite_numbers(cost, "cost", (labels, labels))
        check_symmetric(table, "cost", DataTypeNotSupportedError)
        graph.set_table(table)

    @official
    def set_pair_smooth_cost(self, l1: int, l2: int, cost: float) -> None:
        """Set the distance of two labels, in both orders; distances never set are then 0.

        Args:
            l1: 0..L-1.
            l2: 0..L-1.
            cost: the distance.

        Raises:
            IndexOutOfBoundError, DataTypeNotSupportedError, ValueError: no such label, not a number.
        """
        graph, first, second = self._graph(), self._label(l1, "l1"), self._label(l2, "l2")
        graph.set_distance(first, second, finite_numbers(cost, "cost", ()))

    @official
    def set_smooth_cost_function(self, fun: SmoothCost) -> None:
        """Let a function give the distances, edge by edge; their weights multiply them.

        Args:
            fun: ``fun(s1, s2, l1, l2)`` is the distance of label l1 at site s1 to l2 at s2. Called once for
                every edge, its sites as they were given, and every two labels, when costs are next needed.
                gco-wrapper also calls it with the sites exchanged; ``fun(s2, s1, l2, l1)`` must agree.

        Raises:
            DataTypeNotSupportedError: not a function. Later, whatever the function raises; and ValueError
                where it returns NaN.
        """
        graph = self._graph()
        if not callable(fun):
            checks.fail("fun", "a function", type(fun).__name__, DataTypeNotSupportedError)
        graph.set_function(fun)
