"""Minimum cuts of small graphs and the binary energies they minimise.

Guarantee: exact on integers, and on floats as long as all sums are exactly representable. Cost: at most
O(V E^2) steps of Python; meant for a few hundred nodes. All minimum cuts have the same value but not the same
sides, so both extreme ones are reported: which of them a solver takes decides its labels wherever they tie.

Sources: Edmonds, Karp, "Theoretical improvements in algorithmic efficiency for network flow problems", JACM
1972 (shortest augmenting paths); Kolmogorov, Zabih, "What energy functions can be minimized via graph cuts?",
PAMI 2004, section 4 (graph of a binary energy).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

Number = Any  # int or float: costs and capacities stay in the type they come in
Node = TypeVar("Node", bound=Hashable)
Pair = tuple[int, int, Number, Number, Number, Number]  # p, q, then the costs of (0,0), (0,1), (1,0), (1,1)


def max_flow_min_cut(
    capacity: dict[Node, dict[Node, Number]], source: Node, sink: Node
) -> tuple[Number, set[Node], set[Node]]:
    """Maximum flow by shortest augmenting paths, and the two extreme minimum cuts.

    Args:
        capacity: capacity[u][v] >= 0 of the edge u -> v.
        source: the node the flow leaves.
        sink: the node the flow reaches.

    Returns:
        The flow; the nodes the source still reaches in the residual graph (on the source side of every
        minimum cut); the nodes that still reach the sink (on the sink side of every minimum cut).
    """
    residual: dict[Node, dict[Node, Number]] = {source: {}, sink: {}}
    for u, edges in capacity.items():
        room_from_u = residual.setdefault(u, {})
        for v, limit in edges.items():
            room_from_u[v] = room_from_u.get(v, 0) + limit
            residual.setdefault(v, {}).setdefault(u, 0)
    flow: Number = 0
    while True:
        parent: dict[Node, Node] = {source: source}  # breadth-first search from the source
        queue = deque([source])
        while queue and sink not in parent:
            u = queue.popleft()
            for v, room in residual[u].items():
                if room > 0 and v not in parent:
                    parent[v] = u
                    queue.append(v)
        if sink not in parent:
            break
        path = [sink]
        while path[-1] != source:
            path.append(parent[path[-1]])
        steps = [(u, v) for v, u in itertools.pairwise(path)]
        amount = min(residual[u][v] for u, v in steps)
        for u, v in steps:
            residual[u][v] -= amount
            residual[v][u] += amount
        flow += amount

    reaches = {sink}
    queue = deque([sink])
    while queue:
        v = queue.popleft()
        for u in residual[v]:
            if residual[u][v] > 0 and u not in reaches:
                reaches.add(u)
                queue.append(u)
    return flow, set(parent), reaches


def binary_cut(cost0: Sequence[Number], cost1: Sequence[Number], pairs: Sequence[Pair]) -> list[bool]:
    """Minimise sum_p cost_(x_p)[p] + sum of pair costs over binary x; of all minima, that with fewest ones.

    A site is 1 only if it is 1 in every minimum: iff it still reaches the sink in the residual graph.

    Args:
        cost0: [N] cost of x_p = 0 (source side).
        cost1: [N] cost of x_p = 1 (sink side).
        pairs: (p, q, e00, e01, e10, e11) costs of (x_p, x_q).

    Returns:
        [N] whether x_p = 1.

    Raises:
        ValueError: a pair is not submodular, that is e01 + e10 < e00 + e11.
    """
    extra = [one - zero for zero, one in zip(cost0, cost1, strict=True)]  # cost of 1 over that of 0
    graph: dict[int, dict[int, Number]] = {p: {} for p in range(len(extra))}
    for p, q, e00, e01, e10, e11 in pairs:
        # e(x_p, x_q) = e00 + (e10 - e00) x_p + (e11 - e10) x_q + (e01 + e10 - e00 - e11) (1 - x_p) x_q
        extra[p] += e10 - e00
        extra[q] += e11 - e10
        limit = e01 + e10 - e00 - e11
        if limit < 0:
            raise ValueError("a move is not submodular: it cannot be solved by a minimum cut")
        graph[p][q] = graph[p].get(q, 0) + limit
    source, sink = -1, -2
    graph[source] = {p: cost for p, cost in enumerate(extra) if cost > 0}  # cut when x_p = 1
    for p, cost in enumerate(extra):
        if cost < 0:
            graph[p][sink] = -cost  # cut when x_p = 0
    _, _, reaches_sink = max_flow_min_cut(graph, source, sink)
    return [p in reaches_sink for p in range(len(extra))]
