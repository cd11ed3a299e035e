"""Alternate timing of comix and its peers on the same inputs in the same process.

A case is one job that several contenders can do. Its quality check runs first; only when it passes does time
count. Then rounds follow: every round takes one input set and runs every contender on it once, starting with
another contender each time, so that a slow spell of the machine meets all of them. A contender with short
calls runs untimed right before each of its samples, so that none finds the caches of another, or pays for
cores that fell asleep while another used one of them. Ratios are taken inside a round and their median is
reported, never the quotient of two bare times.
"""

from __future__ import annotations

import gc
import importlib.util
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from time import perf_counter

import torch

TARGET_SAMPLE_S = 0.004  # a sample shorter than this is repeated inside the clock
WARMS_ITSELF_S = 0.05  # before each sample the same calls run untimed, unless they take longer than this
QUICK_BUDGET_S = 0.4  # for the rounds of one case under --quick
SLOWEST_PEAK_S = 2.0  # the memory of calls slower than this is not measured

THREADS = "speed-up of all threads over one"  # a figure: below 1 they lost
CEILING = "speed-up of callers that share nothing over one thread"  # what the machine lets threads gain
Clock = Callable[[Callable[[], object], int], "tuple[float, object]"]  # see wall_clock
Peak = Callable[[Callable[[], object]], "int | None"]  # bytes that a call needs beyond its inputs


class QualityError(AssertionError):
    """The quality check of a case failed, so its times would mean nothing."""


def require(condition: bool, message: str) -> None:
    """Raise QualityError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise QualityError(message)


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    quick: bool = False
    threads: int = 2
    seed: int = 0
    budget_s: float = 3.0  # time to spend on the rounds of one case
    device: str = "cpu"

    def pick(self, quick: int, full: int) -> int:
        """Choose a size: the small one under --quick."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Contender:
    """One way of doing the job: a call per input set. Names of our own contenders start with "comix"."""

    name: str
    calls: Sequence[Callable[[], object]]  # a staged call returns {stage: seconds}
    single: bool = False  # the first contender once more, with one thread

    @property
    def ours(self) -> bool:
        """Whether this is comix itself."""
        return self.name.startswith("comix")


def wall_clock(call: Callable[[], object], inner: int) -> tuple[float, object]:
    """Time ``inner`` calls by the wall clock: seconds per call, and what the last one returned."""
    result: object = None
    start = perf_counter()
    for _ in range(inner):
        result = call()
    return (perf_counter() - start) / inner, result


@dataclass
class Case:
    """One job, the check of what the contenders deliver, and the contenders; the first one is the base."""

    bench: str
    name: str
    work: str  # what one call does, in words
    contenders: list[Contender]
    check: Callable[[], dict[str, float]]  # raises QualityError, or gives the quality figures to report
    skipped: dict[str, str] = field(default_factory=dict)  # peers left out -> why
    staged: bool = False
    min_rounds: int = 5
    budget_s: float | None = None  # time for the rounds; None: as the options say
    note: str = ""  # what a reader of the numbers must know
    sweep: dict[str, object] = field(default_factory=dict)  # domain, axis, value: one point of a sweep
    figures: Callable[[Sequence[Timing]], dict[str, float]] = lambda timings: {}  # worth more than the times
    clock: Clock = wall_clock
    warm_all: bool = False  # every call of every contender runs before the clock starts, not two of them


@dataclass
class Timing:
    """The samples of one contender, in seconds per call, and their ratios to others in the same round."""

    name: str
    ours: bool
    inner: int
    warm: int = 0  # untimed calls before each sample
    samples: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)  # to the base
    single_ratios: list[float] = field(default_factory=list)  # to the base on one thread, where that runs
    stages: dict[str, list[float]] = field(default_factory=dict)
    peak_bytes: int | None = None

    def record(self) -> dict[str, object]:
        """Summarise as the JSON record holds it."""
        q1, median, q3 = quartiles(self.samples)
        r1, ratio, r3 = quartiles(self.ratios)
        s1, single, s3 = quartiles(self.single_ratios) if self.single_ratios else (None, None, None)
        return {
            "name": self.name,
            "ours": self.ours,
            "inner": self.inner,
            "median_s": median,
            "q1_s": q1,
            "q3_s": q3,
            "times_base": ratio,
            "times_base_q1": r1,
            "times_base_q3": r3,
            "times_single": single,
            "times_single_q1": s1,
            "times_single_q3": s3,
            "peak_bytes": self.peak_bytes,
            "stages_s": {stage: statistics.median(values) for stage, values in self.stages.items()},
        }


def each(function: Callable[..., object], inputs: Sequence[object]) -> list[Callable[[], object]]:
    """Bind ``function`` to every input set."""
    return [partial(function, item) for item in inputs]


def narrow(call: Callable[[], object]) -> object:
    """Run ``call`` with one torch thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return call()
    finally:
        torch.set_num_threads(threads)


def on_one_thread(calls: Sequence[Callable[[], object]]) -> list[Callable[[], object]]:
    """Make every call run with one torch thread, the peers' side of the comparison."""
    return each(narrow, calls)


def ours(
    name: str, calls: Sequence[Callable[[], object]], options: Options, *, also_single: bool = True
) -> list[Contender]:
    """List comix with all threads and, when there are several, once more with a single one."""
    listed = [Contender(f"comix {name}", calls)]
    if options.threads > 1 and also_single:
        listed.append(Contender(f"comix {name}, 1 thread", on_one_thread(calls), single=True))
    return listed


def missing(module: str, package: str | None = None) -> dict[str, str]:
    """Return a note for a peer that cannot be imported here, empty when it can."""
    if importlib.util.find_spec(module) is not None:
        return {}
    return {package or module: "not installed"}


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the first quartile, the median and the third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, middle, third


def run_case(case: Case, options: Options, peak: Peak | None = None) -> dict[str, object]:
    """Check the quality of a case, then time it, then ask ``peak`` what a call needs: its record."""
    record: dict[str, object] = {
        "bench": case.bench,
        "case": case.name,
        "work": case.work,
        "status": "ok",
        "note": case.note,
        "sweep": case.sweep,
        "quality": {},
        "figures": {},
        "input_sets": len(case.contenders[0].calls),
        "rounds": 0,
        "contenders": [],
        "skipped": case.skipped,
    }
    try:
        record["quality"] = case.check()
    except QualityError as error:
        record |= {"status": "quality failed", "note": str(error)}
        return record
    timings = _time_rounds(case, options)
    for contender, timing in zip(case.contenders, timings, strict=True):
        if peak is not None and statistics.median(timing.samples) < SLOWEST_PEAK_S:
            timing.peak_bytes = peak(contender.calls[0])
    record["rounds"] = len(timings[0].samples)
    record["figures"] = thread_figures(case, timings) | case.figures(timings)
    record["contenders"] = [timing.record() for timing in timings]
    return record


def thread_figures(case: Case, timings: Sequence[Timing]) -> dict[str, float]:
    """Return what more threads gained the base over one thread."""
    found = zip(case.contenders, timings, strict=True)
    return next(
        ({THREADS: statistics.median(timing.ratios)} for contender, timing in found if contender.single),
        {},
    )


def _warm_up(case: Case) -> tuple[list[Timing], float]:
    """Call everybody, size the samples: empty timings, and the seconds that a round will take."""
    timings = []
    cycle = 0.0
    for contender in case.contenders:
        for call in contender.calls if case.warm_all else ():
            call()
        first = case.clock(contender.calls[0], 1)[0]  # the warm-up, and the guess of how long a call takes
        once = first if first > 1.0 else case.clock(contender.calls[-1], 1)[0]
        inner = 1 if case.staged else max(1, min(10_000, ceil(TARGET_SAMPLE_S / max(once, 1e-7))))
        warm = inner if once < WARMS_ITSELF_S else 0
        cycle += once * (warm + inner)
        timings.append(Timing(contender.name, contender.ours, inner, warm))
    return timings, cycle


def _time_rounds(case: Case, options: Options) -> list[Timing]:
    """Warm up, size the samples, and run the rounds."""
    timings, cycle = _warm_up(case)
    budget = case.budget_s or options.budget_s
    if options.quick:
        budget = min(budget, QUICK_BUDGET_S)
    least = min(case.min_rounds, 3) if options.quick else case.min_rounds
    rounds = max(least, min(options.pick(15, 60), int(budget / cycle)))
    single = next((k for k, contender in enumerate(case.contenders) if contender.single), None)

    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            for k in range(len(timings)):
                place = (k + turn) % len(timings)
                calls = case.contenders[place].calls
                call = calls[turn % len(calls)]
                for _ in range(timings[place].warm):
                    call()
                seconds, result = case.clock(call, timings[place].inner)
                timings[place].samples.append(seconds)
                if case.staged and isinstance(result, dict):
                    for stage, spent in result.items():
                        timings[place].stages.setdefault(stage, []).append(spent)
            for timing in timings:
                timing.ratios.append(timing.samples[-1] / timings[0].samples[-1])
                if single is not None:
                    timing.single_ratios.append(timing.samples[-1] / timings[single].samples[-1])
    finally:
        if collecting:
            gc.enable()
    return timings
