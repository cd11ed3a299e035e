"""The cuts of PuzzleMix alone: 100 ready energies, comix's exact cut against the published way's loop.

Nothing but cutting is timed. comix gets the energies as ``puzzlemix_energy`` leaves them; the published way
gets its own integers ready made (its scaling of 1000 per block, truncated) and calls gco's swap for one pair
after the other. Quality is the energy of the labels on the unscaled costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import comix
import numpy as np
import torch
from torch import Tensor

from benchmarks import harness, oracle, problems
from benchmarks.harness import Case, Contender, Options, require
from benchmarks.problems import MEAN, STD

PAIRS, N_LABELS = 100, 3


@dataclass(frozen=True)
class Energies:
    """The energies of a batch of pairs, and the same as integers, as the published code hands them to gco."""

    unary: Tensor  # [N, g, g, L]
    pairwise: Tensor  # [L, L]
    weight_v: Tensor  # [N, g-1, g]
    weight_h: Tensor  # [N, g, g-1]

    def integers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Scale and truncate: int32, but for the float32 label distance."""
        scale = 1000 * self.unary.shape[1] ** 2
        unary, v, h = (
            (scale * array.numpy()).astype(np.int32) for array in (self.unary, self.weight_v, self.weight_h)
        )
        return unary, self.pairwise.numpy().astype(np.float32), v, h


def draw(grid: int, seed: int) -> Energies:
    """Draw 100 pairs of 3x32x32 and build their energies."""
    batch = problems.puzzlemix(PAIRS, 32, seed)
    colours = {"mean": torch.tensor(MEAN), "std": torch.tensor(STD)}
    energy = comix.puzzlemix_energy(
        batch.images, batch.saliency, batch.index, batch.lam, grid=grid, n_labels=N_LABELS, **colours
    )
    return Energies(energy.unary, energy.pairwise, energy.weight_v, energy.weight_h)


def with_comix(energies: Energies) -> Tensor:
    """Cut all pairs in one call: labels [N, g, g]."""
    return comix.grid_cut(
        energies.unary, energies.pairwise, energies.weight_v, energies.weight_h, method="exact"
    ).labels


def with_official(integers: tuple[np.ndarray, ...]) -> np.ndarray:
    """Cut one pair after the other: labels [N, g * g]."""
    import gco

    unaries, table, *edges = integers
    return np.stack(
        [
            gco.cut_grid_graph(unary, table, v, h, algorithm="swap")
            for unary, v, h in zip(unaries, *edges, strict=True)
        ]
    )


def score(energies: Energies, labels: np.ndarray) -> np.ndarray:
    """Score labels [N, g, g] on the unscaled energies: [N]."""
    arrays = (energies.unary, energies.pairwise, energies.weight_v, energies.weight_h)
    return oracle.grid_energy(labels, *(array.numpy() for array in arrays))


def compare(sets: list[Energies], yardstick: bool) -> dict[str, float]:
    """Assert that no cut of comix costs more than the yardstick's; give the means."""
    mine, theirs = [], []
    for energies in sets:
        labels = with_comix(energies).numpy()
        require(bool((labels >= 0).all() and (labels < N_LABELS).all()), "a label is out of range")
        mine.append(score(energies, labels))
        if yardstick:
            theirs.append(score(energies, with_official(energies.integers()).reshape(labels.shape)))
            worst = float((mine[-1] - theirs[-1]).max())
            require(worst <= 1e-9, f"the exact cut of a pair costs {worst} more than the yardstick's")
    figures = {"mean energy comix": float(np.mean(mine))}
    if yardstick:
        gap = np.concatenate(theirs) - np.concatenate(mine)
        figures["mean energy official"] = float(np.mean(theirs))
        figures["share of pairs where official is not optimal"] = float((gap > 1e-6).mean())
    return figures


def cases(options: Options) -> Iterator[Case]:
    """Yield the cuts at three grids."""
    skipped = harness.missing("gco", "official cuts (gco-wrapper)")
    seeds = problems.seeds(options.seed, options.pick(2, 4))
    for grid in (4, 8, 16):
        sets = [draw(grid, seed) for seed in seeds]
        contenders = harness.ours("exact", harness.each(with_comix, sets), options)
        if not skipped:
            ready = [energies.integers() for energies in sets]
            contenders.append(Contender("official cuts", harness.each(with_official, ready)))
        yield Case(
            bench="gridcut",
            name=f"PuzzleMix cuts alone, {grid}x{grid} blocks",
            work=f"{PAIRS} ready energies, {N_LABELS} labels",
            contenders=contenders,
            check=partial(compare, sets, not skipped),
            skipped=skipped,
        )
