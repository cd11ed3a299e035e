"""comix.compat.gco in replay against gco-wrapper itself, on random problems with many ties."""

from __future__ import annotations

import contextlib
from typing import Any

import comix.compat
import numpy as np
import pytest
from comix.compat import gco
from numpy.typing import NDArray

official = pytest.importorskip("gco")

Array = NDArray[Any]


def table_of(rng: np.random.Generator, labels: int) -> Array:
    apart = np.abs(np.subtract.outer(np.arange(labels), np.arange(labels)))
    tables = [(apart > 0).astype(int), apart, np.minimum(apart, 2)]
    table: Array = tables[rng.integers(3)]
    return table


def grid_problem(seed: int, floating: bool, diagonals: bool) -> list[Array]:
    rng = np.random.default_rng(seed)
    height, width, labels = (int(rng.integers(low, 9)) for low in (1, 2, 2))
    table, sides = table_of(rng, labels), [(height - 1, width), (height, width - 1)]
    sides += [(height - 1, width - 1)] * 2 if diagonals else []
    if floating:
        scale = [0.01, 1.0, 50.0][seed % 3]
        dtype = [np.float32, np.float64][seed % 2]
        unary = (rng.random((height, width, labels)) * scale).astype(dtype)
        weights = [(rng.random(s) * scale).astype(dtype) for s in sides]
        return [unary, table.astype(dtype), *weights]
    top = [3, 20, 1000][seed % 3]
    unary = rng.integers(-top, top, (height, width, labels))
    return [unary, table, *(rng.integers(1, max(2, top // 2), s) for s in sides)]


@pytest.mark.parametrize("algorithm", ["expansion", "swap"])
@pytest.mark.parametrize("floating", [False, True])
@pytest.mark.parametrize("diagonals", [False, True])
def test_grids(algorithm: str, floating: bool, diagonals: bool) -> None:
    for seed in range(250):
        problem = grid_problem(seed, floating, diagonals)
        rounds = [-1, -1, 1, 2][seed % 4]
        with comix.compat.replay():
            mine = gco.cut_grid_graph(*problem, n_iter=rounds, algorithm=algorithm)
        theirs = official.cut_grid_graph(*problem, n_iter=rounds, algorithm=algorithm)
        np.testing.assert_array_equal(mine, theirs, err_msg=f"seed {seed}")
        assert mine.dtype == theirs.dtype


class Both:
    """The same calls to both classes; what gco-wrapper reads must stay alive as int32."""

    def __init__(self, seed: int, floating: bool) -> None:
        rng = np.random.default_rng(seed)
        sites, labels = int(rng.integers(2, 12)), int(rng.integers(2, 6))
        edges = np.sort(rng.integers(0, sites, (20, 2)), 1)
        edges = np.unique(edges[edges[:, 0] < edges[:, 1]], axis=0)
        kind = np.float64 if floating else np.int32
        scale = 1.0 if floating else 30.0
        self.labels = labels
        self.arrays = [
            (rng.random((sites, labels)) * scale).astype(kind),
            np.ascontiguousarray(edges[:, 0], np.int32),
            np.ascontiguousarray(edges[:, 1], np.int32),
            (rng.random(len(edges)) * scale / 2 + (0 if floating else 1)).astype(kind),
            table_of(rng, labels).astype(kind),
        ]
        by_function, parity = seed % 3 == 0, seed % 2
        with comix.compat.replay() if floating else contextlib.nullcontext():
            self.graphs = [module.GCO() for module in (gco, official)]
            for graph in self.graphs:
                graph.create_general_graph(sites, labels, floating)
                graph.set_data_cost(self.arrays[0])
                graph.set_all_neighbors(*self.arrays[1:4])
                if by_function:
                    graph.set_smooth_cost_function(
                        lambda p, q, a, b: abs(a - b) * ((p + q) % 3 + parity) * (1.0 if floating else 1)
                    )
                else:
                    graph.set_smooth_cost(self.arrays[4])

    def __call__(self, name: str, *arguments: int) -> tuple[Any, Any]:
        mine, theirs = (getattr(graph, name)(*arguments) for graph in self.graphs)
        return mine, theirs


@pytest.mark.parametrize("floating", [False, True])
def test_class(floating: bool) -> None:
    for seed in range(150):
        both = Both(seed, floating)
        rng = np.random.default_rng(seed)
        both("init_label_at_site", 0, int(rng.integers(both.labels)))
        calls: list[tuple[Any, ...]] = [
            ("expansion_on_alpha", int(rng.integers(both.labels))),
            ("alpha_beta_swap", *(int(k) for k in rng.integers(0, both.labels, 2))),
            ("swap", -1) if seed % 2 else ("expansion", [-1, 1, 2][seed % 3]),
        ]
        for call in calls:
            mine, theirs = both(*call)
            assert mine == pytest.approx(theirs, abs=1e-9), (seed, call)
            for name in ("compute_energy", "compute_data_energy", "compute_smooth_energy"):
                mine, theirs = both(name)
                assert mine == pytest.approx(theirs, abs=1e-9), (seed, call, name)
                assert np.asarray(mine).dtype == np.asarray(theirs).dtype
            mine, theirs = both("get_labels")
            np.testing.assert_array_equal(mine, theirs, err_msg=f"{seed} {call}")
            assert mine.dtype == theirs.dtype


def test_edges_of_images() -> None:
    for height in range(1, 4):
        for width in range(1, 4):
            for name in ("get_images_edges_vh", "get_images_edges_diag"):
                for mine, theirs in zip(
                    getattr(gco, name)(height, width), getattr(official, name)(height, width), strict=True
                ):
                    np.testing.assert_array_equal(mine, theirs)
