"""Co-Mixup labelling of a batch: comix against the published loop, from the same starts and priors.

Quality is the thresholded objective, scored independently: over the input sets comix's mean must not be above
the yardstick's. Single runs scatter widely around it (the loop is a heuristic), so the mean over many
partitions decides. Each side gets ready costs; pooling and the prior are not part of the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context

import comix
import numpy as np
import torch
from torch import Tensor

from benchmarks import harness, official, oracle, problems
from benchmarks.harness import Case, Contender, Options, require
from benchmarks.problems import ComixupProblem


def with_comix(problem: ComixupProblem, method: str) -> Tensor:
    """Label all partitions in one call: [P, m, g, g, 2]."""
    return comix.comixup_labels(
        problem.cost, compatibility=problem.compatibility, init=problem.init, method=method
    )


def with_official(problem: ComixupProblem) -> list[Tensor]:
    """Label one partition after the other: masks [m, g, g, n]."""
    parts = zip(problem.cost, problem.compatibility, problem.init, strict=True)
    return [official.comixup_masks(*part) for part in parts]


def one_partition(cost: np.ndarray, compatibility: np.ndarray, init: np.ndarray) -> np.ndarray:
    """Label a partition in a worker process, the way the published code runs by default."""
    masks = official.comixup_masks(*(torch.from_numpy(array) for array in (cost, compatibility, init)))
    return masks.numpy()


def with_processes(pool: ProcessPoolExecutor, problem: ComixupProblem) -> list[np.ndarray]:
    """Label the partitions in a pool of processes."""
    return list(
        pool.map(one_partition, problem.cost.numpy(), problem.compatibility.numpy(), problem.init.numpy())
    )


def compare(sets: list[ComixupProblem], methods: list[str], yardstick: bool) -> dict[str, float]:
    """Assert ranges and mean objectives; give the means."""
    found: dict[str, list[float]] = {}

    def score(name: str, problem: ComixupProblem, masks: list[np.ndarray]) -> None:
        for part, mask in enumerate(masks):
            value = oracle.comixup_objective(mask, problem.cost[part], problem.compatibility[part])
            found.setdefault(name, []).append(value)

    for problem in sets:
        n = problem.cost.shape[1]
        for method in methods:
            labels = with_comix(problem, method)
            require(
                tuple(labels.shape) == (*problem.init.shape, 2), f"labels have shape {tuple(labels.shape)}"
            )
            require(int(labels.min()) >= 0 and int(labels.max()) < n, "a label is out of range")
            score(f"comix {method}", problem, [oracle.masks_of_labels(part, n) for part in labels])
        if yardstick:
            score("official", problem, [mask.numpy() for mask in with_official(problem)])
    means = {name: float(np.mean(values)) for name, values in found.items()}
    if yardstick:
        for method in methods:
            mine, theirs = means[f"comix {method}"], means["official"]
            require(
                mine <= theirs, f"{method}: mean objective {mine:.4f} is above the yardstick's {theirs:.4f}"
            )
    return {f"mean objective {name}": value for name, value in means.items()}


def cases(options: Options) -> Iterator[Case]:
    """Yield batches of 100 at three grids, and one large partition."""
    skipped = harness.missing("gco", "official (gco-wrapper)")
    with ExitStack() as stack:
        pool = None
        if not skipped and options.threads > 1:
            pool = stack.enter_context(
                ProcessPoolExecutor(
                    options.threads, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
                )
            )
            for _ in range(2):  # start every worker and let it import, before anything is timed
                with_processes(pool, problems.comixup(2 * options.threads, 20, 4, options.seed))
        # grid, partitions, inputs of each, sets for the quality, sets for the time
        jobs = [(4, 5, 20, options.pick(4, 16), options.pick(2, 4))]
        if not options.quick:
            jobs += [(8, 5, 20, 8, 4), (16, 5, 20, 6, 3), (4, 1, 100, 2, 2)]
        for grid, partitions, n, scored, timed in jobs:
            seeds = problems.seeds(options.seed, scored)
            sets = [problems.comixup(partitions, n, grid, seed) for seed in seeds]
            methods = ["auto", "exact"] if grid == 4 and n == 20 and not options.quick else ["auto"]
            contenders = []
            for method in methods:
                calls = harness.each(partial(with_comix, method=method), sets[:timed])
                contenders += harness.ours(method, calls, options, also_single=partitions > 1)
            if not skipped:
                contenders.append(Contender("official", harness.each(with_official, sets[:timed])))
            if pool is not None and partitions > 1:
                calls = harness.each(partial(with_processes, pool), sets[:timed])
                contenders.append(Contender(f"official, {options.threads} processes", calls))
            yield Case(
                bench="comixup",
                name=f"{grid}x{grid} blocks, partitions of {n}",
                work=f"{partitions * n} images, 4 sweeps",
                contenders=contenders,
                check=partial(compare, sets, methods, not skipped),
                skipped=skipped,
                min_rounds=4 if n < 100 else 3,
            )
