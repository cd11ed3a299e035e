"""The reference transport: stored plans and optima, SciPy's assignment, and what a plan must be."""

from __future__ import annotations

import numpy as np
import pytest
from comix import reference
from golden_data import Case, cases, ids, load
from scipy.optimize import linear_sum_assignment

CASES = cases("transport")


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_exact_plans_cost_the_stored_optimum(case: Case) -> None:
    stored = load("transport", case["id"])
    plan = reference.transport_plan(stored["saliency"], stored["mask"], eps=case["eps"])
    cost = reference.transport_cost(plan, stored["saliency"], stored["mask"], case["eps"])
    np.testing.assert_allclose(cost, stored["cost_full_opt"], rtol=1e-11, atol=1e-13)
    for b in range(case["K"]):
        assert sorted(plan[b].flat) == list(range(plan[b].size))
        matrix = reference.transport_cost_matrix(stored["saliency"][b], stored["mask"][b], case["eps"])
        row, column = linear_sum_assignment(matrix)
        assert cost[b] == pytest.approx(matrix[row, column].sum(), rel=1e-11)


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_contest_repeats_stored_plans(case: Case) -> None:
    stored = load("transport", case["id"])
    plan = reference.transport_plan(stored["saliency"], stored["mask"], eps=case["eps"], method="greedy")
    for b in range(case["K"]):
        saliency, mask, src = (stored[name][b] for name in ("saliency", "mask", "src"))
        np.testing.assert_array_equal(reference.contest(saliency, mask, case["eps"]), src)
        landing = plan[b].reshape(-1)
        kept = (mask.reshape(-1) > 0) & (src >= 0)
        np.testing.assert_array_equal(landing[kept], src[kept])
        assert sorted(landing) == list(range(landing.size))
        stay = ~kept & (landing == np.arange(landing.size))
        np.testing.assert_array_equal(stay, ~kept & ~np.isin(np.arange(landing.size), src[kept]))
        moved = landing[~kept & ~stay]
        assert (np.diff(moved) > 0).all()  # what is left comes in row-major order


@pytest.mark.parametrize("n", [1, 2, 3, 8, 25])
def test_assignment_equals_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    for scale in (3, 1000, 1e9):  # small integers: many ties
        cost = np.round(rng.normal(size=(n, n)) * scale)
        column = reference.assignment(cost)
        row, best = linear_sum_assignment(cost)
        assert cost[np.arange(n), column].sum() == cost[row, best].sum()


def test_sizes_beyond_the_official_code() -> None:
    rng = np.random.default_rng(2)
    saliency = rng.random((2, 3, 3, 5))
    saliency /= saliency.sum((-2, -1), keepdims=True)
    mask = rng.integers(0, 3, (2, 3, 3, 5)) / 2
    for method in ("exact", "greedy"):
        plan = reference.transport_plan(saliency, mask, eps=0.05, method=method)
        assert plan.shape == (2, 3, 3, 5)
        cost = reference.transport_cost(plan, saliency, mask, 0.05)
        assert cost.shape == (2, 3)
        np.testing.assert_array_equal(
            np.sort(plan.reshape(2, 3, -1)), np.broadcast_to(np.arange(15), (2, 3, 15))
        )
        assert (
            plan[1, 2].tolist()
            == reference.transport_plan(saliency[1, 2], mask[1, 2], eps=0.05, method=method).tolist()
        )
    assert reference.transport_plan(np.ones((1, 1)), np.ones((1, 1))).tolist() == [[0]]
    assert reference.transport_plan(np.ones((1, 1)), np.ones((1, 1)), method="greedy").tolist() == [[0]]
    assert float(reference.transport_cost([[0]], np.ones((1, 1)), np.ones((1, 1)))) == -1
    far = reference.transport_cost_matrix(np.full((2, 3), 1 / 6), np.zeros((2, 3)), 1.0)
    assert far[0, 5] == pytest.approx((1 + 4) / 4)


def test_the_contest_leaves_a_shown_block_without_saliency_and_its_own_block_fills_it() -> None:
    saliency, mask = np.array([[0.0, 0.5], [0.5, 0.0]]), np.ones((2, 2))
    winner = reference.contest(saliency, mask, 0.8)
    assert winner.tolist() == [0, 1, 2, -1]  # block 0 is the first zero of its column, block 3 is not
    assert reference.complete(winner, mask).tolist() == [0, 1, 2, 3]
    assert reference.complete([2, -1, -1, -1], np.array([[1, 0], [0, 0]])).tolist() == [2, 1, 0, 3]


def test_unknown_method() -> None:
    with pytest.raises(ValueError, match="'exact' or 'greedy', got 'best'"):
        reference.transport_plan(np.ones((2, 2)), np.ones((2, 2)), method="best")
