"""The device: every job on CUDA, against the CPU's path with transfers and a plain copy of the same bytes.

Every job runs as a user calls it, and once more as a CUDA graph that replays the call. Small calls take the
host longer than the device, so the graph's row is the device's time, which targets are about.
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
ON_THE_CPU = "comix on the CPU"
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


def moved(inputs: Sequence[Tensor], device: str) -> list[Tensor]:
    """Bring inputs to the device."""
    return [tensor.to(device) for tensor in inputs]


class Task:
    """A job and its input sets, on the CPU and on the device; ``ours`` are comix's ways to do it there."""

    def __init__(self, job: Job, sets: Sequence[Sequence[Tensor]], device: str) -> None:
        self.job, self.sets = job, sets
        self.there = [moved(inputs, device) for inputs in sets]
        calls = [partial(job, *inputs) for inputs in self.there]
        self.ours = {f"comix on {device}": calls}
        self.skipped: dict[str, str] = {}
        if device == "cpu":
            return
        replayed = f"comix on {device}, replayed graph"
        try:
            self.ours[replayed] = [on_device.captured(call) for call in calls]
        except on_device.CaptureRefusedError as error:
            self.skipped[replayed] = f"capture refused: {error}"

    def contenders(self) -> list[Contender]:
        """List comix on the device, on the CPU with transfers, and the copy."""
        there = self.there
        return [
            *(Contender(name, calls) for name, calls in self.ours.items()),
            Contender(
                f"{ON_THE_CPU}, with transfers", [partial(through_the_cpu, self.job, i) for i in there]
            ),
            Contender("copy of the inputs", [partial(copied, inputs) for inputs in there]),
        ]

    def answers(self, turn: int) -> dict[str, Tensor]:
        """Do the job on one input set in each of our ways, and last on the CPU: all results on the CPU."""
        found = {name: calls[turn]().cpu() for name, calls in self.ours.items()}
        return {**found, ON_THE_CPU: self.job(*self.sets[turn])}


# --- Co-Mixup -----------------------------------------------------------------------------------------


def label(cost: Tensor, compatibility: Tensor, init: Tensor, *, sweeps: int) -> Tensor:
    """Label all partitions: [P, m, g, g, 2]."""
    return comix.comixup_labels(cost, compatibility=compatibility, init=init, sweeps=sweeps)


def compare_labels(task: Task, sets: list[ComixupProblem]) -> dict[str, float]:
    """Assert that the device's mean objective is at most one percent above the CPU's."""
    found: dict[str, list[float]] = {}
    for turn, problem in enumerate(sets):
        n = problem.cost.shape[1]
        for name, labels in task.answers(turn).items():
            require(bool(((labels >= 0) & (labels < n)).all()), f"a label of {name} is out of range")
            for part, masks in enumerate(labels):
                terms = problem.cost[part], problem.compatibility[part]
                value = oracle.comixup_objective(oracle.masks_of_labels(masks, n), *terms)
                found.setdefault(name, []).append(value)
    means = {name: float(np.mean(values)) for name, values in found.items()}
    theirs = means[ON_THE_CPU]
    for name, mine in means.items():
        worse = f"mean objective {mine:.4f} of {name} is above the CPU's {theirs:.4f}"
        require(mine <= theirs + 0.01 * abs(theirs), worse)
    return {f"mean objective {name}": mean for name, mean in means.items()}


def comixup_cases(options: Options, device: str) -> Iterator[Case]:
    """Yield a large batch in small partitions, and the batch of the papers."""
    for images, n, sweeps in ((options.pick(32, 1024), 16, 3), (options.pick(40, 100), 20, 4)):
        seeds = problems.seeds(options.seed, 3)
        sets = [problems.comixup(images // n, n, 4, seed) for seed in seeds]
        tensors = [(each.cost, each.compatibility, each.init) for each in sets]
        task = Task(partial(label, sweeps=sweeps), tensors, device)
        yield Case(
            bench="device",
            name=f"Co-Mixup, 4x4 blocks, partitions of {n}",
            work=f"{images} images, {sweeps} sweeps",
            contenders=task.contenders(),
            check=partial(compare_labels, task, sets),
            skipped=task.skipped,
        )


# --- PuzzleMix ----------------------------------------------------------------------------------------


def mask(images: Tensor, saliency: Tensor, index: Tensor, *, lam: float, grid: int) -> Tensor:
    """Compute the masks of all pairs: [N, g, g]."""
    return bench_puzzlemix.with_comix(PuzzleProblem(images, saliency, index, lam), grid)


def compare_masks(task: Task, sets: list[PuzzleProblem], grid: int) -> dict[str, float]:
    """Assert that all masks of every pair cost the same."""
    worst, means = 0.0, []
    for turn, problem in enumerate(sets):
        answers = task.answers(turn).items()
        costs = {name: bench_puzzlemix.energies(problem, grid, masks) for name, masks in answers}
        for name, mine in costs.items():
            gap = float(np.abs(mine - costs[ON_THE_CPU]).max())
            require(gap <= 1e-6, f"the energy of a mask of {name} differs from the CPU's by {gap}")
            worst = max(worst, gap)
        means.append(costs[ON_THE_CPU].mean())
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
        task = Task(partial(mask, lam=lam, grid=grid), tensors, device)
        yield Case(
            bench="device",
            name=f"PuzzleMix masks, {grid}x{grid} blocks",
            work=f"{pairs} pairs of 3x32x32, 3 labels",
            contenders=task.contenders(),
            check=partial(compare_masks, task, sets, grid),
            skipped=task.skipped,
        )


# --- transport ----------------------------------------------------------------------------------------


def plan(saliency: Tensor, masks: Tensor) -> Tensor:
    """Plan all images exactly: [N, T, T]."""
    return comix.transport_plan(saliency, masks, eps=bench_transport.EPS)


def assigned(solve: Callable[[Tensor], Tensor], costs: Tensor) -> Tensor:
    """Solve ready matrices [N, S, S]: the source of every target [N, S]."""
    return solve(costs).long().argsort(1)


def compare_plans(
    task: Task, sets: list[TransportProblem], peers: dict[str, list[Callable[[], Tensor]]]
) -> dict[str, float]:
    """Assert permutations and one optimal cost for everybody."""
    costs: dict[str, list[np.ndarray]] = {}
    for turn, problem in enumerate(sets):
        matrix = oracle.transport_matrix(problem.saliency, problem.mask, bench_transport.EPS)
        plans = {name: found.flatten(1) for name, found in task.answers(turn).items()}
        plans |= {name: calls[turn]().cpu() for name, calls in peers.items()}
        for name, found in plans.items():
            every = torch.arange(found.shape[1]).expand_as(found)
            require(torch.equal(found.sort(1).values, every), f"a plan of {name} is no permutation")
            costs.setdefault(name, []).append(oracle.transport_cost(found.numpy(), matrix))
    best = np.concatenate(costs[ON_THE_CPU])
    for name, values in costs.items():
        gap = float(np.abs(np.concatenate(values) - best).max())
        require(gap <= 1e-9 * max(1.0, float(np.abs(best).max())), f"cost of {name} differs by {gap}")
    return {f"mean cost {name}": float(np.mean(values)) for name, values in costs.items()}


def transport_case(options: Options, device: str) -> Case:
    """Plan exactly on 16x16 blocks."""
    count = options.pick(8, 896)
    sets = [problems.transport(count, 16, seed) for seed in problems.seeds(options.seed, 3)]
    task = Task(plan, [(each.saliency, each.mask) for each in sets], device)
    ready = [oracle.transport_matrix(each.saliency, each.mask, bench_transport.EPS) for each in sets]
    costs = moved([torch.from_numpy(matrix) for matrix in ready], device)
    peers: dict[str, list[Callable[[], Tensor]]] = {}
    skipped = task.skipped
    for name, (module, function) in ASSIGNMENT.items():
        if device == "cpu":
            skipped[name] = "for CUDA tensors"
        elif not (absent := harness.missing(module, name)):
            solve = getattr(importlib.import_module(module), function)
            peers[name] = [partial(assigned, solve, each) for each in costs]
        else:
            skipped |= absent
    return Case(
        bench="device",
        name="exact transport, 16x16 blocks",
        work=f"{count} plans",
        contenders=task.contenders() + [Contender(name, calls) for name, calls in peers.items()],
        check=partial(compare_plans, task, sets, peers),
        skipped=skipped,
    )


# --- mixing -------------------------------------------------------------------------------------------


def mix(images: Tensor, source: Tensor, block: Tensor, weight: Tensor) -> Tensor:
    """Mix by a plan's entries."""
    return comix.MixPlan(source, block, weight).mix(images)


def compare_mixed(task: Task) -> dict[str, float]:
    """Assert that images are the CPU's to the last bit."""
    for turn in range(len(task.sets)):
        answers = task.answers(turn)
        for name, mixed in answers.items():
            require(torch.equal(mixed, answers[ON_THE_CPU]), f"mixed images of {name} differ from the CPU's")
    return {"largest difference": 0.0}


def mixing_case(options: Options, device: str) -> Case:
    """Mix large images, both of every pair transported."""
    count, size = options.pick(8, 448), options.pick(32, 224)
    sets = []
    for seed in problems.seeds(options.seed, 2):
        job = bench_mixing.puzzlemix_job(count, size, seed)
        sets.append((job.images, job.plan.source, job.plan.block, job.plan.weight))
    task = Task(mix, sets, device)
    return Case(
        bench="device",
        name="PuzzleMix mixing, 8x8 blocks, transport",
        work=f"{count} images of 3x{size}x{size}, float32",
        contenders=task.contenders(),
        check=partial(compare_mixed, task),
        skipped=task.skipped,
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
