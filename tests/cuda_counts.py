"""What the kernels do one after the other, counted on the emulated device: ``make cuda-counts``.

A GPU gives times; without one, this gives their reasons. For every job of the ``device`` benchmark it lists
the launches, and for each what its longest block does: barriers, waits inside a warp, stretches that fetch
memory for the first time, accesses to shared and global memory, and pieces of code without jumps (steps.cpp).

The two times are what these counts would take with the costs below, which are orders of magnitude for Ampere
and Hopper devices, not read off a run of these kernels: the first if all that may overlap does, the second if
nothing does. A launch counts nothing itself; one that has more to do than to wait for, what all its warps
issue. What nvcc makes of the code is not in it: it turns many of the branches between the pieces that are
counted here into selections.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from emulated import BUILD, WATCH, EmulatedCuda, install, load
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import bench_device, bench_mixing, problems

SPEED = 1.7e9  # cycles in a second
PROCESSORS, ISSUED = (
    132,
    2.0,
)  # multiprocessors; instructions that one of them issues in a cycle, of 4 at best
BYTES = 4e12  # moved in a second
INSTRUCTIONS = 8  # of a piece of code, loads included
CYCLES = {  # (what has to be waited for, what a thread waits for if nothing overlaps)
    "barriers": (30, 40),
    "waits": (10, 20),
    "fetches": (500, 700),
    "shared": (5, 30),
    "global": (8, 40),
    "code": (4, 12),
}

Job = tuple[
    str, Callable[..., Tensor], tuple[Tensor, ...], float
]  # name, call, inputs, how often that is wanted


def jobs() -> Iterator[Job]:
    """Yield the jobs of the device benchmark; mixing on a part large enough for items of several planes."""
    for images, n, sweeps in ((1024, 16, 3), (100, 20, 4)):
        drawn = problems.comixup(images // n, n, 4, 0)
        given = drawn.cost, drawn.compatibility, drawn.init
        yield f"Co-Mixup {images} images by {n}, 4x4", partial(bench_device.label, sweeps=sweeps), given, 1
    pairs = problems.puzzlemix(448, 32, 0)
    for grid in (4, 8, 16):
        mask = partial(bench_device.mask, lam=0.4, grid=grid)
        yield (
            f"PuzzleMix masks {grid}x{grid}, 448 pairs",
            mask,
            (pairs.images, pairs.saliency, pairs.index),
            1,
        )
    plans = problems.transport(896, 16, 0)
    yield "transport 16x16, 896 plans", bench_device.plan, (plans.saliency, plans.mask), 1
    job = bench_mixing.puzzlemix_job(48, 224, 0)
    tensors = job.images, job.plan.source, job.plan.block, job.plan.weight
    yield "mixing 224x224, 448 images", bench_device.mix, tensors, 448 / 48


@cache
def kernels() -> dict[int, str]:
    """Name the functions of the module by their places."""
    (file,) = BUILD.glob("_cuda.*.so")
    listed = subprocess.run(
        ["nm", "-C", "--defined-only", str(file)], capture_output=True, text=True, check=True
    )
    rows = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
    return {int(row[0], 16): row[2] for row in rows if len(row) == 3 and row[1] in "tTwW"}


def name_of(launch: dict[str, Any]) -> str:
    """Name a kernel without its namespaces and parameters."""
    name = kernels()[launch["kernel"]].replace("(anonymous namespace)::", "").replace("comix::cuda::", "")
    return name.split("(")[0].removeprefix("void ")


def times(launch: dict[str, Any], often: float) -> list[float]:
    """Both times of a launch in seconds."""
    issued = launch["warps"]["code"] * INSTRUCTIONS * often / PROCESSORS / ISSUED / SPEED
    moved = (launch["bytes_read"] + launch["bytes_written"]) * often / BYTES
    chains = (sum(CYCLES[key][i] * count for key, count in launch["longest"].items()) / SPEED for i in (0, 1))
    return [max(chain, issued, moved) for chain in chains]


def count(
    run: Callable[..., Tensor], inputs: tuple[Tensor, ...], device: EmulatedCuda
) -> list[dict[str, Any]]:
    """Run on the emulated device: what its launches counted."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = Path(folder) / "steps"
        patch.setenv("COMIX_EMULATED_STEPS_FILE", str(file))
        run(*(device.tensor(tensor) for tensor in inputs))
        return [json.loads(line) for line in file.read_text().splitlines()]


def lines_of(places: list[int]) -> list[str]:
    """Name the lines of kernels whose barriers are at these places of the module."""
    (file,) = BUILD.glob("_cuda.*.so")
    command = ["addr2line", "-a", "-i", "-e", str(file), *(hex(place - 1) for place in places)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    chains: list[list[str]] = []
    for line in found.splitlines():
        if line.startswith("0x"):
            chains.append([])
        elif "/cuda/" in line and "/base/team.hpp" not in line:
            chains[-1].append(line.split(" ")[0].rpartition("/cuda/")[2])
    return [" < ".join(chain[:2]) for chain in chains]


def lines(launch: dict[str, Any], most: int) -> Iterator[list[Any]]:
    """Yield the lines before whose barriers the longest block does most, and what."""
    before = {int(place): counts for place, counts in launch["before"].items() if int(place) > 0}
    places = sorted(before, key=lambda place: -before[place]["code"])[:most]
    for place, line in zip(places, lines_of(places) if places else [], strict=True):
        yield [f"  {line}", "", "", *before[place].values()]


def table_of(name: str, launches: list[dict[str, Any]], often: float, most: int) -> Table:
    """Tabulate the launches of a job, each with its ``most`` longest lines."""
    whole = [sum(column) for column in zip(*(times(launch, often) for launch in launches), strict=True)]
    title = f"{name}: {1e6 * whole[0]:.0f} to {1e6 * whole[1]:.0f} us"
    table = Table(*("kernel", "blocks", "threads", *CYCLES, "MB", "us"), title=title, title_justify="left")
    for launch in launches:
        megabytes = (launch["bytes_read"] + launch["bytes_written"]) * often / 1e6
        cells = [
            name_of(launch),
            int(launch["blocks"] * often),
            launch["threads"],
            *launch["longest"].values(),
        ]
        cells += [f"{megabytes:.3g}", "-".join(f"{1e6 * t:.0f}" for t in times(launch, often))]
        for row in (cells, *lines(launch, most)):
            table.add_row(*map(str, row))
    return table


def main() -> None:
    """Print a table per job."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="jobs whose names contain this")
    parser.add_argument(
        "--lines", type=int, default=0, metavar="N", help="the N longest lines of every kernel"
    )
    options = parser.parse_args()
    if WATCH != "STEPS":
        parser.error("COMIX_EMULATED_WATCH: expected STEPS in the environment (make cuda-counts sets it)")
    console = Console(width=150)
    with pytest.MonkeyPatch.context() as patch, install(load(), patch) as device:
        for name, run, inputs, often in jobs():
            if options.only in name:
                console.print(table_of(name, count(run, inputs, device), often, options.lines))


if __name__ == "__main__":
    main()
