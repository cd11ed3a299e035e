"""gco-wrapper's class for graphs that are built call by call: its moves, and what they reached."""

from __future__ import annotations

from typing import Any

import numpy as np

from comix.compat._gco_graph import best_labels, energies, move
from comix.compat._gco_setup import GraphSetup
from comix.compat._official import official
from comix.compat._replay import Numbers


class GCO(GraphSetup):
    """A graph of sites to be labelled: costs and edges are set call by call, labels are moved and read.

    The order of the moves and their ties are gco-wrapper's, so whole-number costs give its labels, with two
    exceptions: a :meth:`swap` after an unlimited :meth:`expansion`, which now and then ends elsewhere there,
    and ties in a graph without edges. What differs, because there it is a defect:

    - costs are used as given. gco-wrapper truncates fractions of an ``energy_is_float=False`` graph, and cuts
      others to steps of 1e-5 (data), 1e-3 (edges) and 1e-2 (label distances);
    - an edge may name its sites in any order. gco-wrapper wants the smaller one first:
      ``set_all_neighbors`` ignores other edges silently, ``set_neighbor_pair`` raises;
    - :meth:`set_pair_smooth_cost` sets both orders of the labels, there only the one given;
    - without any distances set, different labels are 1 apart. There, 1/100 in a graph of floats;
    - arrays are copied. There, some must be kept alive and unchanged by the caller, or memory is corrupted;
    - edges may be added, and labels set, at any time. gco-wrapper ends the process when edges come after
      the first energy or move;
    - one label is enough. There two are needed, or the process ends;
    - expansion takes any costs and any distances. There, costs above 1e7 (of floats: 100) and distances
      that are no metric end the process; here moves that are not submodular may miss the best labelling;
    - what ends the process there raises an error here: a destroyed graph, arrays of different lengths, an
      exception inside a smooth cost function.

    In :func:`comix.compat.replay` a graph created there takes gco-wrapper's truncated costs.

    Example:
        >>> import numpy as np
        >>> from comix.compat.gco import GCO
        >>> graph = GCO()
        >>> graph.create_general_graph(3, 2, energy_is_float=True)
        >>> graph.set_data_cost(np.array([[0.0, 1.0], [0.6, 0.4], [1.0, 0.0]]))
        >>> graph.set_all_neighbors(np.array([0, 1]), np.array([1, 2]), np.array([0.5, 0.1]))
        >>> graph.set_smooth_cost(1 - np.eye(2))
        >>> round(graph.expansion(), 6), graph.get_labels()
        (0.7, array([0, 0, 1], dtype=int32))
    """

    # ---- moves -------------------------------------------------------------------------------------------

    @official
    def expansion(self, niters: int = -1) -> Any:
        """Alpha-expansion from the present labels.

        Args:
            niters: rounds over the labels; -1 (default): until no move helps.

        Returns:
            The energy reached, as :meth:`compute_energy`.

        Raises:
            TypeError, ValueError: niters is not an int of at least -1; in replay, costs that gco-wrapper
                cannot take.
        """
        self._labels = best_labels(self._graph(), "expansion", niters, self._labels)
        return self.compute_energy()

    @official
    def swap(self, niters: int = -1) -> Any:
        """Alpha-beta swap from the present labels; see :meth:`expansion`.

        Args:
            niters: rounds over all pairs of labels; -1 (default): until no move helps.

        Returns:
            The energy reached.
        """
        self._labels = best_labels(self._graph(), "swap", niters, self._labels)
        return self.compute_energy()

    @official
    def expansion_on_alpha(self, label: int) -> bool:
        """One expansion move: every site may switch to ``label``; ties switch.

        Args:
            label: 0..L-1.

        Returns:
            Whether the energy fell; else nothing changed.

        Raises:
            IndexOutOfBoundError: no such label.
        """
        before, graph = self._labels, self._graph()
        self._labels = move(graph, self._label(label, "label"), None, before)
        return not np.array_equal(before, self._labels)

    @official
    def alpha_beta_swap(self, l1: int, l2: int) -> None:
        """One swap move: sites labelled l1 or l2 choose anew between the two; ties take l1.

        Args:
            l1: 0..L-1.
            l2: 0..L-1.

        Raises:
            IndexOutOfBoundError: no such label.
        """
        graph = self._graph()
        self._labels = move(graph, self._label(l1, "l1"), self._label(l2, "l2"), self._labels)

    # ---- what there is now -------------------------------------------------------------------------------

    @official
    def compute_energy(self) -> Any:
        """Energy of the present labels: float, or ``np.int64`` (see :meth:`create_general_graph`)."""
        return energies(self._graph(), self._labels)[0]

    @official
    def compute_data_energy(self) -> Any:
        """The data costs' part of :meth:`compute_energy`."""
        return energies(self._graph(), self._labels)[1]

    @official
    def compute_smooth_energy(self) -> Any:
        """The edges' part of :meth:`compute_energy`."""
        return energies(self._graph(), self._labels)[2]

    @official
    def get_labels(self) -> Numbers:
        """The present labels, int32 ``[N]``."""
        self._graph()
        return self._labels.astype(np.int32)

    @official
    def get_label_at_site(self, site: int) -> Any:
        """The present label of one site, ``np.int32``.

        Args:
            site: 0..N-1.

        Raises:
            IndexOutOfBoundError: no such site.
        """
        self._graph()
        return np.int32(self._labels[self._site(site, "site")])

    @official
    def init_label_at_site(self, site: int, label: int) -> None:
        """Set the label of one site, from which moves go on.

        Args:
            site: 0..N-1.
            label: 0..L-1.

        Raises:
            IndexOutOfBoundError: no such site or label.
        """
        self._graph()
        self._labels[self._site(site, "site")] = self._label(label, "label")
