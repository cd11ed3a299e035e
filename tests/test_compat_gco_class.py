"""comix.compat.gco.GCO: against enumeration, the order of its calls, errors by their text."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import comix.compat
import numpy as np
import pytest
from comix.compat import gco
from numpy.typing import NDArray

Array = NDArray[Any]
LINE = np.array([[0, 5, 9], [4, 3, 0], [9, 1, 0], [2, 2, 2]])


def graph_of(unary: Array = LINE, as_float: bool = False) -> gco.GCO:
    graph = gco.GCO()
    graph.create_general_graph(*unary.shape, energy_is_float=as_float)
    graph.set_data_cost(unary)
    return graph


def line(weight: Any = 2) -> gco.GCO:
    graph = graph_of()
    graph.set_all_neighbors([0, 1, 2], [1, 2, 3], [weight] * 3)
    return graph


def best(unary: Array, edges: Array, distance: Callable[..., float], weights: Array) -> float:
    sites, labels = unary.shape
    return min(
        float(unary[np.arange(sites), list(x)].sum())
        + sum(w * distance(p, q, x[p], x[q]) for (p, q), w in zip(edges.tolist(), weights, strict=True))
        for x in itertools.product(range(labels), repeat=sites)
    )


@pytest.mark.parametrize("algorithm", ["expansion", "swap"])
@pytest.mark.parametrize("seed", range(6))
def test_two_labels_are_solved_exactly(seed: int, algorithm: str) -> None:
    rng = np.random.default_rng(seed)
    unary = rng.random((7, 2)) * 1e-6  # gco-wrapper would see zeros
    edges = np.array([(p, q) for p in range(7) for q in range(p) if rng.random() < 0.5])
    weights = rng.random(len(edges)) * 1e-6
    graph = graph_of(unary, as_float=True)
    graph.set_all_neighbors(edges[:, 0], edges[:, 1], weights)  # the larger site first
    energy = getattr(graph, algorithm)()
    assert isinstance(energy, float)
    want = best(unary, edges, lambda p, q, a, b: float(a != b), weights)
    assert energy == pytest.approx(want, abs=1e-18)
    assert graph.compute_data_energy() + graph.compute_smooth_energy() == pytest.approx(energy)


@pytest.mark.parametrize("seed", range(6))
def test_distances_of_every_pair_of_sites(seed: int) -> None:
    rng = np.random.default_rng(seed)
    unary, table = rng.integers(0, 20, (6, 2)), rng.integers(0, 9, (6, 6))
    edges = np.array(list(itertools.combinations(range(6), 2)))
    weights = rng.integers(0, 3, len(edges))
    graph = graph_of(unary)
    graph.set_all_neighbors(edges[:, 0], edges[:, 1], weights)
    calls: list[tuple[int, ...]] = []

    def distance(p: int, q: int, a: int, b: int) -> int:
        calls.append((p, q, a, b))
        return int(table[p, q]) * abs(a - b)

    graph.set_smooth_cost_function(distance)
    assert graph.expansion() == best(unary, edges, distance, weights)
    called = len(edges) * 4
    assert calls[:called] == [(*e, a, b) for e in edges.tolist() for a in (0, 1) for b in (0, 1)]
    before = len(calls)
    graph.swap()
    graph.compute_energy()
    assert len(calls) == before  # the distances are kept


def test_energies_and_labels_have_the_official_types() -> None:
    graph = line()
    assert graph.get_labels().tolist() == [0, 0, 0, 0]
    energies = graph.compute_energy(), graph.compute_data_energy(), graph.compute_smooth_energy()
    assert energies == (15, 15, 0)
    assert all(isinstance(e, np.int64) for e in energies)
    assert graph.expansion() == best(
        LINE, np.array([[0, 1], [1, 2], [2, 3]]), lambda p, q, a, b: a != b, [2] * 3
    )
    assert graph.get_labels().dtype == np.int32
    assert isinstance(graph.get_label_at_site(1), np.int32)
    reached = graph.compute_energy()
    graph.set_data_cost(LINE + 0.5)  # gco-wrapper would cut the halves off
    assert graph.compute_energy() == reached + 2.0
    assert isinstance(graph.compute_energy(), float)
    assert (graph.nb_sites, graph.nb_labels, graph.energy_is_float) == (4, 3, False)
    graph = line(1)
    graph.set_smooth_cost(0.25 * (1 - np.eye(3)))  # nor is what only distances add up to
    graph.init_label_at_site(3, 2)
    assert graph.compute_smooth_energy() == 0.25


def test_single_moves() -> None:
    graph = line()
    assert graph.expansion_on_alpha(1) is True
    assert graph.get_labels().tolist() == [0, 1, 1, 1]
    assert graph.expansion_on_alpha(1) is False
    assert graph.alpha_beta_swap(1, 2) is None  # type: ignore[func-returns-value]
    assert graph.get_labels().tolist() == [0, 2, 2, 2]
    graph.alpha_beta_swap(2, 2)
    assert graph.get_labels().tolist() == [0, 2, 2, 2]
    ties = graph_of(np.zeros((2, 2)))
    ties.set_neighbor_pair(0, 1, 1)
    ties.alpha_beta_swap(1, 0)
    assert ties.get_labels().tolist() == [1, 1]  # ties take the first one named


def test_rounds() -> None:
    graph = line()
    assert graph.expansion(0) == 15
    assert graph.swap(0) == 15
    assert graph.expansion(1) <= 15
    graph.init_label_at_site(3, 0)
    assert graph.get_labels()[3] == 0


def test_edges_and_costs_add_up_or_replace() -> None:
    graph = line(1)
    graph.set_neighbor_pair(1, 0, 4)
    graph.init_label_at_site(1, 1)
    assert graph.compute_smooth_energy() == 6
    graph.compute_energy()
    graph.set_neighbor_pair(0, 3, 1)  # after an energy: gco-wrapper ends the process
    assert graph.compute_smooth_energy() == 6
    graph.set_smooth_cost(3 * (1 - np.eye(3)))
    assert graph.compute_smooth_energy() == 18
    graph.set_pair_smooth_cost(1, 0, 7)  # both orders
    assert graph.compute_smooth_energy() == 42
    graph.set_smooth_cost_function(lambda p, q, a, b: a != b)
    assert graph.compute_smooth_energy() == 6
    graph.set_pair_smooth_cost(0, 1, 5)
    assert graph.compute_smooth_energy() == 30
    graph.set_site_data_cost(0, 0, 1.0)
    assert graph.compute_data_energy() == 1 + 3 + 9 + 2
    fresh = line()
    fresh.set_pair_smooth_cost(0, 2, 7)  # the others are 0 from here on
    fresh.init_label_at_site(1, 1)
    assert fresh.compute_smooth_energy() == 0
    fresh.init_label_at_site(1, 2)
    assert fresh.compute_smooth_energy() == 28


def test_arguments_are_copied() -> None:
    unary = LINE.astype(np.float64)
    graph = graph_of(unary)
    unary[:] = 99
    assert graph.compute_energy() == 15
    graph.get_labels()[:] = 2
    assert graph.get_labels().tolist() == [0, 0, 0, 0]


def test_graphs_begin_and_end() -> None:
    graph = gco.GCO()
    for use in (graph.get_labels, graph.expansion, graph.compute_energy):
        with pytest.raises(
            gco.PyGcoError, match="GCO: expected a graph, got none: call create_general_graph"
        ):
            use()
    graph.create_general_graph(2, 1)
    assert graph.expansion() == 0
    graph.destroy_graph()
    graph.destroy_graph()
    with pytest.raises(gco.PyGcoError, match="GCO: expected a graph, got a destroyed one"):
        graph.get_label_at_site(0)
    graph.create_general_graph(3, 2)
    assert graph.get_labels().tolist() == [0, 0, 0]


_INDEX, _SHAPE, _TYPE = gco.IndexOutOfBoundError, gco.ShapeMismatchError, gco.DataTypeNotSupportedError


@pytest.mark.parametrize(
    ("name", "arguments", "error", "text"),
    [
        ("create_general_graph", (0, 2), ValueError, "num_sites: expected an int of at least 1, got 0"),
        ("create_general_graph", (2, 0), ValueError, "num_labels: expected an int of at least 1, got 0"),
        ("create_general_graph", (2.5, 2), TypeError, "num_sites: expected an int of at least 1, got 2.5"),
        ("set_data_cost", (np.zeros((3, 3)),), _SHAPE, r"unary: expected shape \[4, 3\], got \[3, 3\]"),
        ("set_data_cost", (np.zeros(12),), _SHAPE, r"unary: expected 2 dimensions, got shape \[12\]"),
        ("set_data_cost", (LINE > 0,), _TYPE, "unary: expected real numbers, got dtype bool"),
        ("set_data_cost", (LINE * np.nan,), ValueError, "unary: expected finite values, got NaN"),
        ("set_site_data_cost", (4, 0, 1), _INDEX, r"site: expected values in 0\.\.3, got 4"),
        ("set_site_data_cost", (0, 3, 1), _INDEX, r"label: expected values in 0\.\.2, got 3"),
        ("set_site_data_cost", (0, 0, np.inf), ValueError, "e: expected finite values"),
        ("set_site_data_cost", (0, 0, "1"), _TYPE, "e: expected real numbers, got dtype <U1"),
        ("set_neighbor_pair", (0, 4, 1), _INDEX, r"s2: expected values in 0\.\.3, got 4"),
        ("set_neighbor_pair", (1, 1, 1), _INDEX, "s1, s2: expected different sites, got 1 twice"),
        ("set_neighbor_pair", (0, 1, [1]), _SHAPE, r"w: expected 0 dimensions, got shape \[1\]"),
        ("set_all_neighbors", ([0, 1], [1], [1, 1]), _SHAPE, r"s2: expected shape \[2\], got \[1\]"),
        ("set_all_neighbors", ([0, 1], [1, 2], [1]), _SHAPE, r"w: expected shape \[2\], got \[1\]"),
        ("set_all_neighbors", ([0, -1], [1, 2], [1, 1]), _INDEX, r"s1: expected values in 0\.\.3, got -1"),
        ("set_all_neighbors", ([0.0], [1.0], [1]), _TYPE, "s1: expected integers, got dtype float64"),
        ("set_smooth_cost", (np.eye(2),), _SHAPE, r"cost: expected shape \[3, 3\], got \[2, 2\]"),
        ("set_smooth_cost", (np.arange(9).reshape(3, 3),), _TYPE, "cost: expected a symmetric table"),
        ("set_pair_smooth_cost", (0, 3, 1), _INDEX, r"l2: expected values in 0\.\.2, got 3"),
        ("set_smooth_cost_function", (3,), _TYPE, "fun: expected a function, got int"),
        ("expansion", (-2,), ValueError, "niters: expected an int of at least -1, got -2"),
        ("swap", (1.5,), TypeError, "niters: expected an int of at least -1, got 1.5"),
        ("expansion_on_alpha", (3,), _INDEX, r"label: expected values in 0\.\.2, got 3"),
        ("expansion_on_alpha", (True,), _TYPE, "label: expected an integer, got True"),
        ("alpha_beta_swap", (0, 3), _INDEX, r"l2: expected values in 0\.\.2, got 3"),
        ("get_label_at_site", (-1,), _INDEX, r"site: expected values in 0\.\.3, got -1"),
        ("init_label_at_site", (0, 3), _INDEX, r"label: expected values in 0\.\.2, got 3"),
        ("init_label_at_site", (4, 0), _INDEX, r"site: expected values in 0\.\.3, got 4"),
    ],
)
def test_errors(name: str, arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    graph = line()
    with pytest.raises(error, match=text):
        getattr(graph, name)(*arguments)
    assert graph.compute_energy() == 15  # nothing was changed


def test_errors_of_smooth_cost_functions() -> None:
    graph = line()
    graph.set_smooth_cost_function(lambda p, q, a, b: 1 // (a - b))
    with pytest.raises(ZeroDivisionError):
        graph.expansion()
    for value, text in ((float("nan"), "fun: expected a finite number back, got nan for"), ("x", "got 'x'")):
        graph.set_smooth_cost_function(lambda p, q, a, b, value=value: value)  # type: ignore[misc]
        with pytest.raises((ValueError, TypeError), match=text):
            graph.compute_energy()
    assert graph.get_labels().tolist() == [0, 0, 0, 0]


def test_replay_takes_the_official_integers() -> None:
    with comix.compat.replay():
        graph = graph_of(LINE * 0.1000019, as_float=True)
        graph.set_all_neighbors([0, 1], [1, 2], np.array([0.0019, 0.5]))
        assert graph.compute_energy() == pytest.approx(1.50001)
        graph.init_label_at_site(1, 1)
        assert graph.compute_smooth_energy() == pytest.approx(0.00501)  # 1 + 500 steps, the default unscaled
        graph.set_smooth_cost(1 - np.eye(3))
        assert graph.compute_smooth_energy() == pytest.approx(0.501)
        with pytest.raises(
            ValueError, match=r"cost: expected at most 100000 in magnitude in replay \(gco would"
        ):
            graph.set_smooth_cost(1e6 * (1 - np.eye(3)))
        graph.set_data_cost(LINE * 20.0)
        graph.swap()
        with pytest.raises(ValueError, match=r"unary: expected at most 10000000 in replay, after scaling"):
            graph.expansion()
        with pytest.raises(ValueError, match=r"unary: expected at most 21474\.8 in magnitude in replay"):
            graph.set_data_cost(LINE * 1e5)
        graph.set_data_cost(LINE * 1.0)
        graph.set_smooth_cost(np.square(np.subtract.outer(np.arange(3), np.arange(3))))
        graph.init_label_at_site(0, 2)
        graph.init_label_at_site(1, 0)
        with pytest.raises(
            ValueError, match="pairwise_cost: expected distances and weights whose moves are sub"
        ):
            graph.expansion_on_alpha(1)
        with pytest.raises(
            ValueError, match="pairwise_cost: expected distances and weights whose moves are sub"
        ):
            graph.expansion()
