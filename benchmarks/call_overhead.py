"""What an augmentation's call costs beyond the native code: Python, checks, tensors.

The whole call ``aug(images, targets, saliency=...)`` is timed with a clock around every function of the
compiled module: what is not spent inside those is the overhead. Both parts come from the same call, so no
two runs are subtracted from each other; what the clock itself takes (well under a microsecond per function)
counts as overhead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from time import perf_counter
from types import SimpleNamespace

import comix
import torch
from comix import _native

from benchmarks import harness, problems
from benchmarks.harness import Case, Contender, Options, Timing, require
from benchmarks.problems import MEAN, STD

BATCH, SIZE, CLASSES, GRID = 100, 32, 100, 4


class Call:
    """One augmentation with one batch; every call draws the same random numbers."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.seed = seed
        self.images = problems.images(BATCH, SIZE, seed)
        self.saliency = problems.saliency(BATCH, SIZE, seed + 1)
        self.targets = torch.randint(CLASSES, (BATCH,), generator=problems.generator(seed))
        self.rng = problems.generator(seed)
        self.mixer = mixer(name, self.rng)

    def mix(self) -> comix.MixResult:
        """Mix without any clock."""
        self.rng.manual_seed(self.seed)
        return self.mixer(self.images, self.targets, saliency=self.saliency)

    def clocked(self) -> tuple[comix.MixResult, dict[str, float]]:
        """Mix with the clocks: the result, and the seconds inside and beyond the native code."""
        self.rng.manual_seed(self.seed)
        with native_clock() as spent:
            start = perf_counter()
            result = self.mixer(self.images, self.targets, saliency=self.saliency)
            whole = perf_counter() - start
        native = sum(spent)
        return result, {"native": native, "beyond": whole - native}

    def stages(self) -> dict[str, float]:
        """Give the seconds of the two parts."""
        return self.clocked()[1]


def mixer(name: str, rng: torch.Generator) -> comix.PuzzleMix | comix.CoMixup:
    """Make the augmentation of this name."""
    if name == "CoMixup":
        return comix.CoMixup(num_classes=CLASSES, grid=GRID, generator=rng)
    return comix.PuzzleMix(num_classes=CLASSES, grid_choices=(GRID,), mean=MEAN, std=STD, generator=rng)


@contextmanager
def native_clock() -> Iterator[list[float]]:
    """Replace the compiled module by one that clocks its functions; gives the list of seconds."""
    spent: list[float] = []

    def clock(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **keywords: object) -> object:
            start = perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                spent.append(perf_counter() - start)

        return call

    core = _native.core
    functions = {name: getattr(core, name) for name in dir(core) if not name.startswith("_")}
    _native.core = SimpleNamespace(
        **{name: clock(value) if callable(value) else value for name, value in functions.items()}
    )
    try:
        yield spent
    finally:
        _native.core = core


def compare(calls: Sequence[Call]) -> dict[str, float]:
    """Assert that the clocks change no result, and that they have seen native code run."""
    for call in calls:
        clocked, stages = call.clocked()
        for mine, plain in zip(clocked, call.mix(), strict=True):
            require(torch.equal(mine, plain), f"{call.name}: the clocks change the result")
        require(stages["native"] > 0, f"{call.name}: no native function was seen")
    return {}


def overhead(timings: Sequence[Timing]) -> dict[str, float]:
    """Report the milliseconds beyond the native code."""
    return {
        f"ms beyond native code, {timing.name}": 1e3 * median(timing.stages["beyond"]) for timing in timings
    }


def cases(options: Options) -> Iterator[Case]:
    """Yield one case per augmentation, with all threads and with one."""
    for name in ("PuzzleMix", "CoMixup"):
        calls = [Call(name, seed) for seed in problems.seeds(options.seed, options.pick(2, 4))]
        stages = [call.stages for call in calls]
        contenders: list[Contender] = harness.ours(name, stages, options)
        yield Case(
            bench="step",
            name=f"call overhead, {name}",
            work=f"{BATCH} images of 3x{SIZE}x{SIZE}, {GRID}x{GRID} blocks, saliency given",
            contenders=contenders,
            check=partial(compare, calls),
            staged=True,
            budget_s=2.0,
            figures=overhead,
            note="beyond: Python, checks and tensors, all that the call does outside the compiled module",
        )
