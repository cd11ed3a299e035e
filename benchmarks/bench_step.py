"""A whole training step of a small network, split into saliency, solving, mixing and training.

Every way of mixing trains its own copy of the network on the same batches with the same random draws, so what
differs is the mixing alone. Saliency is a clean pass through the network; without mixing and with CutMix it
is left out. The network has seen some batches before: with the diffuse saliency of an untrained one, every
output of Co-Mixup is one whole input, and there is nothing to solve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from itertools import pairwise
from statistics import median
from time import perf_counter

import comix
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import call_overhead, harness, official, official_puzzlemix, problems
from benchmarks.harness import Case, Contender, Options, Timing, require
from benchmarks.problems import MEAN, STD

BATCH, SIZE, CLASSES, GRID, PART = 100, 32, 10, 4, 20
COLOURS = {"mean": torch.tensor(MEAN), "std": torch.tensor(STD)}

Plan = Callable[
    [Tensor, Tensor], tuple[Tensor, Tensor]
]  # mixes: images, soft targets -> images, soft targets
Solve = Callable[["Batch", Tensor], Plan]


class Batch:
    """Images, classes, and every random draw of the step."""

    def __init__(self, seed: int) -> None:
        rng = problems.generator(seed)
        self.images, self.classes = problems.labelled_images(BATCH, SIZE, CLASSES, seed + 1)
        self.index = torch.randperm(BATCH, generator=rng)
        self.lam = float(0.3 + 0.4 * torch.rand((), generator=rng))
        self.box = torch.randint(0, SIZE // 2, (2,), generator=rng).tolist()
        gamma = torch._standard_gamma(torch.full((BATCH // PART, PART), 2.0), generator=rng)
        self.prior = -0.05 / GRID**2 * (gamma / gamma.sum(1, keepdim=True) + 1e-8).log()
        self.init = torch.randint(PART, (BATCH // PART, PART, GRID, GRID), generator=rng)


def network(steps: int, seed: int) -> nn.Module:
    """Build a small convolutional network and train it for some steps on batches of its own."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for batch_seed in problems.seeds(seed + 500, steps):
        images, classes = problems.labelled_images(BATCH, SIZE, CLASSES, batch_seed)
        optimiser.zero_grad()
        F.cross_entropy(model(images), classes).backward()
        optimiser.step()
    return model


def torch_saliency(model: nn.Module, batch: Batch) -> Tensor:
    """Compute the gradient saliency as the published training scripts do."""
    model.eval()
    images = batch.images.clone().requires_grad_()
    F.cross_entropy(model(images), batch.classes).backward()
    model.zero_grad()
    model.train()
    assert images.grad is not None
    return images.grad.square().mean(1).sqrt()


def comix_saliency(model: nn.Module, batch: Batch) -> Tensor:
    """Compute the gradient saliency with comix."""
    return comix.input_saliency(model, batch.images, batch.classes)


def no_mixing(batch: Batch, saliency: Tensor) -> Plan:
    """Leave the batch as it is."""
    return lambda images, targets: (images, targets)


def cutmix(batch: Batch, saliency: Tensor) -> Plan:
    """Paste one box of the partner, the same for the whole batch."""

    def mix(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        top, left = batch.box
        side = int(SIZE * (1 - batch.lam) ** 0.5)
        rows, columns = slice(top, top + side), slice(left, left + side)
        mixed = images.clone()
        mixed[:, :, rows, columns] = images[batch.index, :, rows, columns]
        share = mixed[0, 0, rows, columns].numel() / SIZE**2
        return mixed, (1 - share) * targets + share * targets[batch.index]

    return mix


def comix_puzzlemix(batch: Batch, saliency: Tensor) -> Plan:
    """Solve PuzzleMix with comix: exact masks, exact transport."""
    index = batch.index
    mask = comix.puzzlemix_mask(batch.images, saliency, index, batch.lam, grid=GRID, **COLOURS)
    pooled = comix.pool_saliency(saliency, GRID)
    own, partner = comix.transport_plan(pooled, mask), comix.transport_plan(pooled[index], 1 - mask)
    plan = comix.MixPlan.from_mask(mask, index, own, partner)
    return lambda images, targets: (plan.mix(images), plan.mix_targets(targets))


def official_puzzlemix_plan(batch: Batch, saliency: Tensor) -> Plan:
    """Solve PuzzleMix the published way."""
    index = batch.index
    mask = official_puzzlemix.puzzlemix_masks(batch.images, saliency, index, batch.lam, grid=GRID, **COLOURS)
    pooled = official_puzzlemix.puzzlemix_saliency(saliency, GRID)
    own = official_puzzlemix.transport_contest(pooled, mask)
    partner = official_puzzlemix.transport_contest(pooled[index], 1 - mask)

    def mix(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        moved = official_puzzlemix.transport_images(images, own)
        moved_partner = official_puzzlemix.transport_images(images[index], partner)
        mixed, ratio = official_puzzlemix.puzzlemix_mix(moved, moved_partner, mask)
        return mixed, ratio[:, None] * targets + (1 - ratio[:, None]) * targets[index]

    return mix


def partition_costs(batch: Batch, pooled: Tensor, saliency: Tensor) -> tuple[Tensor, Tensor]:
    """Make cost [P, n, g, g] with the prior and compatibility [P, n, n]: the same work on both sides."""
    cost = batch.prior[..., None, None] - pooled.view(-1, PART, GRID, GRID)
    return cost, problems.compatibility(saliency.view(-1, PART, SIZE, SIZE))


def comix_comixup(batch: Batch, saliency: Tensor) -> Plan:
    """Solve Co-Mixup with comix."""
    cost, compatibility = partition_costs(batch, comix.pool_saliency(saliency, GRID), saliency)
    labels = comix.comixup_labels(cost, compatibility=compatibility, init=batch.init)
    plan = comix.MixPlan.from_labels(labels)
    return lambda images, targets: (plan.mix(images), plan.mix_targets(targets))


def official_comixup(batch: Batch, saliency: Tensor) -> Plan:
    """Solve Co-Mixup the published way."""
    pooled = official_puzzlemix.puzzlemix_saliency(saliency, GRID)
    parts = zip(*partition_costs(batch, pooled, saliency), batch.init, strict=True)
    masks = [official.comixup_masks(*part) for part in parts]

    def mix(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        pieces = zip(masks, images.split(PART), targets.split(PART), strict=True)
        mixed, soft = zip(*(official.comixup_mix(*piece) for piece in pieces), strict=True)
        return torch.cat(mixed), torch.cat(soft)

    return mix


class Trainer:
    """One network with its optimiser and its way of mixing."""

    def __init__(
        self, saliency: Callable[[nn.Module, Batch], Tensor] | None, solve: Solve, model: nn.Module
    ) -> None:
        self.model = deepcopy(model)
        self.saliency = saliency
        self.solve = solve
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9)
        self.loss = float("nan")

    def step(self, batch: Batch) -> dict[str, float]:
        """Do one training step: seconds of each stage."""
        clock = [perf_counter()]
        saliency = self.saliency(self.model, batch) if self.saliency else torch.empty(0)
        clock.append(perf_counter())
        mix = self.solve(batch, saliency)
        clock.append(perf_counter())
        images, targets = mix(batch.images, F.one_hot(batch.classes, CLASSES).float())
        clock.append(perf_counter())
        loss = F.cross_entropy(self.model(images), targets)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.loss = loss.item()
        clock.append(perf_counter())
        self.targets = targets
        spent = [after - before for before, after in pairwise(clock)]
        return dict(zip(("saliency", "solve", "mix", "train"), spent, strict=True))


def compare(trainers: dict[str, Trainer], batches: list[Batch]) -> dict[str, float]:
    """Assert that every step gives a finite loss and soft targets that sum to 1."""
    for name, trainer in trainers.items():
        for batch in batches:
            trainer.step(batch)
            sums = trainer.targets.sum(1)
            require(bool(torch.isfinite(torch.tensor(trainer.loss))), f"{name}: the loss is {trainer.loss}")
            require(bool(((sums - 1).abs() < 1e-4).all()), f"{name}: targets do not sum to 1")
    figures = {f"loss {name}": trainer.loss for name, trainer in trainers.items()}
    mixed = {name: (trainer.targets.amax(1) < 1).float().mean().item() for name, trainer in trainers.items()}
    return figures | {f"share of soft targets {name}": share for name, share in mixed.items() if share}


def price(timings: Sequence[Timing]) -> dict[str, float]:
    """Report what each way of mixing costs the user: its step over the one without mixing, and its stages."""
    plain = next(timing for timing in timings if timing.name == "no mixing")
    figures = {}
    for timing in timings:
        if timing is plain:
            continue
        ratios = [mine / without for mine, without in zip(timing.samples, plain.samples, strict=True)]
        figures[f"{timing.name} / no mixing"] = median(ratios)
        stages = {stage: 1e3 * median(timing.stages[stage]) for stage in ("saliency", "solve", "mix")}
        figures[f"ms of solve and mix, {timing.name}"] = stages["solve"] + stages["mix"]
        if timing.name != "CutMix":
            figures[f"ms of saliency, {timing.name}"] = stages["saliency"]
    return figures


def cases(options: Options) -> Iterator[Case]:
    """Yield a training step with either method, then what their calls cost beyond solving."""
    batches = [Batch(seed) for seed in problems.seeds(options.seed, options.pick(2, 4))]
    model = network(options.pick(20, 40), options.seed)
    skipped = harness.missing("gco", "official (gco-wrapper)")
    ways = {
        "PuzzleMix": (comix_puzzlemix, official_puzzlemix_plan),
        "Co-Mixup": (comix_comixup, official_comixup),
    }
    for name, (mine, theirs) in ways.items():
        trainers = {f"comix {name}": Trainer(comix_saliency, mine, model)}
        if not skipped:
            trainers[f"official {name}"] = Trainer(torch_saliency, theirs, model)
        trainers |= {"CutMix": Trainer(None, cutmix, model), "no mixing": Trainer(None, no_mixing, model)}
        yield Case(
            bench="step",
            name=f"training step with {name}, {GRID}x{GRID} blocks",
            work=f"{BATCH} images of 3x{SIZE}x{SIZE}",
            contenders=[
                Contender(each, harness.each(trainer.step, batches)) for each, trainer in trainers.items()
            ],
            check=partial(compare, trainers, batches),
            skipped=skipped,
            staged=True,
            figures=price,
        )
    yield from call_overhead.cases(options)
