"""Grid cuts: batches and broadcasting, threads, arrays and tensors, dtypes, layouts, untouched inputs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import comix
import numpy as np
import pytest
import torch
from comix import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers import (
    CUT_METHODS,
    DEVICES,
    CutProblem,
    cut_problem,
    integer_cut_problem,
    stack,
    torch_threads,
)


def batch_of(count: int, size: tuple[int, int] = (4, 5), labels: int = 3) -> CutProblem:
    """Problems that share a pairwise matrix, with one weight per edge."""
    problems = [cut_problem(seed, size, labels, distance="truncated") for seed in range(count)]
    return stack(problems)


def assert_same(a: comix.GridCut, b: comix.GridCut) -> None:
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


# --- batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", CUT_METHODS)
@pytest.mark.parametrize("lead", [(), (6,), (2, 3), (1, 6, 1)])
def test_leading_dimensions_are_problems_of_their_own(method: str, lead: tuple[int, ...]) -> None:
    unary, pairwise, weight_v, weight_h = batch_of(6 if lead else 1)
    shaped = CutProblem(
        unary.reshape(*lead, 4, 5, 3), pairwise, weight_v.reshape(*lead, 3, 5), weight_h.reshape(*lead, 4, 4)
    )
    cut = comix.grid_cut(*shaped, method=method)
    assert cut.labels.shape == (*lead, 4, 5)
    assert cut.energy.shape == cut.optimal.shape == lead
    energy = comix.grid_energy(cut.labels, *shaped)
    assert energy.shape == lead
    np.testing.assert_array_equal(energy, cut.energy)
    np.testing.assert_allclose(energy, reference.grid_energy(cut.labels, *shaped), rtol=1e-12)
    for b in np.ndindex(*lead):
        one = comix.grid_cut(shaped.unary[b], pairwise, shaped.weight_v[b], shaped.weight_h[b], method=method)
        np.testing.assert_array_equal(one.labels, cut.labels[b])
        assert one.energy == cut.energy[b]
        assert one.optimal == cut.optimal[b]


@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    threads=st.sampled_from([1, 2, 5]),
    method=st.sampled_from(CUT_METHODS),
)
@settings(max_examples=40, deadline=None)
def test_any_split_of_a_batch_and_any_threads_give_the_same(
    seed: int, cuts: list[int], threads: int, method: str
) -> None:
    problems = [integer_cut_problem(seed + i, (3, 4), 3) for i in range(12)]
    unary, pairwise, weight_v, weight_h = stack(problems)
    with torch_threads(1):
        whole = comix.grid_cut(unary, pairwise, weight_v, weight_h, method=method)
    with torch_threads(threads):
        parts = [
            comix.grid_cut(unary[i:j], pairwise, weight_v[i:j], weight_h[i:j], method=method)
            for i, j in zip([0, *sorted(cuts)], [*sorted(cuts), 12], strict=True)
            if i < j
        ]
    assert_same(whole, comix.GridCut(*(np.concatenate(p) for p in zip(*parts, strict=True))))


@pytest.mark.parametrize("method", CUT_METHODS)
def test_uneven_problems_under_threads_repeat_themselves(method: str) -> None:
    sizes = [cut_problem(s, (9, 10), 4, distance="linear", costs="smooth") for s in range(10)]
    problem = stack(sizes)
    with torch_threads(1):
        alone = comix.grid_cut(*problem, method=method)
    for threads in (2, 3, 16):
        with torch_threads(threads):
            assert_same(alone, comix.grid_cut(*problem, method=method))


def test_calls_from_several_python_threads_at_once() -> None:
    problem = stack([cut_problem(s, (7, 8), 4, distance="linear", costs="smooth") for s in range(6)])
    expected = comix.grid_cut(*problem, method="auto")
    with torch_threads(3), ThreadPoolExecutor(4) as pool:
        for cut in pool.map(lambda _: comix.grid_cut(*problem, method="auto"), range(40)):
            assert_same(expected, cut)


def test_scalar_weights_equal_arrays_of_them() -> None:
    problem = batch_of(4)
    scalars: list[tuple[Any, Any]] = [
        (0.25, 2),
        (np.float32(0.25), np.int64(2)),
        (np.array(0.25), np.array(2.0)),
        (torch.tensor(0.25), torch.tensor(2)),
    ]
    arrays = np.full((4, 3, 5), 0.25), np.full((4, 4, 4), 2.0)
    expected = comix.grid_cut(problem.unary, problem.pairwise, *arrays, method="swap")
    for weight_v, weight_h in scalars:
        assert_same(
            expected,
            comix.grid_cut(problem.unary, problem.pairwise, weight_v, weight_h, method="swap"),
        )
        assert_same(  # one of each kind
            expected,
            comix.grid_cut(problem.unary, problem.pairwise, arrays[0], weight_h, method="swap"),
        )
    defaults = comix.grid_cut(problem.unary, problem.pairwise)
    assert_same(defaults, comix.grid_cut(problem.unary, problem.pairwise, 1.0, np.ones((4, 4))))


def test_weights_and_starts_broadcast_over_the_batch() -> None:
    rng = np.random.default_rng(0)
    unary, pairwise = rng.random((2, 3, 4, 5, 3)), 1 - np.eye(3)
    for v_lead, h_lead in [((), ()), ((3,), (2, 1)), ((1, 3), (1, 1)), ((2, 3), (2, 1))]:
        weight_v, weight_h = rng.random((*v_lead, 3, 5)), rng.random((*h_lead, 4, 4))
        full_v = np.broadcast_to(weight_v, (2, 3, 3, 5))
        full_h = np.broadcast_to(weight_h, (2, 3, 4, 4))
        start = rng.integers(0, 3, (*h_lead, 4, 5))
        full_start = np.broadcast_to(start, (2, 3, 4, 5))
        assert_same(
            comix.grid_cut(unary, pairwise, weight_v, weight_h, init=start),
            comix.grid_cut(unary, pairwise, full_v.copy(), full_h.copy(), init=full_start.copy()),
        )
        np.testing.assert_array_equal(
            comix.grid_energy(start, unary, pairwise, weight_v, weight_h),
            comix.grid_energy(full_start.copy(), unary, pairwise, full_v.copy(), full_h.copy()),
        )


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1)])
def test_grids_without_edges_take_empty_weight_arrays(size: tuple[int, int]) -> None:
    h, w = size
    unary = np.random.default_rng(1).random((2, h, w, 3))
    weights = np.ones((2, h - 1, w)), np.ones((2, h, w - 1))
    for method in CUT_METHODS:
        assert_same(
            comix.grid_cut(unary, 1 - np.eye(3), *weights, method=method),
            comix.grid_cut(unary, 1 - np.eye(3), method=method),
        )


# --- arrays, tensors, dtypes --------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("method", CUT_METHODS)
def test_what_comes_in_decides_what_goes_out(method: str, device: str) -> None:
    problem = batch_of(2)
    from_numpy = comix.grid_cut(*problem, method=method)
    for value, dtype in zip(from_numpy, (np.int64, np.float64, np.bool_), strict=True):
        assert isinstance(value, np.ndarray)
        assert value.dtype == dtype
    from_torch = comix.grid_cut(*problem.tensors(device), method=method)
    for value, dtype in zip(from_torch, (torch.int64, torch.float64, torch.bool), strict=True):
        assert isinstance(value, torch.Tensor)
        assert value.dtype == dtype
        assert value.device.type == device
    assert_same(from_numpy, comix.GridCut(*(v.cpu() for v in from_torch)))
    # The first argument decides; the others may be of either kind.
    mixed = comix.grid_cut(torch.from_numpy(problem.unary), *problem[1:], init=np.zeros((4, 5), int))
    assert isinstance(mixed.labels, torch.Tensor)
    assert isinstance(comix.grid_energy(from_numpy.labels, *problem), np.ndarray)
    energy = comix.grid_energy(from_torch.labels, *problem.tensors(device))
    assert isinstance(energy, torch.Tensor)
    np.testing.assert_array_equal(energy.cpu().numpy(), from_numpy.energy)


def test_results_are_fresh_and_writable() -> None:
    problem = batch_of(2)
    a = comix.grid_cut(*problem)
    b = comix.grid_cut(*problem)
    a.labels[:] = 0
    a.energy[:] = 0
    assert b.labels.any()
    assert b.energy.all()


DTYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_solved_on_its_own_values(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = (3, 4, 5, 3), (3, 3), (3, 3, 5), (3, 4, 4)
    given_terms = [(torch.rand(s, generator=generator) * 9).to(dtype) for s in shapes]
    doubles = [t.double() for t in given_terms]
    start = torch.randint(0, 3, (3, 4, 5), generator=generator)
    for method in CUT_METHODS:
        assert_same(comix.grid_cut(*given_terms, method=method), comix.grid_cut(*doubles, method=method))
        for index_dtype in DTYPES[4:]:
            a = comix.grid_cut(*given_terms, method=method, init=start.to(index_dtype))
            assert_same(a, comix.grid_cut(*doubles, method=method, init=start))
            assert torch.equal(
                comix.grid_energy(start.to(index_dtype), *given_terms), comix.grid_energy(start, *doubles)
            )
    if dtype != torch.bfloat16:
        assert_same(comix.grid_cut(*given_terms), comix.grid_cut(*(t.numpy() for t in given_terms)))


def test_integers_are_exact_up_to_two_to_the_53() -> None:
    unary = np.array([[[2**53, 2**53 - 1], [-(2**53), 1 - 2**53]]])
    cut = comix.grid_cut(unary, np.zeros((2, 2), int), method="exact")
    assert cut.labels.tolist() == [[1, 0]]
    assert cut.energy == -1


def snapshot(terms: tuple[Any, ...]) -> list[bytes]:
    return [np.asarray(t).tobytes() for t in terms]


@pytest.mark.parametrize("method", CUT_METHODS)
def test_inputs_stay_bit_for_bit(method: str) -> None:
    problem = batch_of(3)
    start = np.ones((3, 4, 5), int)
    for terms in ((*problem, start), (*problem.tensors(), torch.from_numpy(start.copy()))):
        before = snapshot(terms)
        cut = comix.grid_cut(*terms[:4], method=method, init=terms[4])
        comix.grid_energy(cut.labels, *terms[:4])
        assert snapshot(terms) == before
    for term in (*problem, start):
        term.flags.writeable = False
    assert comix.grid_cut(*problem, method=method, init=start).labels.flags.writeable


@pytest.mark.parametrize("method", CUT_METHODS)
def test_any_memory_layout(method: str) -> None:
    problem = batch_of(3)
    start = np.random.default_rng(0).integers(0, 3, (3, 4, 5))
    expected = comix.grid_cut(*problem, method=method, init=start)

    def strided(a: Any) -> Any:  # every second element of a larger array, last axis first in memory
        wide = np.zeros(tuple(2 * n for n in a.shape)).astype(a.dtype).T
        wide.T[tuple(slice(None, None, 2) for _ in a.shape)] = a
        return wide.T[tuple(slice(None, None, 2) for _ in a.shape)]

    def backwards(a: Any) -> Any:
        return a[..., ::-1].copy()[..., ::-1]

    for layout in (np.asfortranarray, strided, backwards):
        terms = [layout(t) for t in (*problem, start)]
        assert not any(t.flags.c_contiguous for t in terms[:1])
        assert_same(expected, comix.grid_cut(*terms[:4], method=method, init=terms[4]))
    tensors = [torch.from_numpy(strided(t)) for t in (*problem, start)]
    assert_same(expected, comix.grid_cut(*tensors[:4], method=method, init=tensors[4]))
    expanded = torch.from_numpy(problem.unary[:1]).expand(3, 4, 5, 3)
    assert torch.equal(
        comix.grid_cut(expanded, torch.from_numpy(problem.pairwise), method=method).labels,
        comix.grid_cut(expanded.clone(), torch.from_numpy(problem.pairwise), method=method).labels,
    )


def test_tensors_that_want_gradients_or_are_views_of_complex_ones() -> None:
    problem = batch_of(2).tensors()
    expected = comix.grid_cut(*problem)
    wanting = [t.clone().requires_grad_() for t in problem]
    cut = comix.grid_cut(*wanting)
    assert_same(expected, cut)
    assert not cut.energy.requires_grad
    assert comix.grid_energy(cut.labels, *wanting).tolist() == expected.energy.tolist()
    assert all(t.grad is None for t in wanting)
    assert_same(expected, comix.grid_cut(torch.nn.Parameter(problem.unary), *problem[1:]))
    negated = torch.complex(torch.zeros_like(problem.unary), -problem.unary).conj().imag
    assert negated.is_neg()
    assert_same(expected, comix.grid_cut(negated, *problem[1:]))


@pytest.mark.parametrize("device", DEVICES)
def test_energy_equals_the_reference(device: str) -> None:
    rng = np.random.default_rng(0)
    for lead, size, labels in [((), (1, 1), 1), ((4,), (3, 7), 5), ((2, 2), (6, 1), 2)]:
        problem = CutProblem(
            rng.normal(size=(*lead, *size, labels)),
            rng.normal(size=(labels, labels)),
            rng.normal(size=(*lead, size[0] - 1, size[1])),
            rng.normal(),
        )
        labelling = rng.integers(0, labels, (*lead, *size))
        energy = comix.grid_energy(torch.from_numpy(labelling).to(device), *problem.tensors(device))
        np.testing.assert_allclose(
            energy.cpu(), reference.grid_energy(labelling, *problem), rtol=1e-12, atol=1e-12
        )
