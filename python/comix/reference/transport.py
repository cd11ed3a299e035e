"""Move salient blocks of an image to where its mask shows them.

A plan names for every target block j the source block i that lands there. Moving i to j costs

    cost[i, j] = eps * |position_i - position_j|^2 / (max(gh, gw) - 1)^2 - saliency_i * [mask_j > 0]

Method | guarantee                                    | cost, N = gh gw blocks
------ | -------------------------------------------- | ---------------------------------
exact  | the cheapest permutation                     | O(N^3)
greedy | a permutation that keeps the bids the        | max(gh, gw) rounds of O(N^2)
       | official code ends with where the mask shows |

Sources: Kim, Choo, Song, "Puzzle Mix", ICML 2020, section 4 (optimal transport) and its official code for
the constants; Jonker, Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
problems", Computing 1987 (exact).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Plan = NDArray[np.int64]


def squared_distance(gh: int, gw: int) -> Float:
    """[N, N] squared distances of all blocks, row-major, in units of the longer side; 0 for one block."""
    row, column = np.divmod(np.arange(gh * gw), gw)
    square = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    return np.asarray(square / float(max(gh - 1, gw - 1, 1) ** 2))


def transport_cost_matrix(saliency: ArrayLike, mask: ArrayLike, eps: float = 0.8) -> Float:
    """Cost of moving source block i (row) to target block j (column).

    Args:
        saliency: [gh, gw], sums to 1.
        mask: [gh, gw] weight of this image in every block.
        eps: price of distance.

    Returns:
        [N, N] float64, N = gh * gw.
    """
    saliency, mask = np.asarray(saliency, np.float64), np.asarray(mask)
    shown = (mask > 0).reshape(-1)  # [N]
    return np.asarray(eps * squared_distance(*mask.shape) - saliency.reshape(-1, 1) * shown)


def transport_cost(
    plan: ArrayLike, saliency: ArrayLike, mask: ArrayLike, eps: float = 0.8
) -> NDArray[np.float64]:
    """Total cost of plans: sum over targets j of cost[plan_j, j].

    Args:
        plan: [..., gh, gw] source block of every target block.
        saliency: [..., gh, gw], each sums to 1.
        mask: [..., gh, gw].
        eps: price of distance.

    Returns:
        [...] float64.
    """
    plan, saliency, mask = np.asarray(plan), np.asarray(saliency), np.asarray(mask)
    total = np.zeros(plan.shape[:-2])
    for b in np.ndindex(total.shape):
        cost = transport_cost_matrix(saliency[b], mask[b], eps)
        total[b] = cost[plan[b].reshape(-1), np.arange(plan[b].size)].sum()
    return total


def transport_plan(saliency: ArrayLike, mask: ArrayLike, *, eps: float = 0.8, method: str = "exact") -> Plan:
    """The source block that lands at each target block; a permutation for each image.

    Args:
        saliency: [..., gh, gw], each sums to 1.
        mask: [..., gh, gw] weight of this image in every block.
        eps: price of distance.
        method: "exact" or "greedy".

    Returns:
        [..., gh, gw] int64, row-major block indices.

    Raises:
        ValueError: unknown method.
    """
    if method not in ("exact", "greedy"):
        raise ValueError(f"method: expected 'exact' or 'greedy', got {method!r}")
    saliency, mask = np.asarray(saliency), np.asarray(mask)
    plan = np.zeros(mask.shape, np.int64)
    for b in np.ndindex(mask.shape[:-2]):
        if method == "exact":
            landing = assignment(transport_cost_matrix(saliency[b], mask[b], eps).T)
        else:
            landing = complete(contest(saliency[b], mask[b], eps), mask[b])
        plan[b] = landing.reshape(mask.shape[-2:])
    return plan


def assignment(cost: ArrayLike) -> Plan:
    """Cheapest assignment of a column to every row, by shortest augmenting paths with potentials.

    Rows enter one at a time. A path that alternates between taking an edge and giving one back is grown from
    the new row in the order of reduced cost (Dijkstra) until it meets a free column; the potentials keep all
    reduced costs non-negative and those of the assigned edges zero, which proves the final assignment
    optimal.

    Args:
        cost: [N, N], finite.

    Returns:
        [N] column of each row, a permutation.
    """
    cost = np.asarray(cost, np.float64)
    n = len(cost)
    row_price, column_price = np.zeros(n), np.zeros(n + 1)
    row_of = np.full(n + 1, -1)  # row of each column; column n stands for "not yet assigned"
    for new_row in range(n):
        row_of[n] = new_row
        column = n
        reach = np.full(n, np.inf)  # length of the shortest path to each column
        came_from = np.full(n, n)  # the column before it on that path
        visited = np.zeros(n + 1, bool)
        while row_of[column] >= 0:
            visited[column] = True
            row = row_of[column]
            through = cost[row] - row_price[row] - column_price[:n]  # [N] reduced costs
            better = ~visited[:n] & (through < reach)
            reach[better], came_from[better] = through[better], column
            step_to = int(np.where(visited[:n], np.inf, reach).argmin())
            step = reach[step_to]
            row_price[row_of[visited]] += step
            column_price[visited] -= step
            reach[~visited[:n]] -= step
            column = step_to
        while column != n:  # give every column on the path the row of the column before
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    column_of = np.zeros(n, np.int64)
    column_of[row_of[:n]] = np.arange(n)
    return column_of


def contest(saliency: ArrayLike, mask: ArrayLike, eps: float = 0.8) -> Plan:
    """The official code's contest in float32: blocks bid for their cheapest place, losers pay 1 more there.

    A place that several blocks bid for goes to the cheapest bid, one that no bid below zero reached to its
    first block if that bid for it. There are max(gh, gw) rounds, and only the wins of the last one count.

    Args:
        saliency: [gh, gw], sums to 1.
        mask: [gh, gw].
        eps: price of distance.

    Returns:
        [N] source block of each target, -1 where none won.
    """
    saliency, mask = np.asarray(saliency, np.float32), np.asarray(mask)
    shown = (mask > 0).astype(np.float32).reshape(-1)
    distance = squared_distance(*mask.shape).astype(np.float32)  # [N, N]
    cost = np.float32(eps) * distance - saliency.reshape(-1, 1) * shown
    blocks = np.arange(len(cost))
    winner = np.full(len(cost), -1)
    for _ in range(max(mask.shape)):
        wanted = cost.argmin(1)  # [N] place each block bids for, the first on ties
        bids = np.zeros_like(cost)
        bids[blocks, wanted] = cost[blocks, wanted]
        best = bids.argmin(0)  # [N] block with the smallest entry in each column, the first on ties
        winner = np.where(wanted[best] == blocks, best, -1)
        lost = winner[wanted] != blocks
        cost[blocks[lost], wanted[lost]] += np.float32(1)
    return winner.astype(np.int64)


def complete(winner: ArrayLike, mask: ArrayLike) -> Plan:
    """Make a permutation of the contest's wins at the places the mask shows.

    The other places keep their own block if no win took it; what is then left is filled in row-major order.

    Args:
        winner: [N] source block of each target, -1 where none won.
        mask: [gh, gw].

    Returns:
        [N] source block of each target.
    """
    plan = np.where(np.asarray(mask).reshape(-1) > 0, winner, -1)  # [N]
    for j in np.flatnonzero(plan < 0):
        if j not in plan:
            plan[j] = j
    unused = [i for i in range(len(plan)) if i not in plan]
    plan[plan < 0] = unused
    return plan.astype(np.int64)
