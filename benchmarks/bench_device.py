"""The device: every job on CUDA, against the CPU's path with transfers and a plain copy of the same bytes.

The CPU's path starts and ends where the device's does: tensors come from the device and results go back.
The copy, device to device, reads what the job reads: no call can be faster by much. Assignment solvers for
CUDA get ready cost matrices. Quality is the CPU's: equal energies and costs where comix promises optima,
equal bytes of mixed images, and for Co-Mixup, a heuristic with an order of moves of its own, a mean
objective at most one percent above the CPU's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import comix
import numpy as np
import torch
from torch import Tensor

from benchmarks import bench_mixing, bench_puzzlemix, bench_transport, harness, on_device, oracle, problems
from benchmarks.harness import Case, Contender, Options, require
from benchmarks.problems import ComixupProblem, PuzzleProblem, TransportProblem

Job = Callable[..., Tensor]  # tensors of one device in, one tensor there out
ASSIGNMENT = {  # distribution: module, function from costs [N, S, S] to the column of every row [N, S]
    "torch-linear-assignment": ("torch_linear_assignment", "batch_linear_assignment"),
    "torch-lap-cuda": ("torch_lap_cuda", "solve_lap"),
}


def through_the_cpu(job: Job, inputs: Sequence[Tensor]) -> Tensor:
    """Fetch the inputs, do the job on the CPU, send the result back."""
    return job(*(tensor.cpu() for tensor in inputs)).to(inputs[0].device)


def copied(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Copy the inputs where they are."""
    return [tensor.clone() for tensor in inputs]


def contenders(job: Job, sets: Sequence[Sequence[Tensor]], device: str) -> list[Contender]:
    """List the job on the device, on the CPU with transfers, and the copy; ``sets`` lie on the CPU."""
    there = [[tensor.to(device) for tensor in inputs] for inputs in sets]
    return [
        Contender(f"comix on {device}", [partial(job, *inputs) for inputs in there]),
        Contender("comix on the CPU, with transfers", [partial(through_the_cpu, job, i) for i in there]),
        Contender("copy of the inputs", [partial(copied, inputs) for inputs in there]),
    ]


def both(job: Job, inputs: Sequence[Tensor], device: str) -> tuple[Tensor, Tensor]:
    """Do the job on the device and on the CPU: both results, on the CPU."""
    return job(*(tensor.to(device) for tensor in inputs)).cpu(), job(*inputs)


# --- Co-Mixup -----------------------------------------------------------------------------------------


def label(cost: Tensor, compatibility: Tensor, init: Tensor, *, sweeps: int) -> Tensor:
    """Label all partitions: [P, m, g, g, 2]."""
    return comix.comixup_labels(cost, compatibility=compatibility, init=init, sweeps=sweeps)


def compare_labels(sets: list[ComixupProblem], sweeps: int, device: str) -> dict[str, float]:
    """Assert that the device's mean objective is at most one percent above the CPU's."""
    found: list[list[float]] = [[], []]
    for problem in sets:
        n = problem.cost.shape[1]
        given = (problem.cost, problem.compatibility, problem.init)
        for values, labels in zip(found, both(partial(label, sweeps=sweeps), given, device), strict=True):
            require(bool(((labels >= 0) & (labels < n)).all()), "a label is out of range")
            for part, masks in enumerate(labels):
                terms = problem.cost[part], problem.compatibility[part]
                values.append(oracle.comixup_objective(oracle.masks_of_labels(masks, n), *terms))
    mine, theirs = (float(np.mean(values)) for values in found)
    require(mine <= theirs + 0.01 * abs(theirs), f"mean objective {mine:.4f} is above the CPU's {theirs:.4f}")
    return {f"mean objective on {device}": mine, "mean objective on the CPU": theirs}


def comixup_cases(options: Options, device: str) -> Iterator[Case]:
    """Yield a large batch in small partitions, and the batch of the papers."""
    for images, n, sweeps in ((options.pick(32, 1024), 16, 3), (options.pick(40, 100), 20, 4)):
        seeds = problems.seeds(options.seed, 3)
        sets = [problems.comixup(images // n, n, 4, seed) for seed in seeds]
        tensors = [(each.cost, each.compatibility, each.init) for each in sets]
        yield Case(
            bench="device",
            name=f"Co-Mixup, 4x4 blocks, partitions of {n}",
            work=f"{images} images, {sweeps} sweeps",
            contenders=contenders(partial(label, sweeps=sweeps), tensors, device),
            check=partial(compare_labels, sets, sweeps, device),
        )


# --- PuzzleMix ----------------------------------------------------------------------------------------


def mask(images: Tensor, saliency: Tensor, index: Tensor, *, lam: float, grid: int) -> Tensor:
    """Compute the masks of all pairs: [N, g, g]."""
    return bench_puzzlemix.with_comix(PuzzleProblem(images, saliency, index, lam), grid)


def compare_masks(sets: list[PuzzleProblem], grid: int, lam: float, device: str) -> dict[str, float]:
    """Assert that both masks of every pair cost the same."""
    worst, means = 0.0, []
    for problem in sets:
        given = (problem.images, problem.saliency, problem.index)
        costs = [
            bench_puzzlemix.energies(problem, grid, masks)
            for masks in both(partial(mask, lam=lam, grid=grid), given, device)
        ]
        worst = max(worst, float(np.abs(costs[0] - costs[1]).max()))
        means.append(costs[0].mean())
    require(worst <= 1e-6, f"the energy of a mask differs from the CPU's by {worst}")
    return {"mean energy": float(np.mean(means)), "largest difference": worst}


def puzzlemix_cases(options: Options, device: str) -> Iterator[Case]:
    """Yield masks of three labels at three grids."""
    pairs, lam = options.pick(16, 448), 0.4
    sets = []
    for seed in problems.seeds(options.seed, 3):
        drawn = problems.puzzlemix(pairs, 32, seed)
        sets.append(PuzzleProblem(drawn.images, drawn.saliency, drawn.index, lam))
    tensors = [(each.images, each.saliency, each.index) for each in sets]
    for grid in (4, 8, 16):
        yield Case(
            bench="device",
            name=f"PuzzleMix masks, {grid}x{grid} blocks",
            work=f"{pairs} pairs of 3x32x32, 3 labels",
            contenders=contenders(partial(mask, lam=lam, grid=grid), tensors, device),
            check=partial(compare_masks, sets, grid, lam, device),
        )


# --- transport ----------------------------------------------------------------------------------------


def plan(saliency: Tensor, masks: Tensor) -> Tensor:
    """Plan all images exactly: [N, T, T]."""
    return comix.transport_plan(saliency, masks, eps=bench_transport.EPS)


def assigned(solve: Callable[[Tensor], Tensor], costs: Tensor) -> Tensor:
    """Solve ready matrices [N, S, S]: the source of every target [N, S]."""
    return solve(costs).long().argsort(1)


def compare_plans(
    sets: list[TransportProblem], peers: dict[str, Callable[[Tensor], Tensor]], device: str
) -> dict[str, float]:
    """Assert permutations and one optimal cost for everybody."""
    costs: dict[str, list[np.ndarray]] = {}
    for problem in sets:
        matrix = oracle.transport_matrix(problem.saliency, problem.mask, bench_transport.EPS)
        mine, theirs = (p.flatten(1) for p in both(plan, (problem.saliency, problem.mask), device))
        plans = {f"comix on {device}": mine, "comix on the CPU": theirs}
        ready = torch.from_numpy(matrix).to(device)
        plans |= {name: assigned(solve, ready).cpu() for name, solve in peers.items()}
        for name, found in plans.items():
            every = torch.arange(found.shape[1]).expand_as(found)
            require(torch.equal(found.sort(1).values, every), f"a plan of {name} is no permutation")
            costs.setdefault(name, []).append(oracle.transport_cost(found.numpy(), matrix))
    best = np.concatenate(costs["comix on the CPU"])
    for name, values in costs.items():
        gap = float(np.abs(np.concatenate(values) - best).max())
        require(gap <= 1e-9 * max(1.0, float(np.abs(best).max())), f"cost of {name} differs by {gap}")
    return {f"mean cost {name}": float(np.mean(values)) for name, values in costs.items()}


def transport_case(options: Options, device: str) -> Case:
    """Plan exactly on 16x16 blocks."""
    count = options.pick(8, 896)
    sets = [problems.transport(count, 16, seed) for seed in problems.seeds(options.seed, 3)]
    listed = contenders(plan, [(each.saliency, each.mask) for each in sets], device)
    peers: dict[str, Callable[[Tensor], Tensor]] = {}
    skipped: dict[str, str] = {}
    for name, (module, function) in ASSIGNMENT.items():
        if device == "cpu":
            skipped[name] = "for CUDA tensors"
        elif not (absent := harness.missing(module, name)):
            peers[name] = getattr(importlib.import_module(module), function)
        else:
            skipped |= absent
    for name, solve in peers.items():
        ready = [oracle.transport_matrix(each.saliency, each.mask, bench_transport.EPS) for each in sets]
        there = [torch.from_numpy(matrix).to(device) for matrix in ready]
        listed.append(Contender(name, [partial(assigned, solve, costs) for costs in there]))
    return Case(
        bench="device",
        name="exact transport, 16x16 blocks",
        work=f"{count} plans",
        contenders=listed,
        check=partial(compare_plans, sets, peers, device),
        skipped=skipped,
    )


# --- mixing -------------------------------------------------------------------------------------------


def mix(images: Tensor, source: Tensor, block: Tensor, weight: Tensor) -> Tensor:
    """Mix by a plan's entries."""
    return comix.MixPlan(source, block, weight).mix(images)


def compare_mixed(sets: list[tuple[Tensor, ...]], device: str) -> dict[str, float]:
    """Assert that images are the CPU's to the last bit."""
    for inputs in sets:
        require(torch.equal(*both(mix, inputs, device)), "mixed images differ from the CPU's")
    return {"largest difference": 0.0}


def mixing_case(options: Options, device: str) -> Case:
    """Mix large images, both of every pair transported."""
    count, size = options.pick(8, 448), options.pick(32, 224)
    sets = []
    for seed in problems.seeds(options.seed, 2):
        job = bench_mixing.puzzlemix_job(count, size, seed)
        sets.append((job.images, job.plan.source, job.plan.block, job.plan.weight))
    return Case(
        bench="device",
        name="PuzzleMix mixing, 8x8 blocks, transport",
        work=f"{count} images of 3x{size}x{size}, float32",
        contenders=contenders(mix, sets, device),
        check=partial(compare_mixed, sets, device),
    )


def device_cases(options: Options, device: str) -> Iterator[Case]:
    """Yield all cases; "cpu" stands in for a device where tests run them."""
    yield from comixup_cases(options, device)
    yield from puzzlemix_cases(options, device)
    yield transport_case(options, device)
    yield mixing_case(options, device)


def cases(options: Options) -> Iterator[Case]:
    """Yield all cases on the current CUDA device, timed by its events."""
    for case in device_cases(options, "cuda"):
        case.clock, case.warm_all = on_device.clock, True
        yield case
