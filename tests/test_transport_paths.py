"""Transport: every size and dtype that a path of the native code is chosen by, against SciPy and float64."""

from __future__ import annotations

import re
from typing import Any

import comix
import numpy as np
import pytest
import torch
from comix import reference
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from solvers import TRANSPORT_METHODS, torch_threads

SIDES = range(1, 18)
OBLONG = [(1, 17), (17, 1), (2, 16), (16, 3), (5, 13), (33, 32), (2, 40)]  # 33 x 32: a planner of its own
EPS = [0.0, 5e-324, 1e-9, 0.03, 0.8, 1e9, 1e300]


def problem(
    seed: int, size: tuple[int, int], shown: float, saliency: str = "peaked", batch: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Saliency and masks that show about the share ``shown`` of the blocks, at least one."""
    rng = np.random.default_rng(seed)
    shape = (batch, *size)
    maps = {"peaked": np.exp(1.5 * rng.standard_normal(shape)), "flat": np.ones(shape)}[saliency]
    mask = (rng.random(shape) < shown) / 2.0
    mask.reshape(batch, -1)[:, rng.integers(size[0] * size[1])] = 1
    return maps / maps.sum((1, 2), keepdims=True), mask


def assert_optimal(plan: NDArray[Any], saliency: NDArray[Any], mask: NDArray[Any], eps: float) -> None:
    flat = np.sort(plan.reshape(len(plan), -1))
    np.testing.assert_array_equal(flat, np.broadcast_to(np.arange(flat.shape[1]), flat.shape))
    cost = reference.transport_cost(plan, saliency, mask, eps)
    for b in range(len(plan)):
        matrix = reference.transport_cost_matrix(saliency[b], mask[b], eps)
        best = matrix[linear_sum_assignment(matrix)].sum()
        assert abs(cost[b] - best) <= 2.0**-38 * flat.shape[1] * (2 * eps + saliency.max())


@pytest.mark.parametrize("size", [*((side, side) for side in SIDES), *OBLONG], ids=str)
def test_exact_equals_scipy_at_every_size(size: tuple[int, int]) -> None:
    for seed, shown in enumerate((0.0, 0.1, 0.5, 0.9)):
        for saliency_kind in ("peaked", "flat"):
            saliency, mask = problem(seed, size, shown, saliency_kind, batch=1)
            for eps in (0.03, 0.8) if size[0] * size[1] > 64 else EPS:
                plan = comix.transport_plan(saliency, mask, eps=eps)
                assert_optimal(plan, saliency, mask, eps)
                np.testing.assert_array_equal(plan, comix.transport_plan(saliency, mask, eps=eps))


@pytest.mark.parametrize("size", [*((side, side) for side in SIDES), *OBLONG[:-2]], ids=str)
def test_greedy_equals_the_reference_at_every_size(size: tuple[int, int]) -> None:
    for seed, shown in enumerate((0.0, 0.1, 0.5, 0.9)):
        for saliency_kind in ("peaked", "flat"):
            saliency, mask = problem(seed, size, shown, saliency_kind, batch=1)
            for eps in (0.0, 1e-9, 0.03, 0.8, 50.0) if size[0] * size[1] <= 64 else (0.0, 0.03):
                plan = comix.transport_plan(saliency, mask, eps=eps, method="greedy")
                expected = reference.transport_plan(saliency, mask, eps=eps, method="greedy")
                np.testing.assert_array_equal(plan, expected)


@pytest.mark.parametrize("method", TRANSPORT_METHODS)
def test_a_thread_keeps_nothing_of_other_calls(method: str) -> None:
    sizes = [(4, 4), (16, 16), (1, 17), (4, 4), (33, 32), (4, 4), (16, 16)]
    calls = [(*problem(k, size, 0.4), eps) for k, size in enumerate(sizes) for eps in (0.8, 0.05)]
    with torch_threads(1):
        first = [comix.transport_plan(s, m, eps=eps, method=method) for s, m, eps in calls]
        for bad in (np.full((1, 4, 4), 1e308), np.full((1, 7, 7), np.nan)):
            with pytest.raises(ValueError, match="expected"):
                comix.transport_plan(bad, np.ones_like(bad), eps=1.7e308, method="exact")
        for k in reversed(range(len(calls))):
            s, m, eps = calls[k]
            np.testing.assert_array_equal(comix.transport_plan(s, m, eps=eps, method=method), first[k])


@pytest.mark.parametrize("batch", [1, 100, 600])  # 600 of 4 x 4: above the work of one thread
def test_large_batches_are_planned_map_by_map(batch: int) -> None:
    for method in TRANSPORT_METHODS:
        saliency, mask = problem(11, (4, 4), 0.5, batch=batch)
        with torch_threads(2):
            whole = comix.transport_plan(saliency, mask, eps=0.1, method=method)
        for b in range(0, batch, 17):
            one = comix.transport_plan(saliency[b : b + 1], mask[b : b + 1], eps=0.1, method=method)
            np.testing.assert_array_equal(whole[b : b + 1], one)


DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int64]


@pytest.mark.parametrize("mask_dtype", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_may_be_mixed(dtype: torch.dtype, mask_dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    saliency = (torch.rand(3, 5, 4, generator=generator) * 9).to(dtype)
    mask = torch.randint(0, 2, (3, 5, 4), generator=generator).to(mask_dtype)
    for method in TRANSPORT_METHODS:
        plan = comix.transport_plan(saliency, mask, eps=2.0, method=method)
        same = comix.transport_plan(saliency.double(), mask.double(), eps=2.0, method=method)
        assert torch.equal(plan, same)
        cost = comix.transport_cost(plan, saliency, mask)
        assert torch.equal(cost, comix.transport_cost(plan, saliency.double(), mask.double()))


def test_tensors_and_arrays_may_be_mixed_and_of_any_layout() -> None:
    saliency, mask = problem(12, (4, 6), 0.5)
    plan = comix.transport_plan(saliency, mask, eps=0.05)
    for convert in (torch.tensor, lambda a: torch.tensor(a).requires_grad_(), torch.nn.Parameter):
        tensor = convert(saliency) if convert is not torch.nn.Parameter else convert(torch.tensor(saliency))
        assert torch.equal(comix.transport_plan(tensor, mask, eps=0.05), torch.from_numpy(plan))
        np.testing.assert_array_equal(
            comix.transport_plan(saliency, tensor * 0 + torch.tensor(mask), eps=0.05), plan
        )
    negated = torch._neg_view(torch.tensor(-saliency))
    assert torch.equal(comix.transport_plan(negated, mask, eps=0.05), torch.from_numpy(plan))
    swapped = saliency.astype(saliency.dtype.newbyteorder())
    with pytest.raises(TypeError, match="saliency: expected a dtype that torch has"):
        comix.transport_plan(swapped, mask)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("position", [0, 1, 30, 59])
@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        *(
            (name, value, "expected finite values, got 1 value(s) that are NaN or infinite")
            for name in ("saliency", "mask")
            for value in (np.nan, np.inf, -np.inf)
        ),
        ("saliency", -0.5, "expected values in 0..inf, got -0.5"),
        ("mask", -0.5, "expected values in 0..1, got -0.5"),
        ("mask", 1.5, "expected values in 0..1, got 1.5"),
    ],
)
def test_one_bad_value_is_found_anywhere(
    dtype: torch.dtype, position: int, name: str, value: float, text: str
) -> None:
    terms = {"saliency": torch.ones(3, 4, 5, dtype=dtype), "mask": torch.ones(3, 4, 5, dtype=dtype)}
    terms[name].view(-1)[position] = value
    own = torch.arange(20).view(1, 4, 5).expand(3, 4, 5)
    calls = [lambda m=m: comix.transport_plan(**terms, method=m) for m in TRANSPORT_METHODS]
    for call in [*calls, lambda: comix.transport_cost(own, **terms)]:
        with pytest.raises(ValueError, match=f"^{re.escape(f'{name}: {text}')}$"):
            call()


def test_all_bad_values_are_counted() -> None:
    saliency = torch.ones(2, 3, 3)
    saliency[0, 0] = torch.tensor([np.nan, np.inf, -1.0])
    text = "saliency: expected finite values, got 2 value(s) that are NaN or infinite"
    with pytest.raises(ValueError, match=re.escape(text)):
        comix.transport_plan(saliency, torch.ones(2, 3, 3))
    with pytest.raises(ValueError, match=r"^mask: expected values in 0\.\.1, got -3$"):
        comix.transport_plan(torch.ones(1, 1, 3), torch.tensor([[[2.0, -3.0, -1.0]]]))
