"""Sweeps: how time grows with grid, labels, batch, partition and image size, and where the peers stand.

Every point is a case of its own, with the quality check of its domain, few rounds and, beside the run with
all threads, one with a single thread. A peer is left out, with the reason, from the size on where a call of
it takes seconds. ``scaling.py`` fits exponents to the points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks import (
    bench_comixup,
    bench_gridcut,
    bench_mixing,
    bench_puzzlemix,
    bench_transport,
    harness,
    oracle,
    problems,
)
from benchmarks.harness import Case, Contender, Options, require
from benchmarks.problems import TransportProblem

BUDGET_S = 0.6  # for the rounds of one point
TOO_SLOW = "takes seconds at this size"
MOST_BYTES = 100_000_000  # of ready cost matrices of one input set

Call = Callable[[], object]
Peers = dict[str, tuple[Sequence[Call], int]]  # name -> calls, the largest value at which it takes part


def point(
    domain: str,
    axis: str,
    value: int,
    work: str,
    ours: tuple[str, Sequence[Call]],
    peers: Peers,
    check: Callable[[bool], dict[str, float]],
    options: Options,
    absent: dict[str, str] | None = None,
) -> Case:
    """Set up one point; ``check`` is told whether the first peer takes part."""
    taking_part = {name: calls for name, (calls, largest) in peers.items() if value <= largest}
    slow = {name: TOO_SLOW for name in peers if name not in taking_part}
    first = next(iter(peers), None)
    return Case(
        bench="sweeps",
        name=f"{domain}, {axis} {value}",
        work=work,
        contenders=harness.ours(*ours, options)
        + [Contender(name, calls) for name, calls in taking_part.items()],
        check=partial(check, first in taking_part),
        skipped=slow | (absent or {}),
        min_rounds=3,
        budget_s=BUDGET_S,
        sweep={"domain": domain, "axis": axis, "value": value},
    )


def gridcut(axis: str, value: int, side: int, labels: int, count: int, options: Options) -> Case:
    """Exact cuts with quadratic label distances against gco's swap."""
    absent = harness.missing("gco", "gco swap (gco-wrapper)")
    sets = [problems.grid("quadratic", count, side, labels, seed) for seed in seeds(options)]
    swap = partial(bench_gridcut.with_gco, algorithm="swap")
    exact = partial(bench_gridcut.with_comix, method="exact")
    return point(
        domain="gridcut",
        axis=axis,
        value=value,
        work=f"exact, quadratic: {count} problems of {side}x{side}, {labels} labels",
        ours=("exact", harness.each(exact, sets)),
        peers={} if absent else {"gco swap": (harness.each(swap, sets), 1024)},
        check=lambda peer: bench_gridcut.compare("exact", sets, {"gco swap": swap} if peer else {}),
        options=options,
        absent=absent,
    )


def expansion(labels: int, options: Options) -> Case:
    """Expansion with Potts distances against gco's: on the average, comix's energies must not be above."""
    absent = harness.missing("gco", "gco expansion (gco-wrapper)")
    sets = [problems.grid("potts", 8, 8, labels, seed) for seed in seeds(options)]
    peer = partial(bench_gridcut.with_gco, algorithm="expansion")

    def check(compared: bool) -> dict[str, float]:
        means = bench_gridcut.compare("expansion", sets, {"gco expansion": peer} if compared else {})
        mine = means["mean energy comix expansion"]
        theirs = means.get("mean energy gco expansion", mine)
        require(mine <= theirs, f"expansion: mean energy {mine} is above gco's {theirs}")
        return means

    return point(
        domain="gridcut",
        axis="labels, Potts",
        value=labels,
        work=f"expansion, Potts: 8 problems of 8x8, {labels} labels",
        ours=("expansion", harness.each(partial(bench_gridcut.with_comix, method="expansion"), sets)),
        peers={} if absent else {"gco expansion": (harness.each(peer, sets), 1024)},
        check=check,
        options=options,
        absent=absent,
    )


def puzzlemix(axis: str, value: int, grid: int, batch: int, size: int, options: Options) -> Case:
    """PuzzleMix masks from images against the published way."""
    absent = harness.missing("gco", "official (gco-wrapper)")
    sets = [problems.puzzlemix(batch, size, seed) for seed in seeds(options)]
    official = partial(bench_puzzlemix.with_official, grid=grid)
    return point(
        domain="puzzlemix",
        axis=axis,
        value=value,
        work=f"masks of {batch} pairs of 3x{size}x{size}, {grid}x{grid} blocks",
        ours=("exact", harness.each(partial(bench_puzzlemix.with_comix, grid=grid), sets)),
        peers={} if absent else {"official": (harness.each(official, sets), 1024)},
        check=lambda peer: bench_puzzlemix.compare(sets, grid, peer),
        options=options,
        absent=absent,
    )


def comixup(
    axis: str, value: int, grid: int, partitions: int, n: int, largest: int, options: Options
) -> Case:
    """Co-Mixup labelling against the published loop, which takes part up to the value ``largest``."""
    absent = harness.missing("gco", "official (gco-wrapper)")
    draws = 1 if value == largest else 2  # there, a call of the peer takes about a second
    sets = [problems.comixup(partitions, n, grid, seed) for seed in seeds(options)[:draws]]
    return point(
        domain="comixup",
        axis=axis,
        value=value,
        work=f"{partitions * n} images in partitions of {n}, {grid}x{grid} blocks",
        ours=("auto", harness.each(partial(bench_comixup.with_comix, method="auto"), sets)),
        peers={} if absent else {"official": (harness.each(bench_comixup.with_official, sets), largest)},
        check=lambda peer: bench_comixup.compare(sets, ["auto"], peer),
        options=options,
        absent=absent,
    )


def transport(axis: str, value: int, grid: int, batch: int, options: Options) -> Case:
    """Exact transport against assignment solvers on ready matrices, while those fit the memory."""
    absent = harness.missing("lap") | harness.missing("scipy")
    solvers = {"lap": bench_transport.with_lap, "scipy": bench_transport.with_scipy}
    size = batch * grid**4 * 8
    if size > MOST_BYTES:
        absent |= dict.fromkeys(solvers, f"its ready matrices take {size / 1000000.0:.0f} MB")
    solvers = {name: solve for name, solve in solvers.items() if name not in absent}
    sets = [problems.transport(batch, grid, seed) for seed in seeds(options)]
    scored = max(1, min(batch, MOST_BYTES // (grid**4 * 8)))
    some = [TransportProblem(item.saliency[:scored], item.mask[:scored]) for item in sets]
    matrices = [oracle.transport_matrix(item.saliency, item.mask, bench_transport.EPS) for item in some]
    return point(
        domain="transport",
        axis=axis,
        value=value,
        work=f"{batch} plans of {grid}x{grid} blocks",
        ours=("exact", harness.each(partial(bench_transport.with_comix, method="exact"), sets)),
        peers={name: (harness.each(solve, matrices), 1024) for name, solve in solvers.items()},
        check=lambda peer: bench_transport.compare_exact(some, matrices, solvers),
        options=options,
        absent=absent,
    )


def mixing(axis: str, value: int, batch: int, size: int, largest: int, options: Options) -> Case:
    """Mixing by a PuzzleMix plan of 8x8 blocks against the published way and a plain copy."""
    jobs = [bench_mixing.puzzlemix_job(batch, size, seed) for seed in seeds(options)]
    return point(
        domain="mixing",
        axis=axis,
        value=value,
        work=f"PuzzleMix plans for {batch} images of 3x{size}x{size}",
        ours=("mix", [job.mix for job in jobs]),
        peers={
            "official": ([job.dense for job in jobs], largest),
            "torch copy": ([job.copy for job in jobs], 1024),
        },
        check=lambda peer: bench_mixing.compare(jobs),
        options=options,
    )


def seeds(options: Options) -> range:
    """Return the seeds of a point's two input sets."""
    return problems.seeds(options.seed, 2)


def cases(options: Options) -> Iterator[Case]:
    """Yield the points of all sweeps; three of each under --quick."""

    def values(*sizes: int) -> Sequence[int]:
        return sizes[1:4] if options.quick else sizes

    for labels in values(2, 4, 8, 16, 32, 64):
        yield gridcut("labels", labels, 8, labels, 4, options)
    for labels in values(2, 4, 8, 16, 32, 64):
        yield expansion(labels, options)
    for side in values(2, 4, 8, 16, 32):
        yield gridcut("grid", side, side, 3, 32, options)
        yield puzzlemix("grid", side, side, 100, 32, options)
        yield comixup("grid", side, side, 5, 20, options.pick(8, 16), options)
        yield transport("grid", side, side, 100, options)
    for n in values(2, 4, 8, 16, 32, 64, 128, 256):
        yield comixup("partition", n, 4, 256 // n, n, 32, options)
    for size in values(32, 64, 128, 224):
        yield mixing("image", size, 32, size, 1024, options)
        yield puzzlemix("image", size, 8, 32, size, options)
    for batch in values(1, 4, 16, 64, 256, 1024):
        yield puzzlemix("batch", batch, 4, batch, 32, options)
        yield transport("batch", batch, 8, batch, options)
        yield mixing("batch", batch, batch, 32, 256, options)
        if batch > 1:  # a single input leaves nothing to label, and gco refuses one label
            yield comixup("batch", batch, 4, max(1, batch // 16), min(16, batch), 256, options)
