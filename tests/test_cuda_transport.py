"""The transport kernels through their bindings: what is refused, and, with a device, plans as on the CPU."""

from __future__ import annotations

import re
from typing import Any

import comix
import pytest
import torch
from comix import _native as native

built = comix.build_info()["cuda"] is not None
needs_module = pytest.mark.skipif(not built, reason="this build has no CUDA module")
needs_device = pytest.mark.skipif(not (built and torch.cuda.is_available()), reason="no CUDA device")

SIZES = {"dtype": "float32", "count": 1, "height": 2, "width": 2, "eps": 0.8, "device": 0, "stream": 0}
MAPS = {"saliency": 64, "mask": 64} | SIZES
PLAN = {"method": "exact", "scratch": 0, "plan": 64} | MAPS
COST = {"plan": 64, "cost": 64} | MAPS
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"dtype": "float16"}, "dtype: expected float32 or float64, got 'float16'"),
    ({"count": -1}, "sizes: expected a number of maps"),
    ({"height": 0}, "height: expected 1..2^31-1, got 0"),
    ({"height": 129, "width": 128}, "saliency: expected at most 16384 blocks (128 x 128) to move"),
    ({"saliency": 0}, "saliency: expected device memory, got null"),
    ({"mask": 66}, "mask: expected aligned device memory"),
    ({"plan": 0}, "plan: expected device memory, got null"),
    ({"eps": -1.0}, "eps: expected a finite number >= 0"),
    ({"eps": 1.7e308}, "eps, saliency: expected costs that float64 can hold, got some that overflow"),
    ({"device": -1}, "device: expected an ordinal"),
]


@needs_module
@pytest.mark.parametrize(("change", "text"), REFUSED)
def test_wrong_sizes_are_refused_before_the_launch(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        native.cuda().transport_plan(**(PLAN | change))
    with pytest.raises(ValueError, match=re.escape(text)):
        native.cuda().transport_cost(**(COST | change))


@needs_module
def test_methods_and_memory_are_checked() -> None:
    module = native.cuda()
    text = "method: expected one of 'exact', 'greedy', got 'best'"
    with pytest.raises(ValueError, match=re.escape(text)):
        module.transport_plan(**(PLAN | {"method": "best"}))
    with pytest.raises(ValueError, match=re.escape(text)):
        module.transport_plan_scratch(count=1, height=2, width=2, method="best")
    with pytest.raises(ValueError, match=re.escape("scratch: expected device memory, got null")):
        module.transport_plan(**(PLAN | {"height": 64, "width": 64}))
    with pytest.raises(ValueError, match=re.escape("cost: expected device memory, got null")):
        module.transport_cost(**(COST | {"cost": 0}))


@needs_module
def test_scratch_memory_is_bounded() -> None:
    def scratch(count: int, side: int, method: str) -> int:
        return native.cuda().transport_plan_scratch(count=count, height=side, width=side, method=method)

    assert [scratch(896, side, "exact") for side in (1, 16, 32)] == [0, 0, 0]
    assert [scratch(896, side, "greedy") for side in (1, 16, 20)] == [0, 0, 0]
    for method in ("exact", "greedy"):
        assert scratch(0, 128, method) == 0
        assert 0 < scratch(1, 128, method) < scratch(2, 128, method) <= 1 << 28
        assert scratch(1 << 20, 64, method) == scratch(1 << 30, 64, method) <= 1 << 28


@needs_module
@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_without_a_device_the_runtime_error_is_passed_on() -> None:
    text = r"^CUDA: asking for the current device: .*\(cudaError"
    with pytest.raises(RuntimeError, match=text):
        native.cuda().transport_plan(**PLAN)
    with pytest.raises(RuntimeError, match=text):
        native.cuda().transport_cost(**COST)
    native.cuda().transport_plan(**(PLAN | {"count": 0}))  # nothing to do
    native.cuda().transport_cost(**(COST | {"count": 0}))


# --- with a device ------------------------------------------------------------------------------------


def maps_arguments(saliency: torch.Tensor, mask: torch.Tensor, eps: float) -> dict[str, Any]:
    return {
        "saliency": native.address(saliency),
        "mask": native.address(mask),
        "dtype": str(saliency.dtype).removeprefix("torch."),
        "count": saliency.shape[0],
        "height": saliency.shape[1],
        "width": saliency.shape[2],
        "eps": eps,
        **native.place(saliency),
    }


def plan_on_cuda(saliency: torch.Tensor, mask: torch.Tensor, eps: float, method: str) -> torch.Tensor:
    count, height, width = saliency.shape
    plan = torch.empty(saliency.shape, dtype=torch.int64, device=saliency.device)
    size = native.cuda().transport_plan_scratch(count=count, height=height, width=width, method=method)
    scratch = native.scratch(size, saliency)
    native.cuda().transport_plan(
        method=method,
        scratch=native.address(scratch),
        plan=native.address(plan),
        **maps_arguments(saliency, mask, eps),
    )
    return plan


def cost_on_cuda(plan: torch.Tensor, saliency: torch.Tensor, mask: torch.Tensor, eps: float) -> torch.Tensor:
    cost = torch.empty(plan.shape[0], dtype=torch.float64, device=plan.device)
    native.cuda().transport_cost(
        plan=native.address(plan), cost=native.address(cost), **maps_arguments(saliency, mask, eps)
    )
    return cost


def maps(count: int, grid: tuple[int, int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    saliency = torch.rand(count, *grid, dtype=torch.float64) ** 3
    saliency /= saliency.sum((1, 2), keepdim=True)
    mask = torch.randint(3, (count, *grid)).to(dtype) / 2
    return saliency.to(dtype), mask


@needs_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (3, 7), (16, 16), (19, 21), (32, 32), (40, 41)], ids=str)
@pytest.mark.parametrize("eps", [0.05, 0.8])
def test_plans_are_as_good_as_on_the_cpu(dtype: torch.dtype, grid: tuple[int, int], eps: float) -> None:
    saliency, mask = maps(37, grid, dtype)
    on_device = saliency.cuda(), mask.cuda()
    greedy = plan_on_cuda(*on_device, eps, "greedy")
    assert torch.equal(greedy.cpu(), comix.transport_plan(saliency, mask, eps=eps, method="greedy"))
    plan = plan_on_cuda(*on_device, eps, "exact").cpu()
    assert torch.equal(plan.flatten(1).sort(1).values, torch.arange(grid[0] * grid[1]).expand(37, -1))
    best = comix.transport_cost(comix.transport_plan(saliency, mask, eps=eps), saliency, mask, eps=eps)
    cost = comix.transport_cost(plan, saliency, mask, eps=eps)
    torch.testing.assert_close(cost, best, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(cost_on_cuda(plan.cuda(), *on_device, eps).cpu(), cost)


@needs_device
@pytest.mark.parametrize("method", ["exact", "greedy"])
def test_any_values_give_permutations(method: str) -> None:
    saliency, mask = maps(8, (16, 16), torch.float32)
    for bad in (float("nan"), float("inf"), -1.0):
        saliency[:, ::3] = bad
        mask[:, :, ::5] = bad
        plan = plan_on_cuda(saliency.cuda(), mask.cuda(), 0.8, method).cpu()
        assert torch.equal(plan.flatten(1).sort(1).values, torch.arange(256).expand(8, -1))
