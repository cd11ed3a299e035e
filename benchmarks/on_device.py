"""Timing on a CUDA device: events around the calls, on a device that has nothing else to do.

The clock starts when the device is idle and stops when it has finished, so what a call leaves running counts,
and so does whatever the host does in between. Inputs rotate as everywhere (one set per round), and every
contender has seen all sets before the clock starts: kernels are loaded, and torch's allocator holds memory.
A call captured in a CUDA graph leaves the host one launch: replayed, it takes what the device takes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import comix
import torch
from torch import Tensor

WARM_UPS = 3  # calls before a capture
NO_DEVICE = "needs a CUDA device and a build of comix with kernels"


def available() -> bool:
    """Whether device cases can run here."""
    return bool(comix.backends()["cuda"])


def clock(call: Callable[[], object], inner: int) -> tuple[float, object]:
    """Time ``inner`` calls by CUDA events: seconds per call, and what the last one returned."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    result: object = None
    start.record()
    for _ in range(inner):
        result = call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / inner, result


class CaptureRefusedError(RuntimeError):
    """A call cannot be captured in a CUDA graph; the text says why."""


def captured(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Capture a call in a CUDA graph of its own: what replays it, and returns the same memory every time."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            result = call()
    except RuntimeError as error:
        torch.cuda.synchronize()
        # Ending a capture that something broke is an error of its own.
        cause = error.__context__ or error
        raise CaptureRefusedError(str(cause).split("\n")[0]) from error
    result.zero_()  # capturing runs nothing: what a check sees, a replay has written

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def driver() -> str | None:
    """Return the driver's version as nvidia-smi tells it, None where that is missing."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.split("\n")[0].strip() or None


def describe() -> dict[str, Any]:
    """Name the current device, its driver and both toolkits, for the record of a run."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "driver": driver(),
        "toolkit": comix.build_info()["cuda"],
        "toolkit_of_torch": torch.version.cuda,
    }
