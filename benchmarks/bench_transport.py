"""Transport of 100 images: exact permutations against assignment solvers, the contest against its original.

lap and scipy get ready float64 cost matrices, comix builds its own from saliency and mask: the comparison
favours the peers. All three must find the same optimal cost. The published contest answers an easier question
(its plan is often no permutation), so it stands next to comix's "greedy", which must agree with it on every
visible target. The last case is the whole step: plan both images of every pair, move and mix them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import comix
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import harness, official_puzzlemix, oracle, problems
from benchmarks.harness import Case, Contender, Options, require
from benchmarks.problems import TransportProblem

EPS = 0.8


def with_comix(problem: TransportProblem, method: str) -> Tensor:
    """Plan all images in one call: source block of every target [N, T, T]."""
    return comix.transport_plan(problem.saliency, problem.mask, eps=EPS, method=method)


def with_lap(matrices: np.ndarray) -> np.ndarray:
    """Solve one ready matrix after the other with lap: [N, T*T] sources."""
    import lap

    return np.stack([lap.lapjv(matrix)[2] for matrix in matrices])


def with_scipy(matrices: np.ndarray) -> np.ndarray:
    """Solve one ready matrix after the other with scipy: [N, T*T] sources."""
    from scipy.optimize import linear_sum_assignment

    return np.stack([np.argsort(linear_sum_assignment(matrix)[1]) for matrix in matrices])


def with_official(problem: TransportProblem) -> Tensor:
    """Run the published contest: 0/1 plans [N, T*T, T*T]."""
    return official_puzzlemix.transport_contest(problem.saliency, problem.mask, eps=EPS)


def compare_exact(
    sets: list[TransportProblem], matrices: list[np.ndarray], peers: dict[str, object]
) -> dict[str, float]:
    """Assert permutations and one optimal cost for everybody."""
    costs: dict[str, list[np.ndarray]] = {}
    for problem, matrix in zip(sets, matrices, strict=True):
        plan = with_comix(problem, "exact").flatten(1).numpy()
        every = np.broadcast_to(np.arange(plan.shape[1]), plan.shape)
        require(bool((np.sort(plan, 1) == every).all()), "a plan is not a permutation")
        mine = oracle.transport_cost(plan, matrix)
        costs.setdefault("comix", []).append(mine)
        for name, solve in peers.items():
            theirs = oracle.transport_cost(solve(matrix), matrix)  # type: ignore[operator]
            costs.setdefault(name, []).append(theirs)
            gap = float(np.abs(mine - theirs).max())
            require(
                gap <= 1e-9 * max(1.0, float(np.abs(theirs).max())), f"cost differs from {name}'s by {gap}"
            )
    return {f"mean cost {name}": float(np.mean(values)) for name, values in costs.items()}


def compare_greedy(sets: list[TransportProblem]) -> dict[str, float]:
    """Assert that comix's contest and the published one fill the visible targets alike."""
    incomplete = []
    for problem in sets:
        plan = with_official(problem)
        theirs = torch.where(plan.sum(1) > 0, plan.argmax(1), -1)
        mine = with_comix(problem, "greedy").flatten(1)
        shown = (problem.mask.flatten(1) > 0) & (theirs >= 0)
        different = int((mine != theirs)[shown].sum())
        require(different == 0, f"{different} visible targets differ from the published contest")
        incomplete.append((theirs < 0).any(1).float().mean().item())
    return {"share of official plans that are no permutation": float(np.mean(incomplete))}


@dataclass(frozen=True)
class Pairs:
    """Images [N, 3, Y, X], the transport problem of their masks, and partners [N]."""

    images: Tensor
    problem: TransportProblem
    index: Tensor

    @cached_property
    def sides(self) -> tuple[TransportProblem, TransportProblem]:
        """The two problems of every pair: the own image where the mask shows it, the partner elsewhere."""
        saliency, mask = self.problem.saliency, self.problem.mask
        return self.problem, TransportProblem(saliency[self.index], 1 - mask)

    def moved_by_comix(self) -> Tensor:
        """Plan both sides exactly, move and mix: [N, 3, Y, X]."""
        plans = (with_comix(side, "exact") for side in self.sides)
        return comix.MixPlan.from_mask(self.problem.mask, self.index, *plans).mix(self.images)

    def moved_by_contest(self) -> Tensor:
        """Plan both sides by the published contest, move and mix the published way: [N, 3, Y, X]."""
        return self.moved_by_products(*(with_official(side) for side in self.sides))

    def moved_by_products(self, own: Tensor, partner: Tensor) -> Tensor:
        """Move by 0/1 plans [N, T*T, T*T] and mix, the published way: [N, 3, Y, X]."""
        moved = official_puzzlemix.transport_images(self.images, own)
        moved_partner = official_puzzlemix.transport_images(self.images[self.index], partner)
        return official_puzzlemix.puzzlemix_mix(moved, moved_partner, self.problem.mask)[0]


def completed(plan: Tensor) -> np.ndarray:
    """Fill the holes of 0/1 plans [N, T*T, T*T], with the own block where it is free: sources [N, T*T]."""
    sources = torch.where(plan.sum(1) > 0, plan.argmax(1), -1).numpy()
    for source in sources:
        free = np.setdiff1d(np.arange(len(source)), source)
        stays = free[source[free] < 0]
        source[stays] = stays
        source[source < 0] = np.setdiff1d(free, stays)
    return sources


def compare_moved(sets: list[Pairs]) -> dict[str, float]:
    """Assert that comix's plans cost no more than the contest's, and that comix moves by its plans."""
    costs: dict[str, list[np.ndarray]] = {"comix": [], "official": []}
    for pairs in sets:
        plans = [with_comix(side, "exact").flatten(1) for side in pairs.sides]
        for plan, side in zip(plans, pairs.sides, strict=True):
            matrix = oracle.transport_matrix(side.saliency, side.mask, EPS)
            mine = oracle.transport_cost(plan.numpy(), matrix)
            theirs = oracle.transport_cost(completed(with_official(side)), matrix)
            require(bool((mine <= theirs + 1e-9).all()), "a plan costs more than the published contest's")
            costs["comix"].append(mine)
            costs["official"].append(theirs)
        expected = pairs.moved_by_products(*(F.one_hot(plan).mT.float() for plan in plans))
        gap = float((pairs.moved_by_comix() - expected).abs().max())
        require(gap <= 1e-5, f"mixed images differ from the yardstick's by {gap}")
    return {f"mean cost {name}": float(np.mean(values)) for name, values in costs.items()}


def moved_case(options: Options, count: int = 100, size: int = 64, grid: int = 16) -> Case:
    """Plan, move and mix pairs of images."""
    sets = [
        Pairs(
            problems.images(count, size, seed),
            problems.transport(count, grid, seed + 2),
            torch.randperm(count, generator=problems.generator(seed + 1)),
        )
        for seed in problems.seeds(options.seed, 2)
    ]
    return Case(
        bench="transport",
        name=f"plans and moved images, {grid}x{grid} blocks",
        work=f"{count} pairs of 3x{size}x{size}",
        contenders=[
            *harness.ours("exact", [pairs.moved_by_comix for pairs in sets], options),
            Contender("official", [pairs.moved_by_contest for pairs in sets]),
        ],
        check=partial(compare_moved, sets),
        min_rounds=3,
    )


def cases(options: Options) -> Iterator[Case]:
    """Yield exact plans and contests at three grids."""
    skipped = harness.missing("lap") | harness.missing("scipy")
    peers = {name: solve for name, solve in (("lap", with_lap), ("scipy", with_scipy)) if name not in skipped}
    seeds = problems.seeds(options.seed, options.pick(2, 4))
    for grid in (4, 8, 16):
        sets = [problems.transport(100, grid, seed) for seed in seeds]
        matrices = [oracle.transport_matrix(item.saliency, item.mask, EPS) for item in sets]
        exact = harness.each(partial(with_comix, method="exact"), sets)
        yield Case(
            bench="transport",
            name=f"exact, {grid}x{grid} blocks",
            work="100 plans",
            contenders=harness.ours("exact", exact, options)
            + [Contender(name, harness.each(solve, matrices)) for name, solve in peers.items()],
            check=partial(compare_exact, sets, matrices, peers),
            skipped=skipped,
        )
        if grid == 16 and options.quick:
            continue  # the published contest takes a second there
        greedy = harness.each(partial(with_comix, method="greedy"), sets)
        yield Case(
            bench="transport",
            name=f"contest, {grid}x{grid} blocks",
            work="100 plans",
            contenders=[
                *harness.ours("greedy", greedy, options),
                *harness.ours("exact", exact, options, also_single=False),
                Contender("official", harness.each(with_official, sets)),
            ],
            check=partial(compare_greedy, sets),
            min_rounds=4,
        )
    if not options.quick:  # the published way takes seconds
        yield moved_case(options)
