"""What a machine gives to several threads that have nothing to do with each other, at this very moment.

Cores that are shared with other programs or other machines give less than their number. No solver can gain
more from its threads than independent work does, so thread figures are read beside this one.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from types import TracebackType

JOB_S = 0.002  # of one thread's work in a probe
_FIRST_GUESS = 1000  # iterations


def work(iterations: int) -> None:
    """Compute without the interpreter's lock, in a few kB of memory."""
    hashlib.pbkdf2_hmac("sha256", b"comix", b"benchmarks", iterations)


class Probe:
    """Kept threads with equal jobs: how many times as much they get done as one thread alone."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)
        self._together(_FIRST_GUESS)  # starts the threads
        start = perf_counter()
        work(_FIRST_GUESS)
        self.iterations = max(1, round(_FIRST_GUESS * JOB_S / (perf_counter() - start)))
        self.samples: list[float] = []

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.shutdown()

    def _together(self, iterations: int) -> float:
        start = perf_counter()
        list(self.pool.map(work, [iterations] * self.threads))
        return perf_counter() - start

    def sample(self) -> None:
        """Probe once: one job alone, then one for each thread."""
        start = perf_counter()
        self.pool.submit(work, self.iterations).result()
        alone = perf_counter() - start
        self.samples.append(self.threads * alone / self._together(self.iterations))
