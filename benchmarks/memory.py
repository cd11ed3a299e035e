"""Peak memory of one call, beyond its inputs: outputs, intermediates and native scratch memory together.

Native scratch memory comes from malloc and is unknown to Python and torch, so the kernel is asked: every call
is measured in a process of its own by the high-water mark of the resident set, which Linux can reset. The
process has imported everything and has made the same call once (pages of code, threads and caches are there
then), and has given all freed memory back. Where the mark cannot be reset, the answer is None.

The processes are forked from a server that has imported the libraries but has computed nothing: cheap, and
safe for libraries whose threads do not survive a fork.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import multiprocessing
import pickle
import re
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PRELOAD = ("benchmarks.memory", "benchmarks.problems", "comix", "gco", "lap", "maxflow", "scipy.optimize")
LIMIT_S = 60.0  # for one measurement


def available() -> bool:
    """Whether this system can reset the high-water mark and fork."""
    return sys.platform == "linux" and RESET.exists() and _resident("VmHWM") is not None


def peak_of(call: Callable[[], object]) -> int | None:
    """Bytes that ``call`` adds to this process at its peak; it runs twice and counts once."""
    call()
    gc.collect()
    _give_back_freed()
    try:
        RESET.write_text("5")
    except OSError:
        return None
    before = _resident("VmRSS")
    result = call()  # noqa: F841 - the outputs belong to what the call needs
    after = _resident("VmHWM")
    return None if before is None or after is None else max(0, after - before)


class Meter:
    """Measures calls, each in a forked process with ``threads`` threads."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.context = multiprocessing.get_context("forkserver") if available() else None
        if self.context is not None:
            self.context.set_forkserver_preload([name for name in PRELOAD if _found(name)])

    def __call__(self, call: Callable[[], object]) -> int | None:
        """Bytes that ``call`` needs beyond its inputs; None when this cannot be found out."""
        if self.context is None:
            return None
        try:
            packed = pickle.dumps(call)
        except (pickle.PicklingError, TypeError, AttributeError):
            return None  # a call that holds processes or the like
        here, there = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_measure, args=(packed, self.threads, there), daemon=True)
        process.start()
        there.close()
        try:
            return here.recv() if here.poll(LIMIT_S) else None
        except EOFError:
            return None
        finally:
            here.close()
            process.kill()
            process.join()


def _measure(packed: bytes, threads: int, answer: Connection) -> None:
    """Run in the forked process: unpack the call with its inputs, measure, send."""
    torch.set_num_threads(threads)
    answer.send(peak_of(pickle.loads(packed)))
    answer.close()


def _resident(mark: str) -> int | None:
    """Return VmRSS or VmHWM of this process in bytes."""
    found = re.search(rf"^{mark}:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE) if STATUS.exists() else None
    return int(found[1]) * 1024 if found else None


def _give_back_freed() -> None:
    """Return freed memory to the system, or the next call would use it unseen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _found(name: str) -> bool:
    """Whether a module can be imported here."""
    return importlib.util.find_spec(name.split(".")[0]) is not None
