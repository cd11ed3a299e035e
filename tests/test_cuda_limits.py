"""Sizes, streams and devices at their limits: odd sizes, empty and very large batches, several devices.

What needs no device runs on tensors without values (fake_cuda) or on the sources; the rest has a "cuda" id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comix
import pytest
import torch
from comix import _native as native
from device_cases import (
    CASES,
    LAST_ITEMS,
    ODD_SIZES,
    OWN_ANSWERS,
    POTTS,
    calls_of_size,
    flat,
    integers,
    large_batches,
    last_items,
    rand,
)
from fake_cuda import devices_not_there
from solvers import DEVICES

CUDA = DEVICES[1:]
TWO = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
SOURCES = Path(__file__).parents[1] / "cuda"
MANY = 70_000  # beyond 65535, what the second and third dimension of a grid may have
LARGE = large_batches(MANY)


# --- grids of blocks ----------------------------------------------------------------------------------


def test_kernels_use_the_first_dimension_of_grids_only() -> None:
    # It ends at 2^31 - 1 blocks (blocks_for stays below, tests/cpp/test_cuda_logic_base.cpp), not at 65535.
    for file in (f for f in SOURCES.rglob("*") if f.suffix in (".cu", ".cuh", ".hpp")):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(gridDim|blockIdx|blockDim|threadIdx)\.[yz]|\bdim3\b", text), file.name


def test_kernels_are_launched_through_one_door() -> None:
    # launch(): device guard, error checks, no launch without blocks.
    found = [f.name for f in SOURCES.rglob("*") if f.is_file() and "<<<" in f.read_text(encoding="utf-8")]
    assert found == ["launch.cuh"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LARGE)
def test_a_very_large_batch_is_its_items(name: str, device: str) -> None:
    run, tensors = LARGE[name]
    large = flat(run(*(t.to(device) for t in tensors)))
    for ours, theirs in zip(large, last_items(name, run, tensors), strict=True):
        assert ours.shape[0] == MANY
        torch.testing.assert_close(ours[-LAST_ITEMS:].cpu(), theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("device", CUDA)
def test_more_than_2_31_elements(device: str) -> None:
    count = 2**31 // (3 * 224 * 224) + 2
    if torch.cuda.mem_get_info()[0] < 8 << 30:
        pytest.skip("needs 8 GiB of free device memory")
    images = torch.empty(count, 3, 224, 224, dtype=torch.uint8, device=device)
    images.copy_(torch.arange(count, device=device).view(-1, 1, 1, 1) % 251)
    index = torch.arange(count, device=device).roll(1)
    mixed = comix.MixPlan.from_mask(torch.zeros(count, 2, 2, device=device), index).mix(images)
    assert mixed.numel() > 2**31
    assert torch.equal(mixed[:, 2, 223, 223], images[:, 2, 223, 223].roll(1))


# --- sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", CUDA)
@pytest.mark.parametrize("size", ODD_SIZES, ids=str)
def test_odd_sizes_give_the_cpus_results(size: tuple[int, int], device: str) -> None:
    for run, tensors in calls_of_size(size):
        got = flat(run(*(t.to(device) for t in tensors)))
        for ours, theirs in zip(got, flat(run(*tensors)), strict=True):
            torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-6, atol=1e-7)
    cost, init = rand(2, 3, *size), integers(3, 2, 3, *size)
    found = comix.comixup_labels(cost.to(device), init=init.to(device)).cpu()
    assert bool(((found >= 0) & (found < 3)).all())


EMPTY: list[Callable[[str], Any]] = [
    lambda d: comix.grid_cut(torch.empty(0, 2, 2, 3, device=d), POTTS.to(d)),
    lambda d: comix.grid_cut(torch.empty(1, 0, 2, 3, device=d), POTTS.to(d), method="swap"),
    lambda d: comix.grid_energy(
        torch.empty(0, 2, 2, dtype=int, device=d), torch.empty(0, 2, 2, 3, device=d), 0
    ),
    lambda d: comix.transport_plan(torch.empty(0, 2, 2, device=d), torch.empty(0, 2, 2, device=d)),
    lambda d: comix.comixup_labels(torch.empty(0, 2, 2, 2, device=d)),
    lambda d: comix.comixup_objective(
        torch.empty(0, 1, 2, 2, 2, device=d).long(), torch.empty(0, 2, 2, 2, device=d)
    ),
    lambda d: comix.pool_saliency(torch.empty(0, 4, 4, device=d), 2),
    lambda d: comix.MixPlan.from_mask(torch.empty(0, 2, 2, device=d), torch.empty(0, dtype=int, device=d)),
    lambda d: comix.PuzzleMix()(torch.empty(0, 3, 8, 8, device=d), torch.empty(0, 5, device=d)),
    lambda d: comix.CoMixup()(torch.empty(0, 3, 8, 8, device=d), torch.empty(0, 5, device=d)),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("number", range(len(EMPTY)))
def test_empty_batches_are_refused_in_the_same_words(number: int, device: str) -> None:
    with pytest.raises((ValueError, TypeError)) as there:
        EMPTY[number](device)
    with pytest.raises((ValueError, TypeError)) as here:
        EMPTY[number]("cpu")
    assert str(there.value) == str(here.value)
    assert re.search(r"at least one|none of them 0|not empty", str(here.value)), str(here.value)


# --- streams and devices ------------------------------------------------------------------------------


def test_kernels_get_the_tensors_device_and_its_current_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self, index: int) -> None:
            self.cuda_stream = 1000 + index

    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    with devices_not_there() as empty:  # tensors on devices that are not there
        for index in (0, 1, 7):
            tensor = empty(3, device=f"cuda:{index}")
            assert native.place(tensor) == {"device": index, "stream": 1000 + index}


def test_two_cuda_devices_in_one_call_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "cuda", lambda: None)  # a build without kernels says so first
    with devices_not_there() as empty:
        # float64, for a conversion makes memory: see devices_not_there
        first, other = (
            [empty(*shape, device=device, dtype=torch.float64) for shape in shapes]
            for device, *shapes in (("cuda:0", (1, 2, 2, 3), (1, 2, 2)), ("cuda:1", (3, 3), (1, 2, 2)))
        )
        for name, of, call in (
            ("pairwise", "unary", lambda: comix.grid_cut(first[0], other[0])),
            ("mask", "saliency", lambda: comix.transport_plan(first[1], other[1])),
        ):
            text = rf"^{name}: expected the device of {of}.*cuda:0.*cuda:1"
            with pytest.raises(ValueError, match=text):
                call()


@pytest.mark.parametrize("device", CUDA)
@pytest.mark.parametrize("name", CASES)
def test_work_is_queued_on_the_current_stream(name: str, device: str) -> None:
    # Inputs are written late, on a stream of its own: who reads them elsewhere reads noise.
    run, tensors, _ = CASES[name]
    expected = flat(run(*(t.detach().to(device).requires_grad_(t.requires_grad) for t in tensors)))
    late = [torch.zeros_like(t, device=device).requires_grad_(t.requires_grad) for t in tensors]
    sources = [t.detach().to(device) for t in tensors]
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(20_000_000)
        with torch.no_grad():
            for target, source in zip(late, sources, strict=True):
                target.copy_(source)
        got = flat(run(*late))
    stream.synchronize()
    assert all(map(torch.equal, got, expected))


@TWO
@pytest.mark.parametrize("device", [pytest.param("cuda:1", id="cuda")])
@pytest.mark.parametrize("name", CASES)
def test_tensors_decide_the_device_not_the_current_one(name: str, device: str) -> None:
    run, tensors, _ = CASES[name]
    with torch.cuda.device(0):
        given = [t.detach().to(device).requires_grad_(t.requires_grad) for t in tensors]
        got = flat(run(*given))
        assert torch.cuda.current_device() == 0
    with torch.cuda.device_of(given[0]):
        again = flat(run(*given))
    for ours, theirs, expected in zip(got, again, flat(run(*tensors)), strict=True):
        assert ours.device == torch.device(device)
        assert torch.equal(ours, theirs)
        if name not in OWN_ANSWERS:
            torch.testing.assert_close(ours.cpu(), expected, rtol=1e-5, atol=1e-6)
