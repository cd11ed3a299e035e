"""Grid cuts: exact against enumeration, stored optima and max-flow; heuristics against their promises."""

from __future__ import annotations

import itertools
from typing import Any

import comix
import numpy as np
import pytest
from comix import reference
from golden_data import Case, cases, has_expansion, has_optimum, ids, load
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow
from solvers import (
    CONVEX,
    COSTS,
    CUT_HEURISTICS,
    CUT_METHODS,
    DEVICES,
    DISTANCES,
    WEIGHTS,
    CutProblem,
    cut_problem,
    integer_cut_problem,
    without_ties,
)

CASES = cases("cut_grid")
SIZES = [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (2, 3), (3, 2), (2, 4), (3, 3)]


def stored_terms(case: Case) -> CutProblem:
    arrays = load("cut_grid", case["id"])
    return CutProblem(arrays["unary"], arrays["V"], arrays["wv"], arrays["wh"])


def energy_of(labels: Any, problem: CutProblem) -> float:
    return float(reference.grid_energy(np.asarray(labels), *problem))


def check_result(cut: comix.GridCut, problem: CutProblem) -> None:
    """The right types, labels in range, and the energy of those labels."""
    labels = np.asarray(cut.labels)
    assert labels.dtype == np.int64
    assert labels.shape == problem.unary.shape[:2]
    assert labels.min() >= 0
    assert labels.max() < problem.unary.shape[2]
    assert float(cut.energy) == pytest.approx(
        energy_of(labels, problem), rel=1e-12, abs=problem.resolution() / 10
    )


# --- exact --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("costs", COSTS)
def test_exact_equals_enumeration(costs: str, distance: str, weights: str) -> None:
    for size, labels in itertools.product(SIZES, (1, 2, 3)):
        if labels ** (size[0] * size[1]) > 600:
            continue
        problem = cut_problem(11, size, labels, distance=distance, costs=costs, weights=weights)
        cut = comix.grid_cut(*problem, method="exact")
        check_result(cut, problem)
        assert bool(cut.optimal)
        best = reference.brute_force(*problem)[1]
        assert energy_of(cut.labels, problem) == pytest.approx(best, rel=0, abs=problem.resolution())


@pytest.mark.parametrize("device", DEVICES)
def test_exact_equals_enumeration_to_the_last_integer(device: str) -> None:
    for seed in range(60):
        size = SIZES[seed % len(SIZES)]
        labels = 2 if size[0] * size[1] > 6 else 1 + seed % 4
        problem = integer_cut_problem(seed, size, labels)
        cut = comix.grid_cut(*problem.tensors(device), method="exact")
        assert float(cut.energy) == reference.brute_force(*problem)[1] == energy_of(cut.labels.cpu(), problem)
        assert bool(cut.optimal)


@pytest.mark.parametrize("size", [(12, 3), (3, 12), (5, 5), (25, 2), (2, 30)])
@pytest.mark.parametrize("distance", DISTANCES)
def test_exact_equals_dynamic_programme(size: tuple[int, int], distance: str) -> None:
    for labels in (2, 3, 4):
        problem = cut_problem(3, size, labels, distance=distance, costs="mixed", weights="negative")
        cut = comix.grid_cut(*problem, method="exact")
        check_result(cut, problem)
        best = reference.frontier_cut(*problem)[1]
        assert energy_of(cut.labels, problem) == pytest.approx(best, rel=0, abs=problem.resolution())


def max_flow_optimum(problem: CutProblem) -> int:
    """Optimum for integer costs and V(i, j) = convex(|i - j|), by a cut that SciPy finds.

    A convex function g of t >= 0 with g(0) = 0 is g(t) = sum_d c_d max(0, t - d), c_d >= 0, and
    max(0, i - j - d) counts the m with [i >= m + d] and not [j >= m]: one arc between the levels of the two
    sites each.
    """
    unary, pairwise, weight_v, weight_h = (np.asarray(t, np.int64) for t in problem)
    height, width, labels = unary.shape
    slope = np.diff(pairwise[0])  # g(t + 1) - g(t)
    bend = np.diff(slope, prepend=0)  # c_d
    assert (bend >= 0).all()
    node = np.arange(height * width * (labels - 1)).reshape(height, width, labels - 1)  # [l >= k] at k - 1
    source, sink = node.size, node.size + 1
    arcs: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []

    def add(tail: Any, head: Any, capacity: Any) -> None:
        arcs.append(tuple(np.ravel(a) for a in np.broadcast_arrays(tail, head, capacity)))  # type: ignore[arg-type]

    steps = np.diff(unary, axis=-1)  # what [l >= k] = 1 (source side) adds
    add(node, sink, np.maximum(steps, 0))
    add(source, node, np.maximum(-steps, 0))
    add(node[..., 1:], node[..., :-1], 10**8)
    for one, other, weight in ((node[:-1], node[1:], weight_v), (node[:, :-1], node[:, 1:], weight_h)):
        for p, q in ((one, other), (other, one)):
            for d in range(labels - 1):
                add(p[..., d:], q[..., : labels - 1 - d], weight[..., None] * bend[d])
    tail, head, capacity = (np.concatenate(parts) for parts in zip(*arcs, strict=True))
    graph = coo_array((capacity.astype(np.int32), (tail, head)), shape=(sink + 1, sink + 1)).tocsr()
    constant = unary[..., 0].sum() + np.minimum(steps, 0).sum()
    return int(constant + maximum_flow(graph, source, sink).flow_value)


@pytest.mark.parametrize(
    ("size", "labels", "distance"),
    [((64, 64), 2, "potts"), ((20, 20), 6, "linear"), ((20, 20), 6, "quadratic"), ((3, 4), 3, "quadratic")],
)
@pytest.mark.parametrize("device", DEVICES)
def test_exact_equals_scipy_maximum_flow(
    device: str, size: tuple[int, int], labels: int, distance: str
) -> None:
    rng = np.random.default_rng(size[0] * labels)
    apart = np.abs(np.subtract.outer(np.arange(labels), np.arange(labels)))
    problem = CutProblem(
        rng.integers(-100, 100, (*size, labels)),
        apart**2 if distance == "quadratic" else apart,
        rng.integers(0, 60, (size[0] - 1, size[1])),
        rng.integers(0, 60, (size[0], size[1] - 1)),
    )
    cut = comix.grid_cut(*problem.tensors(device), method="exact")
    assert bool(cut.optimal)
    assert float(cut.energy) == energy_of(cut.labels.cpu(), problem) == max_flow_optimum(problem)
    assert len(cut.labels.unique()) > 1
    for method in CUT_HEURISTICS:
        assert float(comix.grid_cut(*problem, method=method).energy) >= float(cut.energy)
    if min(size) <= 3:
        assert float(cut.energy) == reference.brute_force(*problem)[1]


def test_exact_refuses_what_it_cannot_prove() -> None:
    glass = cut_problem(1, (40, 40), 4, costs="smooth")
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (2, 40, 40)) * np.abs(glass.unary).max()
    glass = glass._replace(weight_v=signs[0, 1:], weight_h=signs[1, :, 1:])
    with pytest.raises(
        ValueError,
        match=r"method: 'exact' needs binary submodular .* convex .*, a narrow grid, or costs that leave few "
        r"choices open: what is open of this one \(40 x 40, 4 labels\) would take .* MiB of memory .* steps "
        r".*; use method='auto' or 'expansion'",
    ):
        comix.grid_cut(*glass, method="exact")
    cut = comix.grid_cut(*glass, method="auto")
    assert not bool(cut.optimal)
    binary = cut_problem(1, (40, 40), 2, weights="negative")
    with pytest.raises(ValueError, match="'exact' needs binary submodular"):
        comix.grid_cut(*binary, method="exact")
    assert bool(comix.grid_cut(*binary._replace(weight_v=0.5, weight_h=0.5), method="exact").optimal)


@pytest.mark.parametrize("labels", [3, 10])
def test_wide_grids_of_labels_without_order_are_proven_where_bounds_decide(labels: int) -> None:
    potts = cut_problem(2, (24, 24), labels, costs="smooth", weights="array")
    exact = comix.grid_cut(*potts, method="exact")
    assert bool(exact.optimal)
    for method in ("expansion", "swap", "auto"):
        cut = comix.grid_cut(*potts, method=method)
        assert exact.energy <= cut.energy + 1e-9
        if method == "auto":
            assert bool(cut.optimal)


def test_scales_at_the_ends_of_float64() -> None:
    problem = cut_problem(5, (3, 3), 3, distance="arbitrary", weights="array")
    for exponent in (-1000, -60, 60, 900):
        scaled = CutProblem(*(np.ldexp(term, exponent) for term in problem[:2]), *problem[2:])
        for method in CUT_METHODS:
            a, b = comix.grid_cut(*problem, method=method), comix.grid_cut(*scaled, method=method)
            np.testing.assert_array_equal(a.labels, b.labels)
            assert np.ldexp(a.energy, exponent) == pytest.approx(float(b.energy), rel=1e-12)


def forbid(problem: CutProblem, price: float, seed: int) -> CutProblem:
    """The problem with some labels of some sites, never all of a site, at this price."""
    rng = np.random.default_rng(seed)
    chosen = rng.random(problem.unary.shape) < 0.4
    chosen[..., 0] &= ~chosen.all(-1)
    return problem._replace(unary=np.where(chosen, price, problem.unary))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("price", [1e6, 1e12, 1e15, 1e18, 1e30, 1e300])
def test_a_price_forbids_a_label_and_costs_the_others_no_precision(price: float, weights: str) -> None:
    for seed in range(8):
        problem = cut_problem(seed, (3, 3), 3, distance=DISTANCES[seed % len(DISTANCES)], weights=weights)
        dear, modest = forbid(problem, price, seed), forbid(problem, 1e4, seed)
        best = comix.grid_cut(*modest, method="exact")
        for method in ("exact", "auto"):
            cut = comix.grid_cut(*dear, method=method)
            assert cut.optimal
            assert float(cut.energy) == pytest.approx(float(best.energy), rel=1e-9, abs=1e-9)
        start = best.labels
        for method in CUT_HEURISTICS:
            cut = comix.grid_cut(*dear, method=method)
            assert float(cut.energy) < 1e4  # shows nothing that is forbidden
            assert not cut.optimal or float(cut.energy) == pytest.approx(float(best.energy), rel=1e-9)
            cut = comix.grid_cut(*dear, method=method, init=start)
            assert float(cut.energy) <= float(best.energy) + 1e-9


def test_without_edges_the_cheapest_label_wins_whatever_other_sites_cost() -> None:
    unary = np.array([[[2e-200, 1e-200], [1e250, 3.0], [5.0, 5.0 + 1e-12], [-1e40, -2e40]]])
    for weight, distance in ((0.0, 1 - np.eye(2)), (1.0, np.zeros((2, 2)))):
        for method in CUT_METHODS:
            cut = comix.grid_cut(unary, distance, weight, weight, method=method)
            np.testing.assert_array_equal(cut.labels, [[1, 1, 0, 1]])
            assert cut.optimal or method == "expansion"


@given(seed=st.integers(0, 2**32 - 1), labels=st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_swap_follows_the_reference_on_whole_numbers_of_any_spread(seed: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    unary = rng.integers(-4, 5, (3, 4, labels)) * 10 ** rng.integers(0, 9, (3, 4, labels))
    terms = CutProblem(unary, 1 - np.eye(labels, dtype=np.int64), np.ones((2, 4), int), np.ones((3, 3), int))
    np.testing.assert_array_equal(comix.grid_cut(*terms, method="swap").labels, reference.swap(*terms))


@pytest.mark.parametrize("exponent", [-1010, -520, 520, 1010])
def test_weights_and_distances_of_opposite_scale(exponent: int) -> None:
    problem = cut_problem(5, (3, 3), 3, distance="arbitrary", weights="array")
    moved = CutProblem(
        problem.unary, np.ldexp(problem.pairwise, exponent), *(np.ldexp(w, -exponent) for w in problem[2:])
    )
    for method in CUT_METHODS:
        a, b = comix.grid_cut(*problem, method=method), comix.grid_cut(*moved, method=method)
        np.testing.assert_array_equal(a.labels, b.labels)


def test_weights_of_any_size_do_nothing_without_a_distance() -> None:
    problem = cut_problem(5, (3, 3), 3)
    cheapest = problem.unary.argmin(-1)
    for weight in (1e308, -1e308):
        weights = np.full((2, 3), weight), np.full((3, 2), weight)
        for method in CUT_METHODS:
            cut = comix.grid_cut(problem.unary, np.zeros((3, 3)), *weights, method=method)
            np.testing.assert_array_equal(cut.labels, cheapest)


# --- stored results of the official solver ------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_swap_repeats_every_stored_label(device: str) -> None:
    assert len(CASES) == 137
    for case in CASES:
        problem = CutProblem(*reference.gco_integers(*stored_terms(case))).tensors(device)
        labels = comix.grid_cut(*problem, method="swap").labels.cpu().numpy()
        np.testing.assert_array_equal(labels, load("cut_grid", case["id"])["swap"], err_msg=case["id"])


OPTIMUM_CASES = [c for c in CASES if has_optimum(c)]


@pytest.mark.parametrize("case", OPTIMUM_CASES, ids=ids(OPTIMUM_CASES))
def test_exact_reaches_the_stored_optimum(case: Case) -> None:
    problem = stored_terms(case)
    cut = comix.grid_cut(*problem, method="exact")
    assert bool(cut.optimal)
    assert float(cut.energy) == pytest.approx(case["E_opt"], rel=1e-6, abs=1e-9)
    assert energy_of(cut.labels, problem) == pytest.approx(case["E_opt"], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("method", "stored"), [("expansion", "E_exp"), ("swap", "E_swap")])
def test_heuristics_are_no_worse_than_the_official_solver(method: str, stored: str) -> None:
    chosen = [c for c in OPTIMUM_CASES if method == "swap" or has_expansion(c)]
    assert len(chosen) >= 95
    gaps, stored_gaps = [], []
    for case in chosen:
        cut = comix.grid_cut(*stored_terms(case), method=method)
        gaps.append((float(cut.energy) - case["E_opt"]) / abs(case["E_opt"]))
        stored_gaps.append((case[stored] - case["E_opt"]) / abs(case["E_opt"]))
    assert min(gaps) >= -1e-12
    assert np.mean(gaps) <= np.mean(stored_gaps)


def test_auto_solves_most_stored_cases_exactly_and_is_never_far() -> None:
    optimal = []
    for case in OPTIMUM_CASES:
        cut = comix.grid_cut(*stored_terms(case), method="auto")
        assert float(cut.energy) <= case["E_opt"] + 0.05 * abs(case["E_opt"])
        if bool(cut.optimal):
            assert float(cut.energy) == pytest.approx(case["E_opt"], rel=1e-9)
        optimal.append(bool(cut.optimal))
    assert np.mean(optimal) > 0.75


# --- promises of every method -------------------------------------------------------------------------


@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("distance", DISTANCES)
def test_exact_bounds_every_method(costs: str, distance: str) -> None:
    for size, weights in itertools.product([(3, 3), (1, 6), (5, 4)], WEIGHTS):
        problem = cut_problem(7, size, 3, distance=distance, costs=costs, weights=weights)
        best = float(comix.grid_cut(*problem, method="exact").energy)
        for method in CUT_HEURISTICS:
            cut = comix.grid_cut(*problem, method=method)
            check_result(cut, problem)
            assert float(cut.energy) >= best - problem.resolution()
            if bool(cut.optimal):
                assert float(cut.energy) == pytest.approx(best, rel=0, abs=problem.resolution())
            start = np.zeros(size, int) if method == "swap" else problem.unary.argmin(-1)
            assert float(cut.energy) <= energy_of(start, problem) + problem.resolution()


@pytest.mark.parametrize("distance", CONVEX)
@pytest.mark.parametrize("method", ["exact", "auto"])
@pytest.mark.parametrize("device", DEVICES)
def test_convex_distances_are_solved_on_wide_grids(device: str, method: str, distance: str) -> None:
    for costs, size, labels in itertools.product(
        ("smooth", "white", "negative", "mixed"), [(12, 13), (5, 40)], (5, 17)
    ):
        problem = cut_problem(2, size, labels, distance=distance, costs=costs)
        cut = comix.grid_cut(*problem.tensors(device), method=method)
        assert bool(cut.optimal)
        best = float(comix.grid_cut(*problem, method="exact").energy)
        assert float(cut.energy) == pytest.approx(best, rel=0, abs=problem.resolution())


@pytest.mark.parametrize("method", ["expansion", "swap", "auto"])
def test_two_labels_are_exact_on_wide_grids(method: str) -> None:
    problem = cut_problem(2, (12, 13), 2, costs="smooth")
    cut = comix.grid_cut(*problem, method=method)
    assert bool(cut.optimal)
    assert float(cut.energy) == pytest.approx(float(comix.grid_cut(*problem, method="exact").energy))


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([(1, 1), (1, 12), (12, 1), (2, 5), (4, 4), (7, 9), (8, 8), (9, 9), (10, 11)]),
    labels=st.integers(1, 5),
    method=st.sampled_from(CUT_HEURISTICS),
    max_sweeps=st.sampled_from([None, 1, 2]),
)
@settings(max_examples=150, deadline=None)
def test_energy_never_rises(
    seed: int, size: tuple[int, int], labels: int, method: str, max_sweeps: int | None
) -> None:
    problem = integer_cut_problem(seed, size, labels)
    start = np.random.default_rng(seed).integers(0, labels, size)
    cut = comix.grid_cut(*problem, method=method, init=start, max_sweeps=max_sweeps)
    check_result(cut, problem)
    assert float(cut.energy) <= energy_of(start, problem)  # integers: no tolerance
    if bool(cut.optimal) and min(size) <= 4:
        assert float(cut.energy) == reference.frontier_cut(*problem)[1]


@given(seed=st.integers(0, 2**32 - 1), method=st.sampled_from(["expansion", "swap"]))
@settings(max_examples=40, deadline=None)
def test_a_result_is_a_fixed_point_and_no_single_site_improves_it(seed: int, method: str) -> None:
    # The tie moves of swap's last sweep are kept, and can open the way to a better move: no ties here.
    problem = without_ties(integer_cut_problem(seed, (3, 4), 3), seed)
    cut = comix.grid_cut(*problem, method=method)
    again = comix.grid_cut(*problem, method=method, init=cut.labels)
    assert float(again.energy) == float(cut.energy)
    for r, c, label in np.ndindex(3, 4, 3):
        other = cut.labels.copy()
        other[r, c] = label
        assert energy_of(other, problem) >= float(cut.energy)


@given(seed=st.integers(0, 2**32 - 1), labels=st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_swap_follows_the_reference_step_by_step(seed: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    terms = CutProblem(
        rng.integers(-4, 5, (4, 5, labels)),
        1 - np.eye(labels, dtype=np.int64),
        rng.integers(0, 3, (3, 5)),
        rng.integers(0, 3, (4, 4)),
    )
    start = rng.integers(0, labels, (4, 5))
    for init, sweeps in ((None, None), (start, None), (None, 1), (start, 2)):
        cut = comix.grid_cut(*terms, method="swap", init=init, max_sweeps=sweeps)
        np.testing.assert_array_equal(cut.labels, reference.swap(*terms, init=init, max_sweeps=sweeps))


@pytest.mark.parametrize("method", ["expansion", "swap"])
def test_more_sweeps_never_hurt_and_one_may_not_be_enough(method: str) -> None:
    gained = 0.0
    for seed in range(12):
        problem = cut_problem(seed, (12, 12), 6, distance="truncated", costs="smooth", weights="array")
        energies = [float(comix.grid_cut(*problem, method=method, max_sweeps=n).energy) for n in (1, 2, 50)]
        energies.append(float(comix.grid_cut(*problem, method=method).energy))
        assert np.all(np.diff(energies) <= problem.resolution())
        assert energies[2] == energies[3]
        assert float(comix.grid_cut(*problem, method=method, max_sweeps=2**40).energy) == energies[3]
        gained += energies[0] - energies[3]
    assert gained > 0


def test_init_is_kept_where_nothing_improves_and_not_needed_by_exact() -> None:
    problem = cut_problem(4, (6, 6), 4, costs="zero", weights="array")
    start = np.full((6, 6), 3)
    for method in ("expansion", "swap"):
        cut = comix.grid_cut(*problem, method=method, init=start)
        assert float(cut.energy) == 0
    problem = cut_problem(4, (4, 4), 3)
    a, b = (comix.grid_cut(*problem, method="exact", init=i) for i in (None, np.ones((4, 4), int)))
    np.testing.assert_array_equal(a.labels, b.labels)
