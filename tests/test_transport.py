"""Transport: exact against SciPy and stored optima, greedy against the reference; always permutations."""

from __future__ import annotations

import re
from typing import Any

import comix
import numpy as np
import pytest
import torch
from comix import reference
from golden_data import Case, cases, ids, load
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from solvers import DEVICES, MASKS, SALIENCIES, TRANSPORT_METHODS, torch_threads, transport_problem

CASES = cases("transport")
SIZES = [(1, 1), (1, 2), (1, 7), (6, 1), (2, 2), (3, 5), (5, 3), (4, 4), (8, 8)]
EPS = [0.0, 1e-6, 0.01, 0.1, 0.8, 10.0, 1e9]


def scipy_optimum(saliency: NDArray[Any], mask: NDArray[Any], eps: float) -> float:
    matrix = reference.transport_cost_matrix(saliency, mask, eps)
    row, column = linear_sum_assignment(matrix)
    return float(matrix[row, column].sum())


def tolerance(saliency: NDArray[Any], eps: float) -> float:
    """Costs are rounded to 2^-40 of the largest one."""
    return 2.0**-38 * saliency[0].size * (2 * eps + float(saliency.max()))


def assert_permutations(plan: Any, blocks: int) -> None:
    flat = np.sort(np.asarray(plan).reshape(-1, blocks))
    np.testing.assert_array_equal(flat, np.broadcast_to(np.arange(blocks), flat.shape))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("saliency_kind", SALIENCIES)
@pytest.mark.parametrize("mask_kind", MASKS)
def test_exact_equals_scipy(size: tuple[int, int], saliency_kind: str, mask_kind: str) -> None:
    saliency, mask = transport_problem(1, size, saliency=saliency_kind, mask=mask_kind)
    for eps in EPS:
        plan = comix.transport_plan(saliency, mask, eps=eps)
        assert plan.shape == (3, *size)
        assert plan.dtype == np.int64
        assert_permutations(plan, size[0] * size[1])
        cost = reference.transport_cost(plan, saliency, mask, eps)
        best = [scipy_optimum(s, m, eps) for s, m in zip(saliency, mask, strict=True)]
        np.testing.assert_allclose(cost, best, rtol=0, atol=tolerance(saliency, eps))


@pytest.mark.parametrize("device", DEVICES)
def test_exact_equals_scipy_on_large_grids(device: str) -> None:
    saliency, mask = transport_problem(2, (16, 16), batch=4, saliency="peaked")
    for eps in (0.001, 0.05, 0.8):
        plan = comix.transport_plan(
            torch.from_numpy(saliency).to(device), torch.from_numpy(mask).to(device), eps=eps
        ).cpu()
        cost = reference.transport_cost(plan, saliency, mask, eps)
        best = [scipy_optimum(s, m, eps) for s, m in zip(saliency, mask, strict=True)]
        np.testing.assert_allclose(cost, best, rtol=0, atol=tolerance(saliency, eps))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_stored_plans_and_optima(case: Case, device: str) -> None:
    stored = load("transport", case["id"])
    saliency, mask, eps = stored["saliency"], stored["mask"], case["eps"]
    on_device = torch.from_numpy(saliency).to(device), torch.from_numpy(mask).to(device)
    exact = comix.transport_plan(*on_device, eps=eps)
    cost = comix.transport_cost(exact, *on_device, eps=eps).cpu()
    np.testing.assert_allclose(
        cost, stored["cost_full_opt"], rtol=1e-11, atol=tolerance(saliency.astype(np.float64), eps)
    )
    assert (cost.numpy() <= stored["cost_full_ref"] + 1e-9).all()
    greedy = comix.transport_plan(*on_device, eps=eps, method="greedy").cpu().numpy()
    np.testing.assert_array_equal(greedy, reference.transport_plan(saliency, mask, eps=eps, method="greedy"))
    shown = (mask.reshape(case["K"], -1) > 0) & (stored["src"] >= 0)
    np.testing.assert_array_equal(greedy.reshape(case["K"], -1)[shown], stored["src"][shown])


@pytest.mark.parametrize("size", [*SIZES, (2, 9), (16, 16)])
def test_greedy_equals_the_reference(size: tuple[int, int]) -> None:
    for saliency_kind in SALIENCIES:
        for mask_kind in MASKS:
            saliency, mask = transport_problem(3, size, batch=1, saliency=saliency_kind, mask=mask_kind)
            for eps in (0.0, 0.02, 0.8, 10.0):
                plan = comix.transport_plan(saliency, mask, eps=eps, method="greedy")
                expected = reference.transport_plan(saliency, mask, eps=eps, method="greedy")
                np.testing.assert_array_equal(plan, expected)


@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    method=st.sampled_from(TRANSPORT_METHODS),
    eps=st.one_of(st.floats(0, 2), st.floats(0, 1e300)),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_plans_are_permutations_and_exact_is_cheapest(
    height: int, width: int, method: str, eps: float, data: st.DataObject
) -> None:
    n = height * width
    values = st.sampled_from([0.0, 0.25, 1.0, 3.5, 1e-30, 1e30])
    saliency = np.array(data.draw(st.lists(values, min_size=n, max_size=n))).reshape(1, height, width)
    shares = st.sampled_from([0.0, 0.5, 1.0, 5e-324])
    mask = np.array(data.draw(st.lists(shares, min_size=n, max_size=n))).reshape(1, height, width)
    plan = comix.transport_plan(saliency, mask, eps=eps, method=method)
    assert_permutations(plan, n)
    cost = float(comix.transport_cost(plan, saliency, mask, eps=eps)[0])
    slack = tolerance(saliency, eps)
    assert cost == pytest.approx(
        float(reference.transport_cost(plan, saliency, mask, eps)[0]), rel=1e-12, abs=slack
    )
    best = scipy_optimum(saliency[0], mask[0], eps)
    assert cost >= best - slack
    if method == "exact":
        assert cost <= best + slack


@pytest.mark.parametrize("exponent", [-900, -60, 60, 900])
def test_plans_do_not_depend_on_the_unit_of_cost(exponent: int) -> None:
    for size in [(1, 7), (3, 5), (8, 8)]:
        saliency, mask = transport_problem(10, size, saliency="peaked")
        for eps in (0.01, 0.1, 0.8):
            plan = comix.transport_plan(
                np.ldexp(saliency, exponent), mask, eps=float(np.ldexp(eps, exponent))
            )
            cost = reference.transport_cost(plan, saliency, mask, eps)
            best = [scipy_optimum(s, m, eps) for s, m in zip(saliency, mask, strict=True)]
            np.testing.assert_allclose(cost, best, rtol=0, atol=tolerance(saliency, eps))


def test_nothing_moves_when_nothing_is_gained() -> None:
    own = np.arange(12).reshape(3, 4)
    for mask_kind in ("all", "none"):
        saliency, mask = transport_problem(4, (3, 4), mask=mask_kind)
        np.testing.assert_array_equal(comix.transport_plan(saliency, mask), [own] * 3)
    saliency, mask = transport_problem(4, (3, 4))
    np.testing.assert_array_equal(comix.transport_plan(saliency, mask, eps=1e6), [own] * 3)
    np.testing.assert_array_equal(comix.transport_plan(saliency * 0, mask), [own] * 3)


def test_free_moves_show_the_most_salient_blocks() -> None:
    saliency, mask = transport_problem(5, (4, 5), mask="halves")
    plan = comix.transport_plan(saliency, mask, eps=0.0)
    for b in range(3):
        shown = set(plan[b][mask[b] > 0])
        assert shown == set(np.argsort(saliency[b].ravel())[-len(shown) :])


@pytest.mark.parametrize("lead", [1, 4])
def test_cost_equals_the_reference(lead: int) -> None:
    rng = np.random.default_rng(0)
    for size in SIZES:
        saliency, mask = transport_problem(6, size, batch=lead)
        n = size[0] * size[1]
        plan = rng.integers(0, n, (lead, *size))  # any plan has a cost, permutation or not
        for eps in (0.0, 0.8, 3):
            cost = comix.transport_cost(plan, saliency, mask, eps=eps)
            assert cost.shape == (lead,)
            assert cost.dtype == np.float64
            expected = reference.transport_cost(plan, saliency, mask, eps)
            np.testing.assert_allclose(cost, expected, rtol=1e-12, atol=1e-12)


# --- batches, arrays, layouts -------------------------------------------------------------------------


@pytest.mark.parametrize("method", TRANSPORT_METHODS)
def test_any_split_and_any_threads_give_the_same(method: str) -> None:
    saliency, mask = transport_problem(7, (6, 6), batch=9, saliency="ties")
    with torch_threads(1):
        whole = comix.transport_plan(saliency, mask, eps=0.01, method=method)
    for threads in (1, 2, 8):
        with torch_threads(threads):
            for step in (1, 2, 4, 9):
                parts = [
                    comix.transport_plan(saliency[i : i + step], mask[i : i + step], eps=0.01, method=method)
                    for i in range(0, 9, step)
                ]
                np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("method", TRANSPORT_METHODS)
def test_what_comes_in_decides_what_goes_out(method: str, device: str) -> None:
    saliency, mask = transport_problem(8, (3, 4))
    tensors = torch.from_numpy(saliency).to(device), torch.from_numpy(mask).to(device)
    from_numpy = comix.transport_plan(saliency, mask, method=method)
    from_torch = comix.transport_plan(*tensors, method=method)
    assert isinstance(from_numpy, np.ndarray)
    assert isinstance(from_torch, torch.Tensor)
    assert from_torch.dtype == torch.int64
    assert from_torch.device.type == device
    np.testing.assert_array_equal(from_numpy, from_torch.cpu())
    assert isinstance(comix.transport_cost(from_numpy, saliency, mask), np.ndarray)
    assert isinstance(comix.transport_cost(from_torch, *tensors), torch.Tensor)
    assert isinstance(comix.transport_cost(from_torch.cpu(), saliency, mask), torch.Tensor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.uint8, torch.int64])
def test_every_dtype_is_solved_on_its_own_values(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    saliency = (torch.rand(2, 4, 4, generator=generator) * 5).to(dtype)
    mask = torch.randint(0, 2, (2, 4, 4), generator=generator).to(dtype)
    for method in TRANSPORT_METHODS:
        plan = comix.transport_plan(saliency, mask, eps=0.3, method=method)
        expected = comix.transport_plan(saliency.double(), mask.double(), eps=0.3, method=method)
        assert torch.equal(plan, expected)
        for index_dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
            assert torch.equal(
                comix.transport_cost(plan.to(index_dtype), saliency, mask),
                comix.transport_cost(plan, saliency.double(), mask.double()),
            )


def test_inputs_stay_and_any_layout_will_do() -> None:
    saliency, mask = transport_problem(9, (4, 6))
    saliency.flags.writeable = mask.flags.writeable = False
    before = saliency.tobytes(), mask.tobytes()
    for method in TRANSPORT_METHODS:
        plan = comix.transport_plan(saliency, mask, eps=0.05, method=method)
        for layout in (np.asfortranarray, lambda a: a[:, ::-1].copy()[:, ::-1]):
            again = comix.transport_plan(layout(saliency), layout(mask), eps=0.05, method=method)
            np.testing.assert_array_equal(plan, again)
        views = torch.tensor(saliency).mT.contiguous().mT, torch.tensor(mask).requires_grad_()
        assert torch.equal(comix.transport_plan(*views, eps=0.05, method=method), torch.from_numpy(plan))
    comix.transport_cost(plan, saliency, mask)
    assert before == (saliency.tobytes(), mask.tobytes())


# --- errors -------------------------------------------------------------------------------------------

ONES = np.ones((2, 3, 4))
OWN = np.broadcast_to(np.arange(12).reshape(3, 4), (2, 3, 4))
NOT_FINITE = "expected finite values, got 1 value(s) that are NaN or infinite"
NUMERIC = "float16, bfloat16, float32, float64, uint8, int8, int16, int32, int64"


def with_entry(value: float) -> NDArray[Any]:
    copy = ONES.copy()
    copy[1, 1, 1] = value
    return copy


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"saliency": ONES[0]}, ValueError, "saliency: expected shape [B, gh, gw], got [3, 4]"),
        ({"saliency": ONES[None]}, ValueError, "saliency: expected shape [B, gh, gw], got [1, 2, 3, 4]"),
        (
            {"saliency": ONES[:0]},
            ValueError,
            "saliency: expected at least one map of one block, got shape [0, 3, 4]",
        ),
        (
            {"mask": ONES[:1]},
            ValueError,
            "mask: expected the shape of saliency, [2, 3, 4], got [1, 3, 4]",
        ),
        ({"saliency": with_entry(-0.5)}, ValueError, "saliency: expected values in 0..inf, got -0.5"),
        ({"mask": with_entry(1.5)}, ValueError, "mask: expected values in 0..1, got 1.5"),
        ({"mask": with_entry(-0.25)}, ValueError, "mask: expected values in 0..1, got -0.25"),
        *(
            ({name: with_entry(bad)}, ValueError, f"{name}: {NOT_FINITE}")
            for name in ("saliency", "mask")
            for bad in (np.nan, np.inf, -np.inf)
        ),
        *(
            ({name: ONES.astype(bool)}, TypeError, f"{name}: expected dtype {NUMERIC}, got bool")
            for name in ("saliency", "mask")
        ),
        *(
            ({name: ONES.tolist()}, TypeError, f"{name}: expected a torch.Tensor or numpy.ndarray, got list")
            for name in ("saliency", "mask")
        ),
        ({"saliency": ONES + 0j}, TypeError, f"saliency: expected dtype {NUMERIC}, got complex128"),
        ({"eps": -0.1}, ValueError, "eps: expected a number of at least 0, got -0.1"),
        ({"eps": np.nan}, ValueError, "eps: expected a number of at least 0, got nan"),
        ({"eps": np.inf}, ValueError, "eps: expected a number of at least 0, got inf"),
        ({"eps": "0.8"}, TypeError, "eps: expected a number of at least 0, got '0.8'"),
        ({"eps": None}, TypeError, "eps: expected a number of at least 0, got None"),
        ({"eps": True}, TypeError, "eps: expected a number of at least 0, got True"),
    ],
)
def test_errors(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    terms = {"saliency": ONES, "mask": ONES, **arguments}
    calls = [lambda m=m: comix.transport_plan(**terms, method=m) for m in TRANSPORT_METHODS]
    calls.append(lambda: comix.transport_cost(OWN, **terms))
    for call in calls:
        with pytest.raises(error, match=f"^{re.escape(text)}$"):
            call()


@pytest.mark.parametrize(
    ("plan", "error", "text"),
    [
        (OWN[:1], ValueError, "plan: expected the shape of saliency, [2, 3, 4], got [1, 3, 4]"),
        (OWN + 1, ValueError, "plan: expected values in 0..11, got 12"),
        (OWN - 1, ValueError, "plan: expected values in 0..11, got -1"),
        (OWN * 1.0, TypeError, "plan: expected dtype uint8, int8, int16, int32, int64, got float64"),
        (OWN > 1, TypeError, "plan: expected dtype uint8, int8, int16, int32, int64, got bool"),
        (None, TypeError, "plan: expected a torch.Tensor or numpy.ndarray, got NoneType"),
    ],
)
def test_plans_that_are_none(plan: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        comix.transport_cost(plan, ONES, ONES)


@pytest.mark.parametrize("method", ["best", "Exact", None, 1])
def test_unknown_method(method: Any) -> None:
    text = f"method: expected one of 'exact', 'greedy', got {method!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        comix.transport_plan(ONES, ONES, method=method)


def test_devices_and_sizes_that_cannot_be_solved() -> None:
    with pytest.raises(comix.BackendUnavailable, match=r"^saliency: is on meta, but .*\.cpu\(\)"):
        comix.transport_plan(torch.ones(1, 2, 2, device="meta"), torch.ones(1, 2, 2))
    with pytest.raises(ValueError, match=r"at most 16384 blocks \(128 x 128\)"):
        comix.transport_plan(np.ones((1, 129, 128)), np.ones((1, 129, 128)))


def test_costs_beyond_float64_are_refused() -> None:
    for eps, scale in ((1.7e308, 1.0), (0.8e308, 1.7e308)):
        with pytest.raises(ValueError, match="overflow"):
            comix.transport_plan(ONES * scale, ONES, eps=eps)
