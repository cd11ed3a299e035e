"""The native passes that judge values, alone and through the checks and plans that rely on them."""

from __future__ import annotations

from typing import Any

import comix
import numpy as np
import pytest
import torch
from comix import MixPlan, _checks, _core
from comix import _native as native

LENGTHS = [*range(20), 31, 64, 1000]  # whole groups of lanes, and rests of every length
FLOATS = ["float32", "float64"]


@pytest.mark.parametrize("dtype", FLOATS)
def test_all_finite_finds_a_value_anywhere(dtype: str) -> None:
    extremes = np.array(
        [0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).min, np.finfo(dtype).smallest_subnormal]
    )
    for length in LENGTHS:
        values = np.resize(extremes, length).astype(dtype)
        assert _core.all_finite(values)
        for position in {0, length // 2, length - 1} if length else ():
            for bad in (np.nan, np.inf, -np.inf):
                spoilt = values.copy()
                spoilt[position] = bad
                assert not _core.all_finite(spoilt)


@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
def test_all_within_finds_a_value_anywhere(dtype: str) -> None:
    bad_values: list[Any] = [-1, 4, 2**62] if dtype == "int64" else [-1e-30, 3.001, np.nan, np.inf, -np.inf]
    for length in LENGTHS:
        values = np.resize([0, 3, 1], length).astype(dtype)
        assert _core.all_within(values, 0, 3)
        for position in {0, length // 2, length - 1} if length else ():
            for bad in bad_values:
                spoilt = values.copy()
                spoilt[position] = bad
                assert not _core.all_within(spoilt, 0, 3)


def test_all_within_has_bounds_of_any_size() -> None:
    least, most = -(2**63), 2**63 - 1
    for low, high in ((0, most), (least, -1), (least // 2, most // 2), (5, 5)):
        for value in (least, least + 1, low - 1, low, high, high + 1, -1, 0, 5, most - 1, most):
            if least <= value <= most:
                assert _core.all_within(np.array([value]), low, high) == (low <= value <= high)
    for low, high in ((least, 0), (1, 0), (least, most)):
        with pytest.raises(ValueError, match=r"low, high: expected low <= high, less than 2\^63 apart"):
            _core.all_within(np.array([0]), low, high)
    assert _core.all_within(np.array([1e300]), 0, np.inf)
    # 0.1 is no float32: not cleared, and the check then compares exactly.
    assert not _core.all_within(np.array([0.1], np.float32), 0.0, 0.1)


def test_verdicts_take_arrays_of_numbers_only() -> None:
    for values in (np.zeros(3, np.int32), np.zeros(3, np.float16), np.zeros(6)[::2], None, [1.0]):
        with pytest.raises(TypeError):
            _core.all_finite(values)
        with pytest.raises(TypeError):
            _core.all_within(values, 0, 1)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.int8]
)
@pytest.mark.parametrize("contiguous", [True, False])
def test_checks_agree_for_every_kind_of_memory(dtype: torch.dtype, contiguous: bool) -> None:
    good = torch.tensor([[0, 1, 2], [2, 1, 0]]).to(dtype)
    bad = torch.tensor([[0, 1, 2], [2, 3, 0]]).to(dtype)
    good, bad = (t if contiguous else t.T for t in (good, bad))
    _checks.check_range(good, "x", 0, 2)
    _checks.check_finite(good, "x")
    with pytest.raises(ValueError, match=r"^x: expected values in 0..2, got 3$"):
        _checks.check_range(bad, "x", 0, 2)
    with pytest.raises(ValueError, match=r"^x: expected values in 1..2, got 0$"):
        _checks.check_range(good, "x", 1, 2)
    if dtype.is_floating_point:
        spoilt = bad.clone()
        spoilt[0, 1] = float("nan")
        with pytest.raises(ValueError, match=r"^x: expected finite values, got 1 value\(s\) that are NaN"):
            _checks.check_finite(spoilt, "x")
        with pytest.raises(ValueError, match=r"^x: expected values in 0..5, got nan$"):
            _checks.check_range(spoilt, "x", 0, 5)


# ---- plans -----------------------------------------------------------------------------------------------


def test_a_plan_remembers_its_inputs_until_the_source_changes() -> None:
    images = torch.rand(5, 1, 4, 4)
    plan = MixPlan.from_labels(torch.tensor([0, 1, 2, 1]).view(1, 2, 2, 1).repeat(1, 1, 1, 2))
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"^images: expected at least 3 \(the plan uses input 2\), got 2$"
        ):
            plan.mix(images[:2])
    plan.source[0, 0, 0] = 4  # written to
    with pytest.raises(ValueError, match=r"^images: expected at least 5"):
        plan.mix(images[:4])
    plan.source = plan.source.clamp(max=3)  # assigned
    plan.mix(images[:4])
    with pytest.raises(ValueError, match=r"^n_inputs: expected at least 4"):
        plan.ratio(3)
    with torch.inference_mode():
        counted_nowhere = MixPlan(plan.source.clone(), plan.block.clone(), plan.weight.clone())
        counted_nowhere.mix(images[:4])
        counted_nowhere.source[0, 0, 0] = 4
        with pytest.raises(ValueError, match=r"^images: expected at least 5"):
            counted_nowhere.mix(images[:4])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("moved", [torch.int64, torch.int32, None])
def test_plans_of_masks_are_the_same_whoever_builds_them(
    dtype: torch.dtype, moved: torch.dtype | None
) -> None:
    rng = torch.Generator().manual_seed(0)
    mask = (torch.randint(0, 5, (6, 3, 4), generator=rng) / 4).to(dtype)
    index = torch.randperm(6, generator=rng)
    plans = [
        None
        if moved is None
        else torch.stack([torch.randperm(12, generator=rng) for _ in range(6)]).view(6, 3, 4)
        for _ in range(2)
    ]
    made = MixPlan.from_mask(mask, index, *(p if p is None else p.to(moved) for p in plans))
    home = torch.arange(12).view(1, 3, 4).expand(6, 3, 4)
    own = torch.arange(6).view(6, 1, 1).expand(6, 3, 4)
    assert torch.equal(made.source, torch.stack([own, index.view(6, 1, 1).expand(6, 3, 4)], -1))
    assert torch.equal(made.block, torch.stack([home if p is None else p for p in plans], -1))
    assert torch.equal(made.weight, torch.stack([mask.float(), 1 - mask.float()], -1))
    strided = MixPlan.from_mask(
        mask.mT.contiguous().mT, index, *(p if p is None else p.mT.contiguous().mT for p in plans)
    )
    for name in ("source", "block", "weight"):
        assert torch.equal(getattr(strided, name), getattr(made, name))


# ---- block saliency --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (3, 5), (17, 23)])
def test_block_saliency_in_one_pass_and_in_steps_agree(dtype: torch.dtype, grid: tuple[int, int]) -> None:
    maps = torch.rand(7, 17, 23, dtype=torch.float64).to(dtype)
    maps[1] = 0
    maps[2, 3, 3] = float("nan")
    maps[3, 5, 5] = float("inf")
    maps[4] *= 1e-7 if dtype == torch.float16 else 1e-40 if dtype == torch.float32 else 5e-324
    maps[5] *= 6e4 if dtype == torch.float16 else 3e38 if dtype == torch.float32 else 1.7e308
    stepwise = comix.pool_saliency(maps.clone().requires_grad_(), grid)
    assert stepwise.requires_grad
    pooled = comix.pool_saliency(maps, grid)
    assert pooled.dtype == stepwise.dtype
    tolerance = 1e-14 if dtype == torch.float64 else 2e-6
    torch.testing.assert_close(pooled, stepwise.detach(), rtol=tolerance, atol=0)
    with pytest.raises(ValueError, match=r"^saliency: expected values >= 0, got -1$"):
        comix.pool_saliency(torch.where(torch.arange(23) == 22, -1.0, maps[:1].nan_to_num()), grid)


def test_several_arrays_are_judged_at_once() -> None:
    good = [np.arange(5.0), np.ones((2, 3)), np.zeros(0), np.full(1, -1e308)]
    assert _core.all_finite(*good[:2])
    assert _core.all_finite(*good)
    for place in range(4):
        assert not _core.all_finite(*good[:place], np.array([1.0, np.inf]), *good[place:])
    for bad in (np.ones(3, np.float32), np.ones((2, 3)).T, [1.0], None):
        with pytest.raises(TypeError):
            _core.all_finite(good[0], good[1], bad)
        with pytest.raises(TypeError):
            _core.all_finite(good[0], bad)


def test_floats_in_place_are_the_memory_itself() -> None:
    array, tensor = np.arange(6.0).reshape(2, 3), torch.arange(6, dtype=torch.float64)
    assert native.floats_in_place(array) is array
    found = native.floats_in_place(tensor)
    assert found is not None
    tensor[0] = 7
    assert found[0] == 7
    array.flags.writeable = False  # only read
    assert native.floats_in_place(array) is array


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.0,
        [1.0],
        np.ones(3, np.float32),
        np.ones(3, ">f8"),
        np.ones((2, 3)).T,
        np.ma.ones(3),
        np.array([1.0, np.nan]),
        torch.ones(3),
        torch.ones(2, 3, dtype=torch.float64).T,
        torch.ones(3, dtype=torch.float64, requires_grad=True),
        torch.ones(3, dtype=torch.float64, device="meta"),
        torch.ones(3, dtype=torch.float64).to_sparse(),
        torch._neg_view(torch.ones(3, dtype=torch.float64)),
        torch.tensor([torch.inf], dtype=torch.float64),
    ],
    ids=str,
)
def test_all_else_is_not_in_place(value: Any) -> None:
    assert native.floats_in_place(value) is None


def test_costs_in_place_and_costs_to_convert_give_the_same() -> None:
    rng = np.random.default_rng(3)
    unary, pairwise = rng.integers(0, 9, (2, 3, 4, 5, 3)).astype(np.float64), 1 - np.eye(3)
    edges = rng.random((2, 3, 3, 5)), rng.random((2, 3, 4, 4))
    here = comix.grid_cut(unary, pairwise, *edges)
    other = comix.grid_cut(unary.astype(np.int32), pairwise.astype(np.float32), *edges)
    for mine, theirs in zip(here, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    labels = here.labels
    energy = comix.grid_energy(labels, unary, pairwise, *edges)
    np.testing.assert_array_equal(energy, here.energy)
    tensors = comix.grid_cut(*map(torch.from_numpy, (unary, pairwise, *edges)))
    assert torch.equal(tensors.labels, torch.from_numpy(labels))


def test_terms_of_an_energy_are_the_caller_s_own() -> None:
    given = torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8), torch.tensor([1, 0]), 0.5
    first = comix.puzzlemix_energy(*given, grid=2)
    expected = [term.clone() for term in first]
    for term in first:
        term.fill_(7.0)
    for mine, before in zip(comix.puzzlemix_energy(*given, grid=2), expected, strict=True):
        assert torch.equal(mine, before)
