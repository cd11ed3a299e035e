"""Co-Mixup labels: the reference label by label, stored objectives, what select and restarts promise."""

from __future__ import annotations

from typing import Any

import comix
import numpy as np
import pytest
import torch
from comix import reference
from golden_data import Case, cases, comixup_threshold, ids, labels_from_mask2, load
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from solvers import CUT_METHODS, DEVICES, torch_threads
from torch import Tensor

CASES = cases("comixup_label")
QUICK = [c for c in CASES if c["n_out"] * c["iterations"] * c["n_in"] ** 2 * c["blocks"] ** 2 < 1.4e5]
THRESHOLDS = ("hard", "soft", "hard_official")
EPS = 1e-9  # of objectives around 10: float64 sums of a few thousand terms


def numbers(case: Case) -> dict[str, float]:
    return {"beta": case["beta"], "gamma": case["gamma"], "tau": case["thres"]}


def loop(case: Case) -> dict[str, Any]:
    return {"sweeps": case["niter"], "resolve_duplicates": case["set_resolve"], **numbers(case)}


def tensors(case: Case, device: str = "cpu") -> dict[str, Tensor]:
    """cost, compatibility, init of a stored case, as one partition in float64."""
    stored = load("comixup_label", case["id"])
    names = {"cost": "cost_prior", "compatibility": "A", "init": "idx"}
    arrays = {ours: torch.from_numpy(stored[theirs])[None].to(device) for ours, theirs in names.items()}
    return {name: a if name == "init" else a.double() for name, a in arrays.items()}


def value(labels: Tensor, problem: dict[str, Any], **options: Any) -> Tensor:
    """[P] objectives of labels."""
    keys = ("cost", "compatibility")
    return comix.comixup_objective(labels, **{k: problem[k] for k in keys if k in problem}, **options)


def random_problem(
    seed: int, n: int = 5, m: int = 4, grid: tuple[int, int] = (3, 4), partitions: int = 1, starts: int = 0
) -> dict[str, Tensor]:
    """A diffuse or peaked saliency and a prior per input, symmetric compatibility, uniform start labels."""
    rng = np.random.default_rng([seed, n, m, *grid])
    cost = -(rng.random((partitions, n, *grid)) ** rng.integers(1, 6))
    cost /= -cost.sum((2, 3), keepdims=True)
    cost += 0.1 * rng.random((partitions, n, 1, 1)) / cost[0, 0].size  # without it, whole inputs tie at -1
    far = rng.random((partitions, n, n))
    start = (partitions, starts, m, *grid) if starts else (partitions, m, *grid)
    return {
        "cost": torch.from_numpy(cost),
        "compatibility": torch.from_numpy(0.8 * np.eye(n) + 0.1 * (far + far.transpose(0, 2, 1))),
        "init": torch.from_numpy(rng.integers(0, n, start)),
    }


def reference_labels(problem: dict[str, Tensor], **options: Any) -> NDArray[np.int64]:
    """Labels of the only partition, in float64."""
    arrays = {name: tensor[0].cpu().numpy() for name, tensor in problem.items()}
    return reference.comixup_labels(**arrays, **options, dtype=np.float64)


def exact_swap(unary: Any, pairwise: Any, weight: Any) -> NDArray[np.int64]:
    """Alpha-beta swap on integers of 2^-46: no rounding to the official code's 1e-5, and ties stay ties."""
    scale = 2.0**46  # pairwise has quarters
    whole = round(float(weight) * scale / 4)
    return reference.swap(
        np.rint(unary * scale).astype(np.int64), np.rint(pairwise * 4).astype(np.int64), whole, whole
    )


# ---- the objective ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_objectives_are_the_stored_ones(case: Case, device: str) -> None:
    stored, given_ = load("comixup_label", case["id"]), tensors(case, device)
    labels = torch.from_numpy(labels_from_mask2(stored["mask2"]))[None].to(device)
    start = torch.stack([given_["init"]] * 2, -1)
    cost, matrix = given_["cost"], {"compatibility": given_["compatibility"]}
    no_prior = torch.from_numpy(stored["cost"])[None].to(device)
    options = numbers(case)
    got = {
        "thres": comix.comixup_objective(labels, cost, **options),
        "thres_noprior": comix.comixup_objective(labels, no_prior, **options),
        "thres_start": comix.comixup_objective(start, cost, **options),
        "thres_A": comix.comixup_objective(labels, cost, threshold=case["thres_type"], **options, **matrix),
        "thres_A_coded": comix.comixup_objective(
            labels, cost, threshold=comixup_threshold(case), **options, **matrix
        ),
        # With tau = 0 nothing lies below the threshold, and the objective is the plain one.
        "plain": comix.comixup_objective(labels, cost, **{**options, "tau": 0.0}),
        "plain_start": comix.comixup_objective(start, cost, **{**options, "tau": 0.0}),
    }
    stored_values = {name: case["objectives"][name] for name in got}
    assert {k: float(v) for k, v in got.items()} == pytest.approx(stored_values, rel=1e-10, abs=1e-10)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_objective_is_the_reference(data: st.DataObject) -> None:
    n, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    grid = (data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5)))
    seed = data.draw(st.integers(0, 2**32))
    problem = random_problem(seed, n, m, grid, partitions=2)
    cost = problem["cost"]
    matrix = problem["compatibility"] if data.draw(st.booleans()) else None
    labels = torch.from_numpy(np.random.default_rng(seed).integers(0, n, (2, m, *grid, 2)))
    options: dict[str, Any] = {
        "beta": data.draw(st.sampled_from([0.0, 0.32, 5.0])),
        "gamma": data.draw(st.sampled_from([0.0, 1.0, 3.0])),
        "tau": data.draw(st.sampled_from([0.0, 0.4, 0.83, 2.0])),
        "threshold": data.draw(st.sampled_from(THRESHOLDS)),
    }
    got = comix.comixup_objective(labels, cost, compatibility=matrix, **options)
    assert got.dtype == torch.float64
    for p in range(2):
        a = None if matrix is None else matrix[p].numpy()
        expected = reference.comixup_objective(labels[p].numpy(), cost[p].numpy(), compatibility=a, **options)
        assert float(got[p]) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    swapped = comix.comixup_objective(labels.flip(-1), cost, compatibility=matrix, **options)
    torch.testing.assert_close(swapped, got, rtol=1e-13, atol=1e-13)  # a block's two inputs have no order
    narrow = labels.to(torch.uint8), cost.to(torch.bfloat16)
    wide = narrow[0].long(), narrow[1].double()
    results = [comix.comixup_objective(*pair, compatibility=matrix, **options) for pair in (narrow, wide)]
    assert torch.equal(*results)


# ---- the loop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", QUICK, ids=ids(QUICK))
def test_swap_repeats_the_reference_label_by_label(case: Case) -> None:
    """The official loop, ties lowest index first, cut by cut, but without the official code's rounding."""
    problem, options = tensors(case), loop(case) | {"threshold": comixup_threshold(case)}
    got = comix.comixup_labels(**problem, **options, method="swap", select="last")
    np.testing.assert_array_equal(got[0], reference_labels(problem, **options, cut=exact_swap))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_swap_repeats_the_reference_on_any_problem(data: st.DataObject) -> None:
    grid = (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4)))
    n, m = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    problem = random_problem(data.draw(st.integers(0, 2**32)), n, m, grid)
    options: dict[str, Any] = {
        "threshold": data.draw(st.sampled_from(THRESHOLDS)),
        "sweeps": data.draw(st.integers(1, 4)),
        "resolve_duplicates": data.draw(st.booleans()),
        "beta": data.draw(st.sampled_from([0.1, 0.32, 1.0])),
        "gamma": data.draw(st.sampled_from([0.5, 1.0, 2.0])),
        "tau": data.draw(st.sampled_from([0.3, 0.83, 1.2])),
    }
    got = comix.comixup_labels(**problem, **options, method="swap", select="last")
    np.testing.assert_array_equal(got[0], reference_labels(problem, **options, cut=exact_swap))


@given(st.integers(0, 2**32), st.sampled_from(THRESHOLDS), st.sampled_from([(2, 3), (3, 2), (1, 5)]))
@settings(max_examples=25, deadline=None)
def test_exact_repeats_the_reference_with_exact_cuts(
    seed: int, threshold: str, grid: tuple[int, int]
) -> None:
    problem = random_problem(seed, n=3, m=3, grid=grid)
    options: dict[str, Any] = {"threshold": threshold, "sweeps": 3}
    got = comix.comixup_labels(**problem, **options, method="exact", select="last")
    expected = reference_labels(
        problem, **options, cut=lambda unary, pairwise, w: reference.frontier_cut(unary, pairwise, w, w)[0]
    )
    np.testing.assert_array_equal(got[0], expected)


def test_one_exact_sweep_over_one_output_is_one_optimal_cut() -> None:
    problem = random_problem(3, n=4, m=1, grid=(2, 3))
    got = comix.comixup_labels(**problem, sweeps=1, beta=1.5, method="exact", select="last")
    unary = problem["cost"][0].permute(1, 2, 0).numpy()  # no other output: no penalty
    least = reference.brute_force(unary, 1 - np.eye(4), 1.5 / 6, 1.5 / 6)[1]
    labels = got[0, 0, ..., 0].numpy()
    assert reference.grid_energy(labels, unary, 1 - np.eye(4), 1.5 / 6, 1.5 / 6) == pytest.approx(least)
    assert torch.equal(got[..., 0], got[..., 1])  # blends only from the second sweep on


# ---- select ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", THRESHOLDS)
@given(seed=st.integers(0, 2**32), method=st.sampled_from(CUT_METHODS))
@settings(max_examples=20, deadline=None)
def test_best_is_not_above_any_sweep(threshold: str, seed: int, method: str) -> None:
    problem = random_problem(seed, n=6, m=5, grid=(3, 3))
    options: dict[str, Any] = {"threshold": threshold, "method": method, "resolve_duplicates": False}
    # Without the last sweep's push a run of k sweeps is the start of a longer one.
    runs = [comix.comixup_labels(**problem, **options, sweeps=k, select="last") for k in range(1, 5)]
    seen = [float(value(labels, problem, threshold=threshold)) for labels in runs]
    best = comix.comixup_labels(**problem, **options, sweeps=4)
    found = float(value(best, problem, threshold=threshold))
    assert found <= min(seen) + EPS


def test_descent_helps_the_official_threshold_where_it_can() -> None:
    helped = 0
    for seed in range(30):
        problem = random_problem(seed, n=6, m=6, grid=(4, 4))
        far = 1 - torch.eye(6, dtype=torch.float64).expand(problem["compatibility"].shape)
        problem["compatibility"] = 0.999 * (1 - far) + 0.001 * far  # as the default omega makes it
        options: dict[str, Any] = {"threshold": "hard_official", "resolve_duplicates": False, "sweeps": 3}
        sweeps = [
            comix.comixup_labels(**problem, **{**options, "sweeps": k}, select="last") for k in range(1, 4)
        ]
        lowest = min(float(value(labels, problem, threshold="hard_official")) for labels in sweeps)
        found = float(value(comix.comixup_labels(**problem, **options), problem, threshold="hard_official"))
        assert found <= lowest + EPS
        helped += found < lowest - 1e-6
    assert 3 < helped < 30


def test_best_is_not_above_last_with_resolution() -> None:
    for seed in range(60):
        problem = random_problem(seed, n=4 + seed % 5, m=6, grid=(4, 4))
        for threshold in THRESHOLDS:
            found = [
                float(
                    value(
                        comix.comixup_labels(**problem, threshold=threshold, select=select),
                        problem,
                        threshold=threshold,
                    )
                )
                for select in ("best", "last")
            ]
            assert found[0] <= found[1] + EPS


@pytest.mark.parametrize("threshold", ["hard", "soft"])
def test_best_is_a_local_minimum_in_the_blocks_of_overused_inputs(threshold: str) -> None:
    tried = 0
    for seed in range(6):
        n, m, grid = 5, 6, (3, 3)
        problem = random_problem(seed, n, m, grid)
        labels = comix.comixup_labels(**problem, threshold=threshold)
        shares = torch.nn.functional.one_hot(labels, n).double().mean(-2).sum((2, 3))[0]  # [m, n]
        reach = (shares.sum(0) - shares) @ problem["compatibility"][0].T
        overused = ((reach > 0.83 * 9) & (shares > 0)).any(0)
        found = float(value(labels, problem, threshold=threshold))
        changed = []
        for o, r, c in np.ndindex(m, *grid):
            if overused[labels[0, o, r, c]].any():
                for to in range(n):
                    changed.append(labels[0].clone())
                    changed[-1][o, r, c] = to
        tried += len(changed)
        if changed:
            many = {
                k: problem[k].expand(len(changed), *problem[k].shape[1:]) for k in ("cost", "compatibility")
            }
            around = value(torch.stack(changed), many, threshold=threshold)
            assert float(around.min()) >= found - 1e-8
    assert tried > 100


def test_stored_cases_end_lower_than_the_official_code() -> None:
    """On the mean over the 78 cases and in nearly all of them; the official code is a heuristic too."""
    gains: dict[str, list[float]] = {"thres": [], "thres_A": []}
    for case in CASES:
        problem = tensors(case)
        kind = {"threshold": case["thres_type"]}
        labels = comix.comixup_labels(**problem, **loop(case), **kind)
        ours = {
            "thres_A": value(labels, problem, **numbers(case), **kind),
            "thres": comix.comixup_objective(labels, problem["cost"], **numbers(case)),
        }
        for name, found in ours.items():
            gains[name].append(case["objectives"][name] - float(found))
    assert np.mean(gains["thres_A"]) > 40
    assert np.mean(gains["thres"]) > 40
    assert np.mean(np.array(gains["thres_A"]) >= -EPS) > 0.85


# ---- restarts, shapes, determinism -----------------------------------------------------------------------


@given(st.integers(0, 2**32), st.sampled_from(THRESHOLDS), st.sampled_from(["best", "last"]))
@settings(max_examples=25, deadline=None)
def test_several_starts_give_the_best_of_their_runs(seed: int, threshold: str, select: str) -> None:
    problem = random_problem(seed, n=5, m=4, partitions=2, starts=3)
    options: dict[str, Any] = {"threshold": threshold, "select": select, "sweeps": 3}
    got = comix.comixup_labels(**problem, **options)
    runs = [comix.comixup_labels(**{**problem, "init": problem["init"][:, r]}, **options) for r in range(3)]
    values = torch.stack([value(run, problem, threshold=threshold) for run in runs])  # [R, P]
    for p in range(2):
        assert torch.equal(got[p], runs[int(values[:, p].argmin())][p])


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_any_shape_is_one_by_one_and_in_range(data: st.DataObject) -> None:
    n, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    grid = (data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4)))
    partitions = data.draw(st.integers(1, 3))
    problem = random_problem(data.draw(st.integers(0, 2**32)), n, m, grid, partitions)
    if data.draw(st.booleans()):
        del problem["compatibility"]
    options: dict[str, Any] = {
        "sweeps": data.draw(st.integers(1, 4)),
        "threshold": data.draw(st.sampled_from(THRESHOLDS)),
        "select": data.draw(st.sampled_from(["best", "last"])),
        "method": data.draw(st.sampled_from(CUT_METHODS)),
        "tau": data.draw(st.sampled_from([0.0, 0.4, 0.83])),
    }
    before = {name: tensor.clone() for name, tensor in problem.items()}
    got = comix.comixup_labels(**problem, **options)
    assert got.shape == (partitions, m, *grid, 2)
    assert got.dtype == torch.int64
    assert 0 <= got.min() <= got.max() < n
    assert (got[..., 0] <= got[..., 1]).all()
    for p in range(partitions):
        alone = {name: tensor[p : p + 1] for name, tensor in problem.items()}
        assert torch.equal(comix.comixup_labels(**alone, **options), got[p : p + 1])
    assert all(torch.equal(problem[name], before[name]) for name in problem)


def test_threads_and_repetition_do_not_matter() -> None:
    problem = random_problem(5, n=8, m=8, grid=(4, 4), partitions=5, starts=2)
    with torch_threads(2):
        got = comix.comixup_labels(**problem)
        assert torch.equal(comix.comixup_labels(**problem), got)
    with torch_threads(1):
        assert torch.equal(comix.comixup_labels(**problem), got)


def test_layout_and_dtype_do_not_matter() -> None:
    problem = random_problem(6, n=4, m=4, grid=(3, 5), partitions=2)
    rounded = problem["cost"].to(torch.float16)
    plain = comix.comixup_labels(**{**problem, "cost": rounded.double()})
    views = {
        "cost": rounded.transpose(2, 3).contiguous().transpose(2, 3).requires_grad_(),
        "compatibility": problem["compatibility"].mT.contiguous().mT,
        "init": problem["init"].to(torch.uint8).flip(0).flip(0),
    }
    assert torch.equal(comix.comixup_labels(**views), plain)


def test_starts_are_drawn_from_the_generator() -> None:
    cost = random_problem(7, n=5, grid=(3, 3), partitions=2)["cost"]

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(11)

    got = comix.comixup_labels(cost, n_outputs=3, generator=seeded())
    start = torch.randint(0, 5, (2, 1, 3, 3, 3), generator=seeded())
    assert torch.equal(got, comix.comixup_labels(cost, init=start))
    assert comix.comixup_labels(cost, generator=seeded()).shape == (2, 5, 3, 3, 2)
    torch.manual_seed(11)
    assert torch.equal(comix.comixup_labels(cost, n_outputs=3), got)  # None: torch's global generator
    state = torch.get_rng_state()
    comix.comixup_labels(cost, generator=seeded())
    comix.comixup_labels(cost, init=start)
    assert torch.equal(torch.get_rng_state(), state)


def test_many_sweeps_stop_when_nothing_changes() -> None:
    labels = comix.comixup_labels(
        torch.full((1, 1, 2, 2), -0.25), init=torch.zeros(1, 1, 2, 2, dtype=torch.int64), sweeps=2**40
    )
    assert labels.tolist() == torch.zeros(1, 1, 2, 2, 2).tolist()


# ---- what labels mean ------------------------------------------------------------------------------------


def test_shared_blocks_name_two_inputs() -> None:
    # Two inputs that are equally salient: the middle block may go to either, and half of both is cheapest.
    cost = -torch.tensor([[[0.5, 0.25, 0.0]], [[0.0, 0.25, 0.5]]], dtype=torch.float64)[None]
    init = torch.zeros(1, 1, 1, 3, dtype=torch.int64)
    got = comix.comixup_labels(cost, init=init, sweeps=2, gamma=0.0, select="last")
    assert got[0, 0, 0].tolist() == [[0, 0], [0, 1], [1, 1]]
    first = comix.comixup_labels(cost, init=init, sweeps=1, gamma=0.0, select="last")
    assert first[0, 0, 0].tolist() in ([[0, 0], [0, 0], [1, 1]], [[0, 0], [1, 1], [1, 1]])
    shared = comix.comixup_objective(got, cost, gamma=0.0, beta=0.3)
    assert float(shared) == pytest.approx(-1.25 + 0.3 / 3 / 2 * (0.5 + 0.5))


@pytest.mark.parametrize("method", CUT_METHODS)
def test_equal_outputs_are_pushed_apart_in_the_last_sweep_only(method: str) -> None:
    # Two inputs, salient in one half each; every output wants both, until one of them is made dearer.
    half = [[0.49, 0.01]] * 2, [[0.01, 0.49]] * 2
    cost = -torch.tensor(half, dtype=torch.float64)[None] / 2
    init = torch.zeros(1, 2, 2, 2, dtype=torch.int64)
    options: dict[str, Any] = {"init": init, "beta": 0.01, "tau": 9.0, "method": method, "select": "last"}
    kept = comix.comixup_labels(cost, gamma=0.0, sweeps=2, **options)
    assert torch.equal(kept[0, 0], kept[0, 1])  # the push has the weight gamma
    pushed = comix.comixup_labels(cost, gamma=4.0, sweeps=2, **options)
    assert (pushed[0, 0] == 1).all()  # the first avoids its lowest input
    assert (pushed[0, 1] == 0).all()  # the second its second lowest
    for sweeps, resolve in ((1, True), (2, False)):
        equal = comix.comixup_labels(cost, gamma=4.0, sweeps=sweeps, resolve_duplicates=resolve, **options)
        assert equal[0, 0].tolist() == equal[0, 1].tolist() == [[[0, 0], [1, 1]]] * 2


def test_diversity_makes_outputs_use_different_inputs() -> None:
    # One input is salient everywhere, the others a little less: alone every output would show it.
    cost = -torch.full((1, 4, 4, 4), 0.05, dtype=torch.float64)
    cost[:, 0] = -0.0625
    init = torch.zeros(1, 4, 4, 4, dtype=torch.int64)
    alone = comix.comixup_labels(cost, init=init, gamma=0.0)
    assert (alone == 0).all()
    together = comix.comixup_labels(cost, init=init)
    shares = torch.nn.functional.one_hot(together, 4).double().mean(-2).sum((2, 3))[0]  # [m, n]
    assert (shares.sum(0) <= 0.83 * 16 + shares.max(0).values + EPS).all()
    # Two inputs that the compatibility calls alike count for each other.
    alike = torch.eye(4, dtype=torch.float64)[None].clone()
    alike[0, 0, 1] = alike[0, 1, 0] = 1.0
    labels = together * 0
    labels[0, 1:] = 1
    apart = comix.comixup_objective(labels, cost, tau=2.5)
    assert float(comix.comixup_objective(labels, cost, tau=2.5, compatibility=alike)) > float(apart) + 1
