"""Co-Mixup's exact and swap cuts on CUDA, against the CPU's: on a device, on an emulated one, and refused.

How the default cuts do is in test_cuda_emulated.py and, on a device, in test_cuda.py.
"""

from __future__ import annotations

import re
from typing import Any

import comix
import pytest
import torch
from comix import _native as native
from device_cases import integers, rand, shares
from emulated import EmulatedCuda, OnDevice

built = comix.build_info()["cuda"] is not None
needs_module = pytest.mark.skipif(not built, reason="this build has no CUDA module")
CUDA = [pytest.param("cuda", marks=pytest.mark.skipif(not comix.backends()["cuda"], reason="no CUDA device"))]

# Inputs, outputs, grid: a kernel each, and what is beyond shared memory.
SIZES = [(12, 20, (4, 4)), (6, 4, (3, 9)), (5, 4, (6, 6)), (40, 8, (2, 2)), (3, 2, (15, 12))]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"select": "last", "threshold": "soft"},
    {"threshold": "hard_official", "sweeps": 3},
    {"resolve_duplicates": False, "tau": 0.4},
    {"beta": 0.1},  # with more the CPU refuses "exact"
]
PARTITIONS = [(*sizes, options) for sizes, options in zip(SIZES, OPTIONS, strict=True)]
METHODS = ["swap", "exact"]


def partitions_of(inputs: int, outputs: int, grid: tuple[int, int]) -> list[torch.Tensor]:
    """Cost, compatibility, and two starts for each of two partitions."""
    compatibility = 0.9 * torch.eye(inputs) + 0.1 * rand(2, inputs, inputs) / inputs
    return [-shares(2, inputs, *grid), compatibility, integers(inputs, 2, 2, outputs, *grid)]


def label(tensors: list[torch.Tensor], method: str, options: dict[str, Any]) -> torch.Tensor:
    cost, compatibility, init = tensors
    return comix.comixup_labels(cost, compatibility=compatibility, init=init, method=method, **options)


def check(labels: torch.Tensor, tensors: list[torch.Tensor], method: str, options: dict[str, Any]) -> None:
    expected = label(tensors, method, options)
    if method == "swap":  # every move has one answer
        assert torch.equal(labels, expected)
        return
    terms = {name: value for name, value in options.items() if name in ("beta", "tau", "threshold")}
    ours, theirs = (
        comix.comixup_objective(found, tensors[0], compatibility=tensors[1], **terms)
        for found in (labels, expected)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("inputs", "outputs", "grid", "options"), PARTITIONS)
def test_the_cpus_answers_on_an_emulated_device(
    inputs: int,
    outputs: int,
    grid: tuple[int, int],
    method: str,
    options: dict[str, Any],
    emulated_cuda: EmulatedCuda,
) -> None:
    tensors = partitions_of(inputs, outputs, grid)
    found = label([emulated_cuda.tensor(t) for t in tensors], method, options)
    assert emulated_cuda.calls == ["comixup_labels"]  # one launch
    assert isinstance(found, OnDevice)
    check(found.memory, tensors, method, options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("inputs", "outputs", "grid", "options"), PARTITIONS)
@pytest.mark.parametrize("device", CUDA)
def test_the_cpus_answers(
    device: str, inputs: int, outputs: int, grid: tuple[int, int], method: str, options: dict[str, Any]
) -> None:
    tensors = partitions_of(inputs, outputs, grid)
    found = label([t.to(device) for t in tensors], method, options)
    check(found.cpu(), tensors, method, options)


def test_exact_cuts_that_fit_no_kernel_are_expansions(emulated_cuda: EmulatedCuda) -> None:
    # Nothing can be struck off, and kernels know no other bounds (the CPU does).
    cost = torch.full((1, 30, 12, 12), -1 / 144)
    init = integers(30, 1, 2, 12, 12)
    options: dict[str, Any] = {"beta": 500.0, "sweeps": 1}
    given = [emulated_cuda.tensor(t) for t in (cost, init)]
    exact, expansion = (
        comix.comixup_labels(given[0], init=given[1], method=method, **options)
        for method in ("exact", "expansion")
    )
    assert torch.equal(exact.memory, expansion.memory)  # type: ignore[attr-defined]


# --- what is refused ------------------------------------------------------------------------------------

LABELS = {
    "init": 64,
    "cost": 64,
    "compatibility": 0,
    "partitions": 1,
    "starts": 1,
    "inputs": 3,
    "outputs": 2,
    "height": 2,
    "width": 2,
    "beta": 0.32,
    "gamma": 1.0,
    "tau": 0.83,
    "sweeps": 4,
    "threshold": "hard",
    "resolve_duplicates": True,
    "select": "best",
    "method": "exact",
    "scratch": 64,
    "labels": 64,
    "objective": 64,
    "device": 0,
    "stream": 0,
}


@needs_module
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "fast"}, "method: expected one of 'expansion', 'swap', 'exact', 'auto', got 'fast'"),
        ({"scratch": 0}, "scratch: expected device memory, got null"),
        (
            {"inputs": 4097},
            "cost: expected at most 4096 inputs on CUDA for cuts by 'swap' or 'exact', got 4097",
        ),
        ({"inputs": 4097, "method": "swap"}, "cost: expected at most 4096 inputs on CUDA for cuts by"),
        (
            {"inputs": 1 << 16, "method": "auto"},
            "cost: expected fewer than 65536 inputs and at most 4096 blocks on CUDA, got 65536 inputs",
        ),
        ({"height": 65, "width": 64}, "at most 4096 blocks on CUDA, got 3 inputs of 65 x 64"),
        ({"device": -1}, "device: expected an ordinal"),
    ],
)
def test_wrong_arguments_are_refused_before_the_launch(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        native.cuda().comixup_labels(**(LABELS | change))


@needs_module
@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_without_a_device_the_runtime_error_is_passed_on(method: str) -> None:
    with pytest.raises(RuntimeError, match=r"^CUDA: asking for the current device: .*\(cudaError"):
        native.cuda().comixup_labels(**(LABELS | {"method": method}))
    native.cuda().comixup_labels(**(LABELS | {"method": method, "partitions": 0}))  # nothing to do


@needs_module
def test_scratch_memory_is_bounded() -> None:
    def scratch(partitions: int, inputs: int, height: int, width: int, method: str) -> int:
        return native.cuda().comixup_labels_scratch(
            partitions=partitions,
            starts=1,
            inputs=inputs,
            outputs=inputs,
            height=height,
            width=width,
            compatibility=True,
            method=method,
        )

    def candidates(partitions: int, inputs: int, height: int, width: int) -> int:
        return partitions * (16 + 8 * inputs * height * width)  # half as much as the labels

    most = 1 << 27  # teams share it
    many = 1 << 30
    small, large = (20, 4, 4), (20, 16, 16)
    assert scratch(many, *small, "swap") == candidates(many, *small)  # all else in shared memory
    one, all_teams = (scratch(p, *small, "exact") - candidates(p, *small) for p in (1, many))
    assert one < all_teams <= most
    assert scratch(1 << 20, *small, "exact") - candidates(1 << 20, *small) == all_teams
    for method in METHODS:
        one, all_teams = (scratch(p, *large, method) - candidates(p, *large) for p in (1, many))
        assert 0 < one < all_teams <= most
        assert scratch(0, *large, method) == 0
        with pytest.raises(ValueError, match="at most 4096 inputs"):
            scratch(1, 4097, 4, 4, method)
