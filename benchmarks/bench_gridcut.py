"""Grid cuts, like for like: exact, swap and expansion against gco and PyMaxflow on whole-number energies.

Whole numbers keep every solver on exactly the same energy: comix's swap must then reach gco's energy on every
problem, and comix's exact answer must not be above anybody's. Edge weights are uniform because PyMaxflow's
moves know no others. Where "auto" chooses, its energies must not be above anybody's on average. Everybody
gets arrays of the type that suits it best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import comix
import numpy as np

from benchmarks import harness, oracle, problems, puzzlemix_cuts
from benchmarks.harness import Case, Contender, Options, require
from benchmarks.problems import GridProblem

Solver = Callable[[GridProblem], np.ndarray]


def with_comix(problem: GridProblem, method: str) -> np.ndarray:
    """Solve the whole batch in one call: labels [K, H, W]."""
    return np.asarray(comix.grid_cut(*problem.floats, method=method).labels)


def with_gco(problem: GridProblem, algorithm: str) -> np.ndarray:
    """Solve one problem after the other with gco-wrapper."""
    import gco

    shape = problem.unary.shape[1:3]
    cuts = [
        gco.cut_grid_graph(unary, problem.pairwise, v, h, algorithm=algorithm).reshape(shape)
        for unary, v, h in zip(problem.unary, problem.weight_v, problem.weight_h, strict=True)
    ]
    return np.stack(cuts)


def with_maxflow_moves(problem: GridProblem, algorithm: str) -> np.ndarray:
    """Solve one problem after the other with PyMaxflow's moves (uniform weights only)."""
    from maxflow import fastmin

    move = fastmin.abswap_grid if algorithm == "swap" else fastmin.aexpansion_grid
    unaries, pairwise, weight_v, _ = problem.floats
    return np.stack([move(unary, pairwise * weight_v.flat[0]) for unary in unaries])


def with_maxflow_cut(problem: GridProblem) -> np.ndarray:
    """Solve binary problems by one minimum cut each with PyMaxflow."""
    import maxflow

    cuts = []
    for unary, weights in zip(problem.unary, problem.weight_v, strict=True):
        graph = maxflow.GraphInt(unary.shape[0] * unary.shape[1], 2 * unary[..., 0].size)
        nodes = graph.add_grid_nodes(unary.shape[:2])
        graph.add_grid_edges(nodes, int(weights.flat[0]), symmetric=True)
        graph.add_grid_tedges(nodes, unary[..., 1], unary[..., 0])
        graph.maxflow()
        cuts.append(graph.get_grid_segments(nodes))
    return np.stack(cuts).astype(np.int64)


def energies(problem: GridProblem, labels: np.ndarray) -> np.ndarray:
    """Score labels [K, H, W] of a problem: [K]."""
    require(bool((labels >= 0).all() and (labels < problem.unary.shape[-1]).all()), "a label is out of range")
    return oracle.grid_energy(labels, problem.unary, problem.pairwise, problem.weight_v, problem.weight_h)


def compare(method: str, sets: list[GridProblem], peers: dict[str, Solver]) -> dict[str, float]:
    """Assert what ``method`` promises on every problem; give mean energies."""
    found: dict[str, list[np.ndarray]] = {}
    for problem in sets:
        base = energies(problem, with_comix(problem, method))
        found.setdefault(f"comix {method}", []).append(base)
        for name, solve in peers.items():
            theirs = energies(problem, solve(problem))
            found.setdefault(name, []).append(theirs)
            if method == "exact":
                worst = float((base - theirs).max())
                require(
                    bool((base <= theirs + 1e-9 * np.abs(theirs)).all()), f"exact is {worst} above {name}"
                )
            if method == "auto":
                require(base.mean() <= theirs.mean(), f"auto is above {name} on average")
            if method == "swap" and name == "gco swap":
                gap = float(np.abs(base - theirs).max())
                require(gap == 0, f"swap and gco differ by {gap} on whole numbers")
    means = {f"mean energy {name}": float(np.mean(values)) for name, values in found.items()}
    if method == "auto":
        proven = [comix.grid_cut(*problem.floats, method=method).optimal for problem in sets]
        means["proven optimal, share"] = float(np.mean(proven))
    return means


def case(name: str, method: str, sets: list[GridProblem], peers: dict[str, Solver], options: Options) -> Case:
    """Set up one comparison."""
    count, height, width, labels = sets[0].unary.shape
    calls = harness.each(partial(with_comix, method=method), sets)
    return Case(
        bench="gridcut",
        name=f"{method}, {name}",
        work=f"{count} problems of {height}x{width} with {labels} labels",
        contenders=harness.ours(method, calls, options)
        + [Contender(peer, harness.each(solve, sets)) for peer, solve in peers.items()],
        check=partial(compare, method, sets, peers),
        skipped=harness.missing("gco", "gco-wrapper") | harness.missing("maxflow", "PyMaxflow"),
    )


def cases(options: Options) -> Iterator[Case]:
    """Yield the comparisons."""
    has_gco, has_maxflow = not harness.missing("gco"), not harness.missing("maxflow")
    seeds = problems.seeds(options.seed, options.pick(2, 4))

    def draw(kind: str, count: int, side: int, labels: int) -> list[GridProblem]:
        return [problems.grid(kind, count, side, labels, seed, uniform=True) for seed in seeds]

    def peers(*algorithms: str, moves: bool = True) -> dict[str, Solver]:
        chosen: dict[str, Solver] = {}
        for algorithm in algorithms:
            if has_gco:
                chosen[f"gco {algorithm}"] = partial(with_gco, algorithm=algorithm)
            if has_maxflow and moves:
                chosen[f"PyMaxflow {algorithm}"] = partial(with_maxflow_moves, algorithm=algorithm)
        return chosen

    for side in (16,) if options.quick else (16, 64):
        binary = draw("potts", options.pick(16, 32), side, 2)
        cut: dict[str, Solver] = {"PyMaxflow cut": with_maxflow_cut} if has_maxflow else {}
        yield case(f"binary {side}x{side}", "exact", binary, cut | peers("swap", moves=False), options)
    for labels in (3,) if options.quick else (3, 8):
        convex = draw("quadratic", options.pick(8, 32), 16, labels)
        yield case(f"quadratic 16x16, {labels} labels", "exact", convex, peers("swap"), options)
    for side in (4,) if options.quick else (4, 16):
        potts = draw("potts", options.pick(4, 8), side, 20)
        for method in ("swap", "expansion"):
            yield case(f"Potts {side}x{side}, 20 labels", method, potts, peers(method), options)
    if not options.quick:
        yield case("Potts 16x16, 20 labels", "auto", potts, peers("expansion"), options)
        small = draw("potts", 8, 4, 8)
        yield case("Potts 4x4, 8 labels", "exact", small, peers("swap", "expansion"), options)
    yield from puzzlemix_cuts.cases(options)
