"""PuzzleMix masks of 100 pairs, from images and saliency: comix's exact cut against the published swap.

Both sides pool, build the energy and cut. Quality is the energy of the masks, scored independently: comix
must not be above the yardstick on any pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import comix
import numpy as np
import torch
from torch import Tensor

from benchmarks import harness, official_puzzlemix, oracle, problems
from benchmarks.harness import Case, Contender, Options, require
from benchmarks.problems import MEAN, STD, PuzzleProblem

N_LABELS, BETA, ETA = 3, 1.2, 0.2


def with_comix(problem: PuzzleProblem, grid: int) -> Tensor:
    """Compute the masks of all pairs in one call: [N, g, g]."""
    return comix.puzzlemix_mask(
        problem.images,
        problem.saliency,
        problem.index,
        problem.lam,
        grid=grid,
        n_labels=N_LABELS,
        mean=torch.tensor(MEAN),
        std=torch.tensor(STD),
        method="exact",
    )


def with_official(problem: PuzzleProblem, grid: int) -> Tensor:
    """Compute the masks one pair after the other: [N, g, g]."""
    return official_puzzlemix.puzzlemix_masks(
        problem.images,
        problem.saliency,
        problem.index,
        problem.lam,
        grid=grid,
        mean=torch.tensor(MEAN),
        std=torch.tensor(STD),
        n_labels=N_LABELS,
    )


def energies(problem: PuzzleProblem, grid: int, masks: Tensor) -> np.ndarray:
    """Score masks [N, g, g] in float64: [N]."""
    images, saliency = problem.images.double(), problem.saliency.double()
    pooled = official_puzzlemix.puzzlemix_saliency(saliency, grid)
    mean, std = torch.tensor(MEAN).double(), torch.tensor(STD).double()
    terms = official_puzzlemix.puzzlemix_terms(images, pooled, problem.index, mean=mean, std=std)
    share = np.arange(N_LABELS) / (N_LABELS - 1)
    prior = ETA * official_puzzlemix.label_prior(problem.lam, N_LABELS) / grid**2
    unary = terms.own.numpy()[..., None] * (1 - share) + terms.partner.numpy()[..., None] * share + prior
    labels = (1 - masks.numpy()) * (N_LABELS - 1)
    require(bool(np.allclose(labels, labels.round(), atol=1e-5)), "a mask value lies between two labels")
    require(bool((labels.round() >= 0).all() and (labels.round() < N_LABELS).all()), "a mask is out of range")
    weights = [edge.numpy() + BETA / grid / 16 for edge in (terms.edge_v, terms.edge_h)]
    return oracle.grid_energy(labels.round(), unary, (share[:, None] - share) ** 2, *weights)


def compare(sets: list[PuzzleProblem], grid: int, yardstick: bool) -> dict[str, float]:
    """Assert that no mask of comix costs more than the yardstick's; give the means."""
    mine = np.concatenate([energies(problem, grid, with_comix(problem, grid)) for problem in sets])
    figures = {"mean energy comix": float(mine.mean())}
    if yardstick:
        theirs = np.concatenate([energies(problem, grid, with_official(problem, grid)) for problem in sets])
        worst = float((mine - theirs).max())
        require(worst <= 1e-6, f"the exact mask of a pair costs {worst} more than the yardstick's")
        figures["mean energy official"] = float(theirs.mean())
        figures["share of pairs where official is not optimal"] = float((theirs - mine > 1e-6).mean())
    return figures


def cases(options: Options) -> Iterator[Case]:
    """Yield masks of 100 pairs at three grids."""
    skipped = harness.missing("gco", "official (gco-wrapper)")
    seeds = problems.seeds(options.seed, options.pick(2, 4))
    sets = [problems.puzzlemix(100, 32, seed) for seed in seeds]
    for grid in (4, 8, 16):
        calls = harness.each(partial(with_comix, grid=grid), sets)
        contenders = harness.ours("exact", calls, options)
        if not skipped:
            contenders.append(Contender("official", harness.each(partial(with_official, grid=grid), sets)))
        yield Case(
            bench="puzzlemix",
            name=f"masks, {grid}x{grid} blocks",
            work=f"100 pairs of 3x32x32, {N_LABELS} labels",
            contenders=contenders,
            check=partial(compare, sets, grid, not skipped),
            skipped=skipped,
        )
