"""comix.compat.gco's functions: golden labels in replay, exact ones outside, errors by their text."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import comix
import comix.compat
import numpy as np
import pytest
from comix.compat import gco
from golden_data import Case, cases, ids, load

GRIDS = cases("cut_grid")
# Distances that are no metric, but no move meets the labels that show it: gco-wrapper answers, and so do we.
REACHED = {"c011", "c022", "c057", "c067", "c075", "c103"}


@pytest.mark.parametrize("case", GRIDS, ids=ids(GRIDS))
def test_gco_labels(case: Case) -> None:
    arrays = load("cut_grid", case["id"])
    costs = [arrays[name] for name in ("unary", "V", "wv", "wh")]
    with comix.compat.replay():
        np.testing.assert_array_equal(
            gco.cut_grid_graph(*costs, algorithm="swap"), arrays["swap"].astype(np.int32).ravel()
        )
        if "exp" in arrays:
            np.testing.assert_array_equal(gco.cut_grid_graph(*costs), arrays["exp"].astype(np.int32).ravel())
        elif case["id"] not in REACHED:
            with pytest.raises(
                ValueError, match="pairwise_cost: expected distances and weights whose moves are"
            ):
                gco.cut_grid_graph(*costs)
    for algorithm in ("swap", "expansion"):
        labels = gco.cut_grid_graph(*costs, algorithm=algorithm)
        assert labels.dtype == np.int32
        exact = comix.grid_cut(*costs, method=algorithm).labels
        np.testing.assert_array_equal(labels, exact.ravel())


def test_gco_takes_what_gco_wrapper_takes() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.int32, np.int64, np.float32, np.float64, np.longdouble, np.uint16):
        unary = (rng.random((4, 5, 3)) * 50).astype(dtype)
        table = (1 - np.eye(3)).astype(dtype)
        labels = gco.cut_grid_graph_simple(unary, table)
        ones = np.ones((3, 5), dtype), np.ones((4, 4), dtype)
        np.testing.assert_array_equal(labels, gco.cut_grid_graph(unary, table, *ones))
        assert labels.shape == (20,)
    assert gco.cut_grid_graph_simple(unary, table, n_iter=0).tolist() == [0] * 20
    assert gco.cut_grid_graph_simple(np.array([[[1.0, 0.0]]]), 1 - np.eye(2)).tolist() == [1]
    assert gco.cut_grid_graph_simple(unary * 1e9, table, algorithm="expansion").shape == (20,)  # gco aborts


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"unary_cost": np.zeros((2, 2))}, gco.ShapeMismatchError, "unary_cost: expected 3 dimensions"),
        (
            {"unary_cost": np.zeros((2, 2, 0))},
            gco.ShapeMismatchError,
            "unary_cost: expected at least one site",
        ),
        (
            {"cost_v": np.zeros((2, 2))},
            gco.ShapeMismatchError,
            r"cost_v: expected shape \[1, 2\], got \[2, 2\]",
        ),
        ({"cost_h": np.zeros((2, 2))}, gco.ShapeMismatchError, r"cost_h: expected shape \[2, 1\]"),
        ({"pairwise_cost": np.eye(3)}, gco.ShapeMismatchError, r"pairwise_cost: expected shape \[2, 2\]"),
        (
            {"pairwise_cost": np.eye(2) > 0},
            gco.DataTypeNotSupportedError,
            "pairwise_cost: expected real numbers",
        ),
        (
            {"pairwise_cost": np.array([[0, 1], [2, 0]])},
            ValueError,
            "pairwise_cost: expected a symmetric table",
        ),
        ({"unary_cost": np.full((2, 2, 2), np.nan)}, ValueError, "unary: expected finite values"),
        ({"algorithm": "swaps"}, ValueError, "algorithm: expected one of 'expansion', 'swap', got 'swaps'"),
        ({"n_iter": -2}, ValueError, "n_iter: expected an int of at least -1"),
        ({"cost_dr": np.ones((1, 1))}, ValueError, "cost_dr, cost_dl: expected both or neither, got one"),
        (
            {"cost_dr": np.ones((1, 2)), "cost_dl": np.ones((1, 1))},
            gco.ShapeMismatchError,
            r"cost_dr: expected shape \[1, 1\], got \[1, 2\]",
        ),
    ],
)
def test_gco_errors(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    arguments = {
        "unary_cost": np.zeros((2, 2, 2)),
        "pairwise_cost": 1 - np.eye(2),
        "cost_v": np.ones((1, 2)),
        "cost_h": np.ones((2, 1)),
    }
    with pytest.raises(error, match=text):
        gco.cut_grid_graph(**{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ["expansion", "swap"])
@pytest.mark.parametrize("n_iter", [1, 2])
def test_rounds_are_counted(n_iter: int, algorithm: str) -> None:
    stopped = 0
    for seed in range(12):
        unary, table = np.random.default_rng(seed).random((6, 6, 5)), 1 - np.eye(5)
        edges = np.full((5, 6), 0.3), np.full((6, 5), 0.3)
        found = gco.cut_grid_graph(unary, table, *edges, n_iter=n_iter, algorithm=algorithm)
        same = comix.grid_cut(unary, table, *edges, method=algorithm, max_sweeps=n_iter).labels
        np.testing.assert_array_equal(found, same.ravel())
        stopped += bool((found != gco.cut_grid_graph(unary, table, *edges, algorithm=algorithm)).any())
    assert stopped or n_iter == 2, "the case needs more than a round"


def test_not_a_number_is_named_before_symmetry() -> None:
    table = np.array([[0, np.nan], [np.nan, 0]])
    with pytest.raises(ValueError, match=r"pairwise(_cost)?: expected finite values"):
        gco.cut_grid_graph(np.zeros((2, 2, 2)), table, np.ones((1, 2)), np.ones((2, 1)))


GRAPH: dict[str, Any] = {
    "edges": np.array([[0, 1], [1, 2], [0, 3]]),
    "edge_weights": np.array([1.0, 2.0, 0.5]),
    "unary_cost": np.zeros((4, 2)),
    "pairwise_cost": 1 - np.eye(2),
}


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"edges": np.array([[0, 1]])}, gco.ShapeMismatchError, r"edges: expected shape \[3, 2\]"),
        (
            {"edges": np.array([[0, 1], [1, 2], [0, 4]])},
            gco.IndexOutOfBoundError,
            r"edges: expected values in 0\.\.3, got 4",
        ),
        ({"edges": np.array([[0, 1], [1, 1], [0, 3]])}, ValueError, "edges: expected two different sites"),
        ({"edges": np.zeros((3, 2))}, gco.DataTypeNotSupportedError, "edges: expected integers"),
        ({"init_labels": [0, 0, 2, 0]}, gco.IndexOutOfBoundError, r"init_labels: expected values in 0\.\.1"),
        ({"edge_weights": np.array([1, np.nan, 1])}, ValueError, "edge_weights: expected finite values"),
        ({"unary_cost": np.full((4, 2), np.inf)}, ValueError, "unary_cost: expected finite values"),
        ({"pairwise_cost": np.array([[0, 1], [2, 0]])}, ValueError, "pairwise_cost: expected a symmetric"),
        ({"algorithm": "swaps"}, ValueError, "algorithm: expected one of 'expansion', 'swap', got 'swaps'"),
        ({"down_weight_factor": 0}, ValueError, "down_weight_factor: expected a number above 0"),
    ],
)
def test_general_graph_errors(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        gco.cut_general_graph(**{**GRAPH, **changes})


def test_graphs_are_not_replayed() -> None:
    with (
        comix.compat.replay(),
        pytest.raises(ValueError, match="cut_general_graph: expected to be called outside of replay"),
    ):
        gco.cut_general_graph(**GRAPH)


def graph_energy(labels: Any, problem: dict[str, Any]) -> float:
    unary, table, edges = (problem[name] for name in ("unary_cost", "pairwise_cost", "edges"))
    pairs = table[labels[edges[:, 0]], labels[edges[:, 1]]]
    return float(unary[np.arange(len(labels)), labels].sum() + (problem["edge_weights"] * pairs).sum())


@pytest.mark.parametrize("algorithm", ["expansion", "swap"])
@pytest.mark.parametrize("seed", range(8))
def test_general_graphs(algorithm: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sites, labels = 6, 2 + seed % 3
    edges = np.array([(p, q) for p in range(sites) for q in range(p + 1, sites) if rng.random() < 0.6])
    problem = {
        "edges": edges,
        "edge_weights": rng.random(len(edges)),
        "unary_cost": rng.random((sites, labels)),
        "pairwise_cost": np.minimum(np.abs(np.subtract.outer(np.arange(labels), np.arange(labels))), 1.5),
    }
    every = [np.array(x) for x in itertools.product(range(labels), repeat=sites)]
    best = min(graph_energy(x, problem) for x in every)
    start = rng.integers(0, labels, sites)
    got = gco.cut_general_graph(**problem, algorithm=algorithm, init_labels=start, down_weight_factor=3.0)
    assert (got.dtype, got.shape) == (np.int32, (sites,))
    energy = graph_energy(got, problem)
    assert best - 1e-12 <= energy <= graph_energy(start, problem) + 1e-12
    if labels == 2:
        assert energy == pytest.approx(best, abs=1e-12)
    assert np.array_equal(gco.cut_general_graph(**problem, n_iter=0, init_labels=start), start)


@pytest.mark.parametrize("seed", range(4))
def test_grids_with_diagonals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    unary, table = rng.random((3, 3, 2)), 1 - np.eye(2)
    down, right, diagonal, other = (rng.random(s) for s in ((2, 3), (3, 2), (2, 2), (2, 2)))
    got = gco.cut_grid_graph(unary, table, down, right, diagonal, other)

    def energy(x: Any) -> float:
        terms = [
            (down, x[:-1], x[1:]),
            (right, x[:, :-1], x[:, 1:]),
            (diagonal, x[:-1, :-1], x[1:, 1:]),
            (other, x[:-1, 1:], x[1:, :-1]),
        ]
        return float(
            np.take_along_axis(unary, x[..., None], 2).sum() + sum((w * (a != b)).sum() for w, a, b in terms)
        )

    best = min(energy(np.array(x).reshape(3, 3)) for x in itertools.product(range(2), repeat=9))
    assert energy(got.reshape(3, 3)) == pytest.approx(best, abs=1e-12)
    # Without diagonals the same as a 4-connected grid.
    none = np.zeros((2, 2))
    plain = gco.cut_grid_graph(unary, table, down, right)
    assert np.array_equal(gco.cut_grid_graph(unary, table, down, right, none, none), plain)


def test_gco_options() -> None:
    with pytest.raises(ValueError, match="connect: expected 4 or 8, got 6"):
        gco.cut_grid_graph_simple(np.zeros((2, 2, 2)), 1 - np.eye(2), connect=6)
    assert gco.cut_grid_graph_simple(np.zeros((2, 2, 2)), 1 - np.eye(2), connect=8).shape == (4,)
    for name in ("ShapeMismatchError", "DataTypeNotSupportedError", "IndexOutOfBoundError"):
        assert issubclass(getattr(gco, name), gco.PyGcoError)
    assert gco.PyGcoError("what").msg == "what"


def test_edges_of_images() -> None:
    assert [a.tolist() for a in gco.get_images_edges_vh(2, 3)] == [
        [0, 1, 2],
        [0, 1, 3, 4],
        [3, 4, 5],
        [1, 2, 4, 5],
    ]
    assert [a.tolist() for a in gco.get_images_edges_diag(2, 3)] == [[0, 1], [1, 2], [4, 5], [3, 4]]
    assert all(a.dtype == np.int64 and a.size == 0 for a in gco.get_images_edges_diag(1, 3))
    with pytest.raises(ValueError, match="height: expected an int of at least 1, got 0"):
        gco.get_images_edges_vh(0, 3)


def test_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gco", "gco.pygco"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    gco.install()
    import gco as installed
    from gco import GCO, cut_grid_graph
    from gco.pygco import ShapeMismatchError

    assert installed is comix.compat.gco
    assert GCO is installed.GCO
    assert ShapeMismatchError is installed.ShapeMismatchError
    assert cut_grid_graph is installed.cut_grid_graph
    for name in ("gco", "gco.pygco"):
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("algorithm", ["expansion", "swap"])
def test_one_label_is_enough_outside_replay(algorithm: str) -> None:
    arguments = np.ones((2, 3, 1)), np.zeros((1, 1)), np.ones((1, 3)), np.ones((2, 2))
    assert gco.cut_grid_graph(*arguments, algorithm=algorithm).tolist() == [0] * 6
    text = r"unary_cost: expected at least 2 labels in replay \(gco would abort\), got 1"
    with comix.compat.replay(), pytest.raises(ValueError, match=text):
        gco.cut_grid_graph(*arguments, algorithm=algorithm)
