"""Mixing images by a mix plan: against a plain copy of the same batch and against the published dense mixing.

The copy (``torch.index_select`` into a batch of the same shape) moves the bytes that mixing cannot avoid: the
closer to it the better. Mixed images must equal the yardstick's within 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import comix
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import harness, official, official_puzzlemix, problems
from benchmarks.harness import Case, Contender, Options, require


@dataclass(frozen=True)
class Job:
    """A batch, the plan for it, and the same plan in the dense form of the published code."""

    images: Tensor
    plan: comix.MixPlan
    dense: Callable[[], Tensor]  # mixes that way
    order: Tensor  # [B] int64, for the copy

    def mix(self) -> Tensor:
        """Mix with comix."""
        return self.plan.mix(self.images)

    def copy(self) -> Tensor:
        """Copy the batch, every image from another place."""
        return torch.index_select(self.images, 0, self.order)


def comixup_job(count: int, size: int, seed: int) -> Job:
    """Set up random Co-Mixup labels in partitions of 20 or 16: a third of the blocks shared by two inputs."""
    images = problems.images(count, size, seed)
    rng = problems.generator(seed + 1)
    n = 16 if count % 20 else 20
    labels = torch.randint(n, (count // n, n, 4, 4, 2), generator=rng)
    whole = torch.rand(labels.shape[:-1], generator=rng) < 0.67
    labels[..., 1] = torch.where(whole, labels[..., 0], labels[..., 1])
    masks = F.one_hot(labels, n).float().mean(-2)  # [P, n, 4, 4, n]
    dense = partial(dense_comixup, masks, images)
    return Job(images, comix.MixPlan.from_labels(labels), dense, torch.arange(count).flip(0))


def dense_comixup(masks: Tensor, images: Tensor) -> Tensor:
    """Mix partitions of n the published way: masks [P, n, g, g, n]."""
    n = masks.shape[1]
    targets = torch.eye(n)
    parts = zip(masks, images.split(n), strict=True)
    return torch.cat([official.comixup_mix(mask, part, targets)[0] for mask, part in parts])


def puzzlemix_job(count: int, size: int, seed: int, grid: int = 8) -> Job:
    """Set up PuzzleMix masks with both images transported by optimal permutations."""
    images = problems.images(count, size, seed)
    index = torch.randperm(count, generator=problems.generator(seed + 1))
    problem = problems.transport(count, grid, seed + 2)
    mask, saliency = problem.mask, problem.saliency
    own = comix.transport_plan(saliency, mask)
    partner = comix.transport_plan(saliency[index], 1 - mask)
    moves = [F.one_hot(plan.flatten(1)).mT.float() for plan in (own, partner)]
    dense = partial(dense_puzzlemix, images, index, mask, *moves)
    return Job(images, comix.MixPlan.from_mask(mask, index, own, partner), dense, index)


def dense_puzzlemix(images: Tensor, index: Tensor, mask: Tensor, own: Tensor, partner: Tensor) -> Tensor:
    """Move by dense plans [B, T*T, T*T] and blend under mask [B, T, T], the published way."""
    moved = official_puzzlemix.transport_images(images, own)
    moved_partner = official_puzzlemix.transport_images(images[index], partner)
    return official_puzzlemix.puzzlemix_mix(moved, moved_partner, mask)[0]


def compare(jobs: list[Job]) -> dict[str, float]:
    """Assert that both ways give the same images."""
    worst = max(float((job.mix() - job.dense()).abs().max()) for job in jobs)
    require(worst <= 1e-5, f"mixed images differ from the yardstick's by {worst}")
    return {"largest difference": worst}


def cases(options: Options) -> Iterator[Case]:
    """Yield CIFAR-sized batches, and ImageNet-sized ones in the full run."""
    sizes = ((100, 32),) if options.quick else ((100, 32), (64, 224))
    kinds = (("Co-Mixup, 4x4 blocks", comixup_job), ("PuzzleMix, 8x8 blocks, transport", puzzlemix_job))
    for count, size in sizes:
        seeds = problems.seeds(options.seed, 3 if size < 100 else 1)
        for name, job in kinds:
            jobs = [job(count, size, seed) for seed in seeds]
            yield Case(
                bench="mixing",
                name=name,
                work=f"{count} images of 3x{size}x{size}",
                contenders=[
                    *harness.ours("mix", [each.mix for each in jobs], options),
                    Contender("torch copy", [each.copy for each in jobs]),
                    Contender("official", [each.dense for each in jobs]),
                ],
                check=partial(compare, jobs),
                min_rounds=3,
            )
