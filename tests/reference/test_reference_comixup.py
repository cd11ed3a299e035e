"""The reference Co-Mixup: stored masks bit for bit, stored objectives, and the rules of its options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comix import reference
from golden_data import Arrays, Case, cases, comixup_threshold, has_own_ties, ids, labels_from_mask2, load
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

CASES = cases("comixup_label")
# All 78 repeat; these are the quick ones, about a tenth of a second each, and one larger case.
QUICK = [c for c in CASES if c["n_out"] * c["iterations"] * c["n_in"] ** 2 * c["blocks"] ** 2 < 1.4e5]
REPLAYED = [*QUICK, next(c for c in CASES if c["blocks"] == 8 and c["n_in"] == 16 and c["set_resolve"])]


def replay(case: Case, stored: Arrays, members: NDArray[Any] | None, **changes: Any) -> NDArray[np.int64]:
    options: dict[str, Any] = {
        "compatibility": stored["A"],
        "init": stored["idx"],
        "beta": case["beta"],
        "gamma": case["gamma"],
        "tau": case["thres"],
        "sweeps": case["niter"],
        "threshold": comixup_threshold(case),
        "resolve_duplicates": case["set_resolve"],
        "members": members,
    }
    return reference.comixup_labels(stored["cost_prior"], **{**options, **changes})


@pytest.mark.parametrize("case", REPLAYED, ids=ids(REPLAYED))
def test_stored_masks_are_repeated(case: Case) -> None:
    stored = load("comixup_label", case["id"])
    expected = labels_from_mask2(stored["mask2"])
    np.testing.assert_array_equal(replay(case, stored, stored["members"]), expected)


OWN_TIES = [c for c in QUICK if c["blocks"] <= 4]


@pytest.mark.parametrize("case", OWN_TIES, ids=ids(OWN_TIES))
def test_lowest_index_ties_repeat_exactly_the_cases_said_to(case: Case) -> None:
    stored = load("comixup_label", case["id"])
    same = (replay(case, stored, None) == labels_from_mask2(stored["mask2"])).all()
    assert same == has_own_ties(case)


def test_replayed_cases_cover_the_golden_set() -> None:
    kinds = {(c["thres_type"], c["set_resolve"]) for c in REPLAYED}
    assert kinds == {("hard", True), ("hard", False), ("soft", True), ("soft", False)}
    assert {c["blocks"] for c in REPLAYED} == {2, 4, 8, 16}
    assert any(not has_own_ties(c) for c in OWN_TIES)
    assert any(c["iterations"] < c["niter"] for c in REPLAYED)  # stopped early
    assert len(REPLAYED) >= 30


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_objectives_are_the_stored_ones(case: Case) -> None:
    stored = load("comixup_label", case["id"])
    labels = labels_from_mask2(stored["mask2"])
    start = np.stack([stored["idx"]] * 2, -1)
    prior, kind = stored["cost_prior"], case["thres_type"]
    common = {"beta": case["beta"], "gamma": case["gamma"]}
    thresholded = {**common, "tau": case["thres"]}
    with_a = {**thresholded, "compatibility": stored["A"]}
    got = {
        "plain": reference.plain_objective(labels, prior, **common),
        "plain_noprior": reference.plain_objective(labels, stored["cost"], **common),
        "plain_start": reference.plain_objective(start, prior, **common),
        "thres": reference.comixup_objective(labels, prior, **thresholded),
        "thres_noprior": reference.comixup_objective(labels, stored["cost"], **thresholded),
        "thres_start": reference.comixup_objective(start, prior, **thresholded),
        "thres_A": reference.comixup_objective(labels, prior, threshold=kind, **with_a),
        "thres_A_coded": reference.comixup_objective(
            labels, prior, threshold=comixup_threshold(case), **with_a
        ),
    }
    assert got == pytest.approx(case["objectives"], rel=1e-10, abs=1e-10)


def random_partition(seed: int, n: int = 4, m: int = 3, gh: int = 2, gw: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    cost = -(rng.random((n, gh, gw)) ** 3)
    cost /= -cost.sum((1, 2), keepdims=True)
    compatibility = 0.7 * np.eye(n) + 0.3 * rng.random((n, n))
    return {
        "cost": cost,
        "compatibility": (compatibility + compatibility.T) / 2,
        "init": rng.integers(0, n, (m, gh, gw)),
    }


@given(st.integers(0, 2**32 - 1), st.sampled_from(["hard", "soft", "hard_official"]))
@settings(max_examples=25, deadline=None)
def test_best_is_the_best_of_all_sweeps(seed: int, threshold: str) -> None:
    partition = random_partition(seed)
    options: dict[str, Any] = {**partition, "threshold": threshold, "resolve_duplicates": False}
    cost = options.pop("cost")

    def value(labels: NDArray[np.int64]) -> float:
        return reference.comixup_objective(
            labels, cost, compatibility=partition["compatibility"], threshold=threshold
        )

    # Without the last sweep's push a run of k sweeps is the start of a longer one.
    seen = [value(reference.comixup_labels(cost, **options, sweeps=k)) for k in range(1, 5)]
    best = reference.comixup_labels(cost, **options, sweeps=4, select="best")
    assert value(best) == min(seen)
    assert (best[..., 0] <= best[..., 1]).all()


def test_inner_cut_and_precision_can_be_exchanged() -> None:
    """With an exact cut in float64, every relabelling is optimal for its linearised problem."""
    seen: list[float] = []

    def exact(unary: NDArray[Any], pairwise: NDArray[Any], weight: Any) -> NDArray[np.int64]:
        assert unary.dtype == np.float64
        labels, energy = reference.frontier_cut(unary, pairwise, weight, weight)
        assert energy <= reference.grid_energy(
            reference.official_cut(unary, pairwise, weight), unary, pairwise, weight, weight
        )
        seen.append(energy)
        return labels

    partition = random_partition(7, n=3, m=4)
    labels = reference.comixup_labels(**partition, cut=exact, dtype=np.float64, sweeps=3)
    assert labels.shape == (4, 2, 3, 2)
    assert len(seen) in (4, 8, 12)


def test_equal_outputs_are_pushed_apart_in_the_last_sweep_only() -> None:
    # Two inputs, salient in one half each; every output wants both, until one of them is made dearer.
    cost = -np.array([[[0.49, 0.01]] * 2, [[0.01, 0.49]] * 2]) / 2
    init = np.zeros((2, 2, 2), int)
    options: dict[str, Any] = {"init": init, "beta": 0.01, "tau": 9.0}
    kept = reference.comixup_labels(cost, gamma=0.0, sweeps=2, **options)
    assert (kept[0] == kept[1]).all()  # the push has the weight gamma
    pushed = reference.comixup_labels(cost, gamma=4.0, sweeps=2, **options)
    assert (pushed[0] == 1).all()  # the first avoids its lowest input
    assert (pushed[1] == 0).all()  # the second its second lowest
    for sweeps, resolve in ((1, True), (2, False)):
        equal = reference.comixup_labels(
            cost, gamma=4.0, sweeps=sweeps, resolve_duplicates=resolve, **options
        )
        assert equal[0].tolist() == equal[1].tolist() == [[[0, 0], [1, 1]]] * 2


def test_a_partition_of_one_input() -> None:
    labels = reference.comixup_labels(np.full((1, 2, 2), -0.25), init=np.zeros((1, 2, 2)))
    assert labels.tolist() == np.zeros((1, 2, 2, 2)).tolist()


def test_thresholds_agree_where_compatibility_is_the_identity() -> None:
    partition = random_partition(11)
    labels = np.stack([partition["init"]] * 2, -1)
    values = {
        t: reference.comixup_objective(labels, partition["cost"], tau=0.4, threshold=t)
        for t in ("hard", "soft", "hard_official")
    }
    assert values["hard"] == values["hard_official"]
    assert values["soft"] < values["hard"]


@pytest.mark.parametrize(("option", "value"), [("threshold", "firm"), ("select", "first")])
def test_unknown_options(option: str, value: str) -> None:
    partition = random_partition(1)
    with pytest.raises(ValueError, match=f"{option}: expected .* got '{value}'"):
        reference.comixup_labels(**{**partition, option: value})
