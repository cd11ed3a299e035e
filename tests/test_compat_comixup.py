"""comix.compat.comixup and comixup_imagenet: replayed bit for bit, never worse, and the official defects."""

# ruff: noqa: NPY002 - the official code draws from NumPy's global state

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import comix
import comix.compat
import numpy as np
import pytest
import torch
from comix.compat import comixup, comixup_imagenet
from golden_data import Case, cases, has_own_ties, ids, labels_from_mask2, load, normalised_images

LABEL, FULL = cases("comixup_label"), cases("comixup_full")
DEFAULTS = SimpleNamespace(
    m_block_num=4,
    m_part=20,
    m_beta=0.32,
    m_gamma=1.0,
    m_thres=0.83,
    m_thres_type="hard",
    m_eta=0.05,
    mixup_alpha=2.0,
    m_omega=0.001,
    set_resolve=True,
    m_niter=4,
)
IMAGENET = {"m_block_num": 4, "m_beta": 0.32, "thres": 0.83, "lam_dist": 0.001, "set_resolve": True}


def seed(value: int) -> None:
    torch.manual_seed(value)
    np.random.seed(value)


def onehot_arguments(case: Case) -> dict[str, Any]:
    """Of get_onehot_matrix; the stored cost holds the prior already, so eta is 0."""
    arrays = load("comixup_label", case["id"])
    names = ("beta", "gamma", "mixup_alpha", "thres", "thres_type", "set_resolve", "niter")
    return {
        "cost_matrix": torch.from_numpy(arrays["cost_prior"]),
        "A": torch.from_numpy(arrays["A"]),
        "n_output": case["n_out"],
        "idx": torch.from_numpy(arrays["idx"]).long(),
        "eta": 0.0,
        **{name: case[name] for name in names},
    }


def objective(case: Case, mask2: Any) -> float:
    arrays = load("comixup_label", case["id"])
    return float(
        comix.comixup_objective(
            torch.from_numpy(labels_from_mask2(np.asarray(mask2)))[None],
            torch.from_numpy(arrays["cost_prior"]).double()[None],
            compatibility=torch.from_numpy(arrays["A"]).double()[None],
            beta=case["beta"],
            gamma=case["gamma"],
            tau=case["thres"],
            threshold=case["thres_type"],
        )
    )


# ---- golden cases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LABEL, ids=ids(LABEL))
def test_labels(case: Case) -> None:
    arrays = load("comixup_label", case["id"])
    arguments = onehot_arguments(case)
    before = arguments["cost_matrix"].clone()
    with comix.compat.replay(members=arrays["members"]):
        mask = comixup.get_onehot_matrix(**arguments)
    np.testing.assert_array_equal((2 * mask).numpy(), arrays["mask2"])
    if has_own_ties(case) and not arrays["order_tie"].any() and case["blocks"] < 16:
        with comix.compat.replay():
            np.testing.assert_array_equal(2 * comixup.get_onehot_matrix(**arguments), arrays["mask2"])
    mask = comixup.get_onehot_matrix(**arguments)
    assert mask.dtype == torch.float32
    assert (mask.sum(-1) == 1).all()
    assert objective(case, 2 * mask) <= objective(case, arrays["mask2"]) + 1e-9
    assert torch.equal(arguments["cost_matrix"], before)


@pytest.mark.parametrize("case", LABEL[:12], ids=ids(LABEL[:12]))
def test_objectives_are_the_stored_ones(case: Case) -> None:
    arrays = load("comixup_label", case["id"])
    cost, mask = (
        torch.from_numpy(arrays["cost_prior"]).double(),
        torch.from_numpy(arrays["mask2"]).double() / 2,
    )
    blocks = case["blocks"] ** 2
    numbers = cost, mask, case["beta"] / blocks, case["gamma"] / blocks
    assert float(comixup.obj_fn(*numbers)) == pytest.approx(case["objectives"]["plain"], abs=1e-9)
    if case["thres_type"] == "hard":
        thresholded = comixup.obj_fn_thres(*numbers, case["thres"] * blocks)
        assert float(thresholded) == pytest.approx(case["objectives"]["thres"], abs=1e-9)


def full_call(case: Case, arrays: dict[str, Any], parallel: bool) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(normalised_images(case, arrays))
    target, saliency = torch.from_numpy(arrays["target"]), torch.from_numpy(arrays["saliency"])
    distances = torch.from_numpy(arrays["A_dist"]) if "A_dist" in arrays else None
    settings = case["args"]
    seed(case["seed"])
    if case["variant"] == "cifar":
        args = SimpleNamespace(**settings)
        if parallel:
            mixer = comixup.MixupProcessParallel(settings["m_part"], len(images))
            return mixer(images, target, args=args, sc=saliency, A_dist=distances)
        return comixup.mixup_process(images, target, args, saliency, distances)
    names = {"m_block_num": "m_block_num", "m_beta": "m_beta", "thres": "m_thres", "lam_dist": "m_omega"}
    params = {
        **{ours: settings[theirs] for ours, theirs in names.items()},
        "set_resolve": settings["set_resolve"],
    }
    if parallel:
        return comixup_imagenet.MixupProcessParallel(16, 3)(images, target, params, saliency, distances)
    return comixup_imagenet.mixup_match(images, target, params, saliency, distances)


@pytest.mark.parametrize("parallel", [False, True], ids=["process", "parallel"])
@pytest.mark.parametrize("case", FULL, ids=ids(FULL))
def test_old_seeds_give_the_stored_pictures_in_replay(case: Case, parallel: bool) -> None:
    arrays = load("comixup_full", case["id"])
    with comix.compat.replay(members=arrays["members"]):
        images, target = full_call(case, arrays, parallel)
    np.testing.assert_allclose(images.numpy(), arrays["out"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(target.numpy(), arrays["target_out"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", FULL, ids=ids(FULL))
def test_stored_masks_give_the_stored_pictures(case: Case) -> None:
    arrays = load("comixup_full", case["id"])
    images, target = normalised_images(case, arrays), torch.from_numpy(arrays["target"])
    part = arrays["mask2"].shape[-1]
    mix = comixup.mix_input if case["variant"] == "cifar" else comixup_imagenet.mix_input
    for begin in range(0, case["N"], part):
        rows = slice(begin, min(begin + part, case["N"]))
        mask = torch.from_numpy(arrays["mask2"][rows]).float()[..., : rows.stop - begin] / 2
        got, soft = mix(mask, torch.from_numpy(images[rows]), target[rows])
        np.testing.assert_allclose(got.numpy(), arrays["out"][rows], atol=1e-5, rtol=0)
        np.testing.assert_allclose(soft.numpy(), arrays["target_out"][rows], atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", FULL, ids=ids(FULL))
def test_draws_are_the_official_ones_outside_replay_too(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = load("comixup_full", case["id"])
    seen: list[Any] = []
    solver = comix.compat.comixup.match.solve
    monkeypatch.setattr(comix.compat.comixup.match, "solve", lambda *a: (seen.append(a), solver(*a))[1])
    full_call(case, arrays, parallel=False)
    starts = torch.cat([a[2].flatten(0, 1) for a in seen])
    np.testing.assert_array_equal(starts.numpy(), arrays["init"])
    costs = [cost for a in seen for cost in a[0]]
    settings = case["args"]
    for cost, share in zip(costs, arrays["dirichlet"], strict=True):
        prior = cost.double().sum((1, 2)) + 1  # each map sums to -1
        want = -settings["m_eta"] * np.log(share[: len(cost)] + 1e-8)
        np.testing.assert_allclose(prior.numpy(), want, atol=1e-5)


# ---- what the official code cannot take ------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 20, 21, 33])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 30)])
def test_any_batch_and_size(count: int, shape: tuple[int, ...]) -> None:
    seed(0)
    images, saliency = torch.rand(count, *shape), torch.rand(count, *shape[1:])
    saliency[0] = 0
    target = comixup.to_one_hot(torch.arange(count) % 7, 7)
    mixed, soft = comixup.mixup_process(images, target, DEFAULTS, saliency, torch.zeros(count, count))
    assert mixed.shape == images.shape
    torch.testing.assert_close(soft.sum(1), torch.ones(count))
    assert torch.isfinite(mixed).all()
    mixed, soft = comixup_imagenet.mixup_match(images, target, IMAGENET, saliency)
    assert mixed.shape == images.shape
    torch.testing.assert_close(soft.sum(1), torch.ones(count))


def test_mixed_pixels_come_from_the_partition() -> None:
    """Constant images: every output block is a value, or the mean of two values, of its own partition."""
    seed(2)
    images = torch.arange(25.0).view(-1, 1, 1, 1).expand(25, 1, 8, 8)
    args = SimpleNamespace(**{**vars(DEFAULTS), "m_part": 10})
    mixed, soft = comixup.mixup_process(images, torch.eye(25), args, torch.rand(25, 8, 8))
    for o in range(25):
        first = o // 10 * 10
        assert ((mixed[o] >= first) & (mixed[o] < first + 10)).all()
        assert float(soft[o, first : first + 10].sum()) == pytest.approx(1)
        assert float(mixed[o].mean()) == pytest.approx(float(soft[o] @ torch.arange(25.0)), abs=1e-4)


def test_integer_targets_are_soft_labels_too() -> None:
    images, saliency = torch.rand(4, 3, 16, 16), torch.rand(4, 16, 16)
    results = []
    for target in (torch.eye(4), torch.eye(4, dtype=torch.int64)):
        seed(0)
        results.append(comixup.mixup_process(images, target, DEFAULTS, saliency)[1])
    assert torch.equal(*results)


def test_parallel_draws_from_the_global_states() -> None:
    images, saliency, target = torch.rand(8, 3, 16, 16), torch.rand(8, 16, 16), torch.eye(8)
    args = SimpleNamespace(**{**vars(DEFAULTS), "m_part": 4})
    mixer = comixup.MixupProcessParallel(4, 8)
    without = SimpleNamespace(**{**vars(DEFAULTS), "m_part": None})  # which is not looked at
    results = []
    for value in (0, 0, 1):
        seed(value)
        results.append(mixer(images, target, args=without, sc=saliency))
    seed(0)
    results.append(comixup.mixup_process(images, target, args, saliency))
    mixer.close()
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][0], results[3][0])
    assert not torch.equal(results[0][0], results[2][0])


def test_a_worker_mixes_all_it_gets_as_one_partition() -> None:
    images, saliency, target = torch.rand(6, 3, 16, 16), torch.rand(6, 16, 16), torch.eye(6)
    two = SimpleNamespace(**{**vars(DEFAULTS), "m_part": 2})
    seed(0)
    worker = comixup.mixup_process_worker(images, target, args=two, sc=saliency)
    seed(0)
    whole = comixup.mixup_process(images, target, DEFAULTS, saliency)
    assert torch.equal(worker[0], whole[0])
    assert torch.equal(worker[1], whole[1])


def test_blocks_per_side_are_drawn_for_minus_one() -> None:
    images, saliency, target = torch.rand(3, 3, 16, 16), torch.rand(3, 16, 16), torch.eye(3)
    drawn = set()
    for value in range(12):
        seed(value)
        args = SimpleNamespace(**{**vars(DEFAULTS), "m_block_num": -1})
        mixed, soft = comixup.mixup_process(images, target, args, saliency)
        seed(value)
        args.m_block_num = int(2 ** np.random.randint(1, 5))  # before all other draws
        want = comixup.mixup_process(images, target, args, saliency)
        assert torch.equal(mixed, want[0])
        assert torch.equal(soft, want[1])
        drawn.add(args.m_block_num)
    assert drawn == {2, 4, 8, 16}


def test_every_number_of_the_script_reaches_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    match, seen = comix.compat.comixup.match, []
    solver = match.solve
    monkeypatch.setattr(match, "solve", lambda *a: (seen.append(a[3]), solver(*a))[1])
    images, saliency, target = torch.rand(3, 3, 8, 8), torch.rand(3, 8, 8), torch.eye(3)
    numbers = {"m_beta": 0.1, "m_gamma": 0.2, "m_eta": 0.3, "mixup_alpha": 0.4, "m_thres": 0.5}
    kinds = {"m_thres_type": "soft", "set_resolve": False, "m_niter": 2, "m_omega": 0.6}
    comixup.mixup_process(
        images, target, SimpleNamespace(m_block_num=2, m_part=3, **numbers, **kinds), saliency
    )
    assert seen.pop() == match.Settings(0.1, 0.2, 0.3, 0.4, 0.5, "soft", False, 2, omega=0.6)
    params = {"m_block_num": 2, "m_beta": 0.1, "thres": 0.5, "lam_dist": 0.6, "set_resolve": False}
    comixup_imagenet.mixup_match(images, target, params, saliency)
    assert seen.pop() == match.Settings(0.1, 1.0, 0.05, 1.0, 0.5, "hard", False, 3, omega=0.6, power=1)


@pytest.mark.parametrize("replayed", [False, True])
def test_what_targets_are_divided_by(replayed: bool) -> None:
    """Their own sum in one script, the number of blocks in the other: it shows where they do not sum to 1."""
    images, saliency, target = torch.rand(16, 3, 16, 16), torch.rand(16, 16, 16) + 0.1, 3 * torch.eye(16)
    with comix.compat.replay() if replayed else comix.debug():
        seed(0)
        sums = comixup.mixup_process(images, target, DEFAULTS, saliency)[1].sum(1)
        torch.testing.assert_close(sums, torch.ones(16))
        seed(0)
        sums = comixup_imagenet.mixup_match(images, target, IMAGENET, saliency)[1].sum(1)
        torch.testing.assert_close(sums, torch.full((16,), 3.0))


def test_helpers_of_the_imagenet_script() -> None:
    assert torch.equal(
        comixup_imagenet.to_onehot(inp=torch.tensor([2, 0]), num_classes=3), torch.eye(3)[[2, 0]]
    )
    with pytest.raises(ValueError, match=r"inp: expected values in 0\.\.1, got 2"):
        comixup_imagenet.to_onehot(torch.tensor([2]), 2)
    # Two neighbouring blocks whose shares differ by 1/2 for each of two inputs.
    cost, mask = torch.zeros(2, 1, 2), torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])
    assert float(comixup_imagenet.obj_fn(cost, mask, 2.0, 0.0)) == 1.0
    assert float(comixup.obj_fn(cost, mask, 2.0, 0.0)) == 0.5
    twice = mask.expand(2, 1, 2, 2)
    assert float(comixup_imagenet.obj_fn(cost, twice, 0.0, 1.0)) == 5.0  # 2 * (1.5^2 + 0.5^2)


def test_remainders_are_dropped_in_replay_only() -> None:
    seed(0)
    images, saliency, target = torch.rand(20, 3, 16, 16), torch.rand(20, 16, 16), torch.eye(20)
    assert len(comixup_imagenet.mixup_match(images, target, IMAGENET, saliency)[0]) == 20
    mixer = comixup_imagenet.MixupProcessParallel(16, 3)
    assert len(mixer(images, target, IMAGENET, saliency, torch.rand(20, 20))[0]) == 20
    mixer.close()
    with comix.compat.replay():
        assert len(comixup_imagenet.mixup_match(images, target, IMAGENET, saliency)[0]) == 16
        assert (
            len(comixup_imagenet.mixup_match(images, target, IMAGENET, saliency, torch.rand(20, 20))[0]) == 16
        )
        with pytest.raises(ValueError, match="out: expected a multiple of 16 images in replay, got 20"):
            mixer(images, target, IMAGENET, saliency)
        with pytest.raises(ValueError, match="out: expected at least 16 images in replay, got 3"):
            comixup_imagenet.mixup_match(images[:3], target[:3], IMAGENET, saliency[:3])


def test_start_labels_in_the_imagenet_script() -> None:
    case = LABEL[0]
    arguments = onehot_arguments(case)
    del arguments["mixup_alpha"]
    with comix.compat.replay():
        mask = comixup_imagenet.get_onehot_matrix(**arguments)
    assert mask.shape == (case["n_out"], case["blocks"], case["blocks"], case["n_in"])


# ---- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"cost_matrix": torch.zeros(3, 2)}, ValueError, r"cost_matrix: expected shape \[n, H, W\]"),
        ({"A": torch.eye(2)}, ValueError, r"A: expected shape \[3, 3\], got \[2, 2\]"),
        ({"A": -torch.eye(3)}, ValueError, "compatibility: expected values in 0"),
        ({"n_output": 0}, ValueError, "n_output: expected an int of at least 1"),
        ({"thres_type": "both"}, ValueError, "thres_type: expected one of 'hard', 'soft', got 'both'"),
        ({"gamma": None}, TypeError, "gamma: expected a number of at least 0, got None"),
        ({"niter": 0}, ValueError, "niter: expected an int of at least 1"),
        ({"mixup_alpha": 0.0}, ValueError, "mixup_alpha: expected a number above 0"),
        ({"idx": torch.zeros(2, 2, 2, dtype=torch.int64)}, ValueError, r"idx: expected shape \[3, 2, 2\]"),
        ({"idx": torch.full((3, 2, 2), 3)}, ValueError, r"idx: expected values in 0\.\.2, got 3"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    arguments = {"cost_matrix": -torch.full((3, 2, 2), 0.25), "A": torch.eye(3), "n_output": 3}
    with pytest.raises(error, match=text):
        comixup.get_onehot_matrix(**{**arguments, **changes})  # type: ignore[arg-type]


def test_bad_batches() -> None:
    images, target, saliency = torch.rand(4, 3, 8, 8), torch.eye(4), torch.rand(4, 8, 8)
    with pytest.raises(TypeError, match="args: expected a namespace with m_part, got None"):
        comixup.mixup_process(images, target, None, saliency)
    with pytest.raises(TypeError, match="args: expected a namespace with m_block_num"):
        comixup.mixup_process(images, target, SimpleNamespace(m_part=2), saliency)
    with pytest.raises(TypeError, match=r"sc: expected saliency \[N, H, W\], got None"):
        comixup.mixup_process(images, target, DEFAULTS)
    with pytest.raises(ValueError, match=r"A_dist: expected shape \[4, 4\], got \[3, 3\]"):
        comixup.mixup_process(images, target, DEFAULTS, saliency, torch.eye(3))
    with pytest.raises(ValueError, match=r"sc: expected shape \[4, 8, 8\] .*got \[3, 8, 8\]"):
        comixup.mixup_process(images, target, DEFAULTS, saliency[:3])
    for blocks in (0, 9, -2):
        args = SimpleNamespace(**{**vars(DEFAULTS), "m_block_num": blocks})
        with pytest.raises(ValueError, match=f"m_block_num: expected .*, got {blocks}"):
            comixup.mixup_process(images, target, args, saliency)
        with pytest.raises(ValueError, match=f"m_block_num: expected .*, got {blocks}"):
            comixup_imagenet.mixup_match(images, target, {**IMAGENET, "m_block_num": blocks}, saliency)
    far = SimpleNamespace(**{**vars(DEFAULTS), "m_omega": 2})
    with pytest.raises(ValueError, match=r"omega: expected a number in 0\.\.1, got 2"):
        comixup.mixup_process(images, target, far, saliency)
    with pytest.raises(TypeError, match="param_list: expected a mapping with m_block_num"):
        comixup_imagenet.mixup_match(images, target, {"m_beta": 1}, saliency)
    for wrong in (None, SimpleNamespace(**IMAGENET)):
        with pytest.raises(TypeError, match=r"param_list: expected a mapping with m_block_num, .* TypeE"):
            comixup_imagenet.mixup_match(images, target, wrong, saliency)
    with (
        comix.compat.replay(),
        pytest.raises(ValueError, match="square images that 4 blocks divide in replay"),
    ):
        comixup.mixup_process(torch.rand(4, 3, 9, 9), target, DEFAULTS, torch.rand(4, 9, 9))
    with comix.compat.replay():
        with pytest.raises(TypeError, match="A_dist: expected dtype float32 in replay, got float64"):
            comixup.mixup_process(images, target, DEFAULTS, saliency, torch.eye(4).double())
        with pytest.raises(TypeError, match="A in replay: expected dtype float32, got float64"):
            comixup.get_onehot_matrix(-torch.full((3, 2, 2), 0.25), torch.eye(3).double(), 3)
        zero = SimpleNamespace(**{**vars(DEFAULTS), "m_block_num": 0})
        with pytest.raises(ValueError, match="m_block_num: expected at least 1 block per side, got 0"):
            comixup.mixup_process(images, target, zero, saliency)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (np.zeros((4, 2), int), r"members: expected integers \[cuts, 3\], got int64 \[4, 2\]"),
        (np.zeros((4, 3)), r"members: expected integers \[cuts, 3\], got float64"),
        (np.zeros((4, 3), int), r"members: expected 0 inputs of 0\.\.3 in row 0, ascending, got \[0, 0, 0\]"),
        (np.full((1, 3), -1), "members: expected a row for every cut, cut 1 too, got 1 rows"),
    ],
)
def test_bad_members(members: Any, text: str) -> None:
    arguments = onehot_arguments(LABEL[0])
    with pytest.raises(ValueError, match=text), comix.compat.replay(members=members):
        comixup.get_onehot_matrix(**arguments)
    assert not comix.compat._replay.replaying()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ((1, 0, -1), r"members: expected 2 inputs of 0\.\.2 in row 1, ascending, got \[1, 0\]"),
        ((0, 1, 2), r"members: expected 2 inputs of 0\.\.2 in row 1, ascending, got \[0, 1, 2\]"),
        ((0, 3, -1), r"members: expected 2 inputs of 0\.\.2 in row 1, ascending, got \[0, 3\]"),
        ((0, 2, -1), "members: expected inputs that output shows in row 1, got"),
    ],
)
def test_bad_members_of_a_later_cut(wrong: Any, text: str) -> None:
    """One output that shows inputs 0 and 1, in its second sweep."""
    cost = torch.ones(3, 2, 2)
    cost[0, :, 0] = cost[1, :, 1] = 0
    start = torch.zeros(1, 2, 2, dtype=torch.int64)
    given = {"cost_matrix": cost, "A": torch.eye(3), "n_output": 1, "idx": start, "eta": 0.0, "beta": 0.1}
    with comix.compat.replay(members=[(-1, -1, -1), (0, 1, -1), (0, 1, -1)]):
        comixup.get_onehot_matrix(**given)
    with (
        pytest.raises(ValueError, match=text),
        comix.compat.replay(members=[(-1, -1, -1), wrong, (0, 1, -1)]),
    ):
        comixup.get_onehot_matrix(**given)


def test_replay_reports_what_would_overflow() -> None:
    with comix.compat.replay():
        with pytest.raises(ValueError, match="unary: expected at most 21474"):
            comixup.graphcut_multi(np.full((2, 2, 3), 30000.0, np.float32))
        with pytest.raises(ValueError, match="cost_v: expected at most 10000 in magnitude in replay"):
            comixup.graphcut_multi(np.zeros((2, 2, 3), np.float32), beta=20000)
    comixup.graphcut_multi(np.full((2, 2, 3), 30000.0, np.float32))
