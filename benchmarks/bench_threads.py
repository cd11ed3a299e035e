"""What more threads give, and what they could: calls with all threads against callers that share nothing.

The job is a few calls for every thread. comix makes one after the other, each with all threads; then with
one thread; then every thread of Python's makes its part of the calls, on one thread of comix's, all at once.
Nothing is shared there: what that gains over one thread is about what the machine lets any program gain.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

from benchmarks import bench_comixup, bench_puzzlemix, harness, problems
from benchmarks.harness import Case, Contender, Options, Timing, require

CALLS = 4  # of each caller: one alone would mostly be woken

Solve = Callable[[], Tensor]


def several(solve: Solve, calls: int) -> list[Tensor]:
    """Make calls one after the other."""
    return [solve() for _ in range(calls)]


def at_once(callers: ThreadPoolExecutor, solve: Solve, threads: int) -> list[Tensor]:
    """Make as many calls for every thread, each in a thread of Python's that has one thread of torch's."""
    jobs = [callers.submit(several, solve, CALLS) for _ in range(threads)]
    return [found for job in jobs for found in job.result()]


def check(solve: Solve, callers: ThreadPoolExecutor, threads: int) -> dict[str, float]:
    """Assert that who calls changes no result."""
    alone = harness.narrow(solve)
    assert isinstance(alone, Tensor)
    for found in (solve(), *at_once(callers, solve, threads)):
        require(torch.equal(found, alone), "the number of threads changed a result")
    return {}


def ceiling(timings: Sequence[Timing]) -> dict[str, float]:
    """Return what callers that share nothing gain over one thread."""
    _, single, apart = timings
    gains = [one / many for one, many in zip(single.ratios, apart.ratios, strict=True)]
    return {harness.CEILING: statistics.median(gains)}


def jobs(options: Options) -> Iterator[tuple[str, str, Solve]]:
    """Yield name, work and the call."""
    for grid in (4,) if options.quick else (4, 8, 16):
        labelled = problems.comixup(5, 20, grid, options.seed)
        work = "100 images in partitions of 20"
        yield f"Co-Mixup, {grid}x{grid} blocks", work, partial(bench_comixup.with_comix, labelled, "auto")
    pairs = problems.puzzlemix(100, 32, options.seed)
    for grid in (4,) if options.quick else (4, 8):
        work = "100 pairs of 3x32x32, 3 labels"
        yield f"PuzzleMix masks, {grid}x{grid} blocks", work, partial(bench_puzzlemix.with_comix, pairs, grid)


def cases(options: Options) -> Iterator[Case]:
    """Yield Co-Mixup's labels and PuzzleMix's masks; nothing with a single thread."""
    if options.threads == 1:
        return
    with ThreadPoolExecutor(options.threads, initializer=torch.set_num_threads, initargs=(1,)) as callers:
        for name, work, solve in jobs(options):
            calls = CALLS * options.threads
            apart = partial(at_once, callers, solve, options.threads)
            yield Case(
                bench="threads",
                name=name,
                work=f"{calls} calls, {work}",
                contenders=[
                    *harness.ours("all threads", [partial(several, solve, calls)], options),
                    Contender("comix, a caller per thread", [apart]),
                ],
                check=partial(check, solve, callers, options.threads),
                figures=ceiling,
                budget_s=2.0,
            )
