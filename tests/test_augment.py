"""comix.PuzzleMix and comix.CoMixup end to end: the public functions by hand, and any batch that may come."""

from __future__ import annotations

from typing import Any

import comix
import numpy as np
import pytest
import torch
from augment_batches import AUGMENTATIONS, CLASSES, batch, both, build, seeded
from comix import MixPlan
from comix._augment_comixup import compatibility_of, salient_distance
from golden_data import cases, load, normalised_images
from scipy.stats import beta, kstest
from solvers import torch_threads
from torch import Tensor, nn
from torch.nn import functional as F


def assert_mixed(result: comix.MixResult, images: Tensor, targets: Tensor) -> None:
    """What every result is, whatever was mixed."""
    mixed, soft = result
    assert mixed is result.images
    assert soft is result.targets
    assert mixed.shape == images.shape
    assert mixed.dtype == images.dtype
    assert torch.equal(mixed, result.plan.mix(images))
    assert soft.dtype == torch.float32
    expected = F.one_hot(targets, CLASSES).float() if targets.ndim == 1 else targets.float()
    share = result.plan.ratio(len(images))
    torch.testing.assert_close(soft, share @ expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(soft.sum(1), expected.sum(1)[:1].expand(len(images)), rtol=0, atol=1e-5)
    assert result.saliency.shape == (len(images), *images.shape[2:])


# ---- composed by hand ------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("map_dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("transport", [True, False])
def test_puzzlemix_is_its_parts(transport: bool, map_dtype: torch.dtype, image_dtype: torch.dtype) -> None:
    images, targets, saliency = batch(8, (24, 20))
    images = (images * 255 if image_dtype == torch.uint8 else images).to(image_dtype)
    saliency = saliency.to(map_dtype)
    options: dict[str, Any] = {
        "n_labels": 4,
        "beta": 2.0,
        "gamma": 0.3,
        "eta": 0.1,
        "neigh_size": 2,
        "std": 0.5,
    }
    aug = comix.PuzzleMix(
        num_classes=CLASSES, transport=transport, transport_eps=0.3, generator=seeded(3), **options
    )
    result = aug(images, targets, saliency=saliency)
    drawn = seeded(3)
    grid = (2, 4, 8, 16)[int(torch.randint(0, 4, (), generator=drawn))]
    index = torch.randperm(8, generator=drawn)
    gammas = torch._standard_gamma(torch.ones(2, dtype=torch.float64), generator=drawn)
    lam = float(gammas[0] / gammas.sum())
    again = comix.PuzzleMix(generator=seeded(3)).draw(8, 24, 20)
    assert (grid, index.tolist(), lam) == (again[0], again[1].tolist(), again[2])
    mask = comix.puzzlemix_mask(images, saliency, index, lam, grid=grid, **options)
    plans = []
    if transport:
        blocks = comix.pool_saliency(saliency, grid)
        plans = [
            comix.transport_plan(blocks, mask, eps=0.3),
            comix.transport_plan(blocks[index], 1 - mask, eps=0.3),
        ]
    plan = MixPlan.from_mask(mask, index, *plans)
    assert torch.equal(result.images, plan.mix(images))
    assert torch.equal(result.targets, plan.mix_targets(targets, num_classes=CLASSES))
    assert torch.equal(result.plan.block, plan.block)
    assert result.saliency is saliency or torch.equal(result.saliency, saliency)


@pytest.mark.parametrize("size", [3, 4, 8])
def test_blocks_that_move_may_be_finer_than_the_mask(size: int) -> None:
    images, _, saliency = batch(5, (24, 32))
    index, fine = torch.tensor([1, 2, 0, 4, 4]), (24 // 2 // size, 32 // 2 // size)
    plan = comix.PuzzleMix(transport_size=size).plan(images, saliency, index, 0.6, 2)
    mask = comix.puzzlemix_mask(images, saliency, index, 0.6, grid=2)
    mask = mask.repeat_interleave(fine[0], 1).repeat_interleave(fine[1], 2)
    blocks = comix.pool_saliency(saliency, (2 * fine[0], 2 * fine[1]))
    moves = comix.transport_plan(blocks, mask), comix.transport_plan(blocks[index], 1 - mask)
    expected = MixPlan.from_mask(mask, index, *moves)
    for mine, theirs in zip(
        (plan.source, plan.block, plan.weight),
        (expected.source, expected.block, expected.weight),
        strict=True,
    ):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("size", [(24, 20), (30, 6), (5, 40)])  # in the latter, the window shrinks
@pytest.mark.parametrize("map_dtype", [torch.float32, torch.float64, torch.float16])
def test_comixup_is_its_parts(map_dtype: torch.dtype, size: tuple[int, int]) -> None:
    images, targets, saliency = batch(7, size)
    saliency = saliency.to(map_dtype)
    options: dict[str, Any] = {"beta": 0.2, "gamma": 0.8, "tau": 0.9, "sweeps": 3, "threshold": "soft"}
    aug = comix.CoMixup(
        num_classes=CLASSES,
        grid=(3, 4),
        partition=3,
        restarts=2,
        omega=0.1,
        eta=0.2,
        generator=seeded(3),
        **options,
    )
    result = aug(images, targets, saliency=saliency)
    blocks = comix.pool_saliency(saliency, (3, 4)).double()
    drawn, labels = seeded(3), []
    draws = []
    for count, n in ((2, 3), (1, 1)):  # two partitions of three, and the image that is left
        gammas = torch._standard_gamma(torch.full((count, n), 2.0, dtype=torch.float64), generator=drawn)
        prior = -0.2 / 12 * np.log((gammas / gammas.sum(1, keepdim=True)).numpy() + 1e-8)
        draws += zip(prior, torch.randint(0, n, (count, 2, n, 3, 4), generator=drawn), strict=True)
    for first, last, (prior, init) in zip((0, 3, 6), (3, 6, 7), draws, strict=True):
        cost = (torch.from_numpy(prior).view(-1, 1, 1) - blocks[first:last])[None]
        matrix = compatibility_of(salient_distance(saliency[first:last])[None], 0.1)
        labels.append(comix.comixup_labels(cost, compatibility=matrix, init=init[None], **options)[0] + first)
    plan = MixPlan.from_labels(torch.cat(labels))
    assert torch.equal(result.plan.source, plan.source)
    assert torch.equal(result.images, plan.mix(images))
    assert torch.equal(result.targets, plan.mix_targets(targets, num_classes=CLASSES))


def test_comixup_of_two_partitions_is_that_of_each() -> None:
    images, targets, saliency = batch(40, (16, 16))
    aug = build("comixup")
    whole = aug(images, targets, saliency=saliency)
    prior, init = build("comixup").draw(2, 20, (4, 4))
    for p, part in enumerate((slice(0, 20), slice(20, 40))):
        alone = build("comixup")
        alone.draw = lambda *_, p=p: (prior[p : p + 1], init[p : p + 1])  # type: ignore[method-assign]
        result = alone(images[part], targets[part], saliency=saliency[part])
        assert torch.equal(whole.images[part], result.images)
        assert torch.equal(whole.targets[part], result.targets)


# ---- the official code's settings ------------------------------------------------------------------------

PUZZLEMIX_CASES = [
    c for c in cases("puzzlemix_full") if c["transport"] and not (c["adv_mask1"] or c["adv_mask2"])
]


@pytest.mark.parametrize("case", PUZZLEMIX_CASES, ids=[c["id"] for c in PUZZLEMIX_CASES])
def test_puzzlemix_in_the_official_settings(case: dict[str, Any]) -> None:
    """Same draws: the same shares up to the optimum, blocks that move at the same size, better transport."""
    stored = load("puzzlemix_full", case["id"])
    images, saliency = torch.from_numpy(normalised_images(case, stored)), torch.from_numpy(stored["saliency"])
    names = ("n_labels", "beta", "gamma", "eta", "neigh_size", "mean", "std")
    size = None if case["t_size"] == -1 else case["t_size"]
    aug = comix.PuzzleMix(
        transport_size=size, transport_eps=case["t_eps"], **{name: case[name] for name in names}
    )
    index = torch.from_numpy(stored["indices"])
    plan = aug.plan(images, saliency, index, case["alpha"], case["blocks"])
    fine = case["transport_grid"]
    assert plan.grid == (fine, fine)
    own_mask = plan.weight[..., 0]
    coarse = own_mask[:, :: fine // case["blocks"], :: fine // case["blocks"]]
    official = torch.from_numpy(1 - stored["label"] / (case["n_labels"] - 1)).float()
    share = coarse.mean((1, 2)) - official.mean((1, 2))
    clean = torch.from_numpy(stored["overflow"] == 0)
    assert share[clean].abs().max() < 0.15
    blocks = comix.pool_saliency(saliency, fine)
    eps = case["t_eps"]
    for k, (maps, shown) in enumerate(((blocks, own_mask), (blocks[index], 1 - own_mask))):
        moved = plan.block[..., k]
        assert torch.equal(moved.flatten(1).sort(1).values, torch.arange(fine * fine).expand(case["B"], -1))
        found = comix.transport_cost(moved, maps, shown, eps=eps)
        greedy = comix.transport_plan(maps, shown, eps=eps, method="greedy")
        assert (found <= comix.transport_cost(greedy, maps, shown, eps=eps) + 1e-9).all()
    assert torch.isfinite(plan.mix(images)).all()


def test_transport_size_refines_only_blocks_that_are_larger() -> None:
    images, _, saliency = batch(3, (32, 48))
    index = torch.tensor([1, 2, 0])
    for transport_size, grid, expected in (
        (4, 2, (8, 12)),  # blocks of 16 x 24 pixels
        (4, 8, (8, 8)),  # 4 x 6: one row of 4, and 6 // 4 is 1
        (4, 16, (16, 16)),  # 2 x 3, smaller already
        (5, 2, (6, 8)),  # 16 // 5 and 24 // 5
        (None, 2, (2, 2)),
        (100, 4, (4, 4)),
    ):
        plan = comix.PuzzleMix(transport_size=transport_size).plan(images, saliency, index, 0.5, grid)
        assert plan.grid == expected
        mask = comix.puzzlemix_mask(images, saliency, index, 0.5, grid=grid)
        torch.testing.assert_close(plan.weight[..., 0].mean((1, 2)), mask.mean((1, 2)))
    unmoved = comix.PuzzleMix(transport=False, transport_size=4).plan(images, saliency, index, 0.5, 2)
    assert unmoved.grid == (2, 2)
    assert torch.equal(unmoved.block, torch.arange(4).view(1, 2, 2, 1).expand(3, 2, 2, 2))


# ---- any batch -------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("count", [1, 2, 3, 7, 20, 21, 45])
def test_any_batch_size(name: str, count: int) -> None:
    images, targets, saliency = batch(count)
    assert_mixed(build(name)(images, targets, saliency=saliency), images, targets)


@both
def test_one_image_stays_as_it_is(name: str) -> None:
    images, targets, saliency = batch(1)
    result = build(name, **({"transport": False} if name == "puzzlemix" else {}))(
        images, targets, saliency=saliency
    )
    torch.testing.assert_close(result.images, images, rtol=0, atol=1e-6)
    assert torch.equal(result.targets, F.one_hot(targets, CLASSES).float())


@both
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.uint8], ids=str
)
def test_any_dtype_and_layout(name: str, dtype: torch.dtype, channels_last: bool) -> None:
    images, targets, saliency = batch(5, (20, 16), dtype=dtype)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    result = build(name)(images, targets, saliency=saliency)
    assert_mixed(result, images, targets)
    kept = torch.channels_last if channels_last else torch.contiguous_format
    assert result.images.is_contiguous(memory_format=kept)
    assert_mixed(build(name)(images, targets), images, targets)


@both
@pytest.mark.parametrize(
    ("size", "channels"), [((16, 16), 1), ((33, 17), 2), ((6, 50), 4), ((28, 28), 5), ((4, 4), 3)]
)
def test_any_size_and_channels(name: str, size: tuple[int, int], channels: int) -> None:
    images, targets, saliency = batch(5, size, channels)
    assert_mixed(build(name)(images, targets, saliency=saliency), images, targets)


@both
def test_targets_as_indices_and_soft_labels(name: str) -> None:
    images, targets, saliency = batch()
    by_index = build(name)(images, targets, saliency=saliency)
    one_hot = F.one_hot(targets, CLASSES)
    for same in (one_hot, one_hot.float(), one_hot.half(), targets.int(), targets.to(torch.uint8)):
        other = build(name)(images, same, saliency=saliency)
        assert torch.equal(other.targets, by_index.targets)
        assert torch.equal(other.images, by_index.images)
    smooth = torch.rand(6, 11, generator=seeded(5)).softmax(1)  # any K, without num_classes
    result = AUGMENTATIONS[name](generator=seeded())(images, smooth, saliency=saliency)
    assert_mixed(result, images, smooth)


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 256, CLASSES))


@both
def test_saliency_given_by_a_model_or_by_neither(name: str) -> None:
    images, targets, saliency = batch()
    model = network()
    sources: list[tuple[dict[str, Any], Tensor]] = [
        ({"saliency": saliency}, saliency),
        ({"model": model}, comix.input_saliency(model, images, targets)),
        ({}, comix.spectral_residual(images)),
    ]
    for options, maps in sources:
        result = build(name)(images, targets, **options)
        torch.testing.assert_close(result.saliency, maps)
        assert torch.equal(result.images, build(name)(images, targets, saliency=maps).images)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    with torch.no_grad():
        assert torch.equal(
            build(name)(images, targets, model=model).images, build(name)(images, targets, model=model).images
        )


@both
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float64], ids=str)
def test_soft_labels_of_any_dtype_with_a_model(name: str, dtype: torch.dtype) -> None:
    images, targets, _ = batch()
    model, one_hot = network(), F.one_hot(targets, CLASSES)
    result = build(name)(images, one_hot.to(dtype), model=model)
    assert torch.equal(result.saliency, comix.input_saliency(model, images, one_hot.float()))
    assert torch.equal(result.images, build(name)(images, targets, saliency=result.saliency).images)


@both
def test_saliency_without_information_is_uniform(name: str) -> None:
    images, targets, saliency = batch()
    for empty in (0.0, float("nan"), float("inf")):
        maps = torch.full_like(saliency, empty)
        result = build(name)(images, targets, saliency=maps)
        assert torch.equal(result.images, build(name)(images, targets, saliency=torch.ones_like(maps)).images)
        some = saliency.clone()
        some[1] = empty
        assert_mixed(build(name)(images, targets, saliency=some), images, targets)


@both
def test_inputs_are_untouched_and_nothing_carries_a_graph(name: str) -> None:
    images, targets, saliency = batch()
    soft = F.one_hot(targets, CLASSES).float()
    before = [t.clone() for t in (images, soft, saliency)]
    result = build(name)(images, soft, saliency=saliency.requires_grad_())
    assert not any(t.requires_grad for t in (*result, result.saliency))
    assert all(torch.equal(t, b) for t, b in zip((images, soft, saliency), before, strict=True))
    assert images.data_ptr() != result.images.data_ptr()
    leaf = images.clone().requires_grad_()  # but images may be anything differentiable
    build(name)(leaf, soft, saliency=saliency).images.sum().backward()
    assert leaf.grad is not None


# ---- randomness ------------------------------------------------------------------------------------------


@both
def test_the_generator_decides_everything(name: str) -> None:
    images, targets, saliency = batch(9)
    runs = []
    for threads in (1, 2):
        with torch_threads(threads):
            aug = build(name)
            state = torch.get_rng_state()
            runs.append([aug(images, targets, saliency=saliency) for _ in range(4)])
            assert torch.equal(torch.get_rng_state(), state)
    for one, two in zip(*runs, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.targets, two.targets)
    assert any(not torch.equal(one.images, runs[0][0].images) for one in runs[0])  # it goes on drawing
    aug = AUGMENTATIONS[name](num_classes=CLASSES)  # None: torch's global generator
    torch.manual_seed(0)
    first = aug(images, targets, saliency=saliency)
    torch.manual_seed(0)
    assert torch.equal(first.images, aug(images, targets, saliency=saliency).images)


def test_grids_that_do_not_fit_are_not_drawn() -> None:
    aug = comix.PuzzleMix(grid_choices=(2, 4, 8, 16), generator=seeded())
    assert {aug.draw(3, 8, 5)[0] for _ in range(60)} == {2, 4}
    assert {aug.draw(3, 64, 64)[0] for _ in range(60)} == {2, 4, 8, 16}
    assert comix.PuzzleMix(grid_choices=3).draw(2, 8, 8)[0] == 3
    with pytest.raises(ValueError, match=r"grid_choices: expected a grid that fits 1 x 9 pixels, got \(2, 4"):
        aug(torch.rand(2, 3, 1, 9), torch.rand(2, 4))


def test_alpha() -> None:
    images, targets, saliency = batch()
    assert comix.PuzzleMix(alpha=0.0, generator=seeded()).draw(4, 16, 16)[2] == 1.0
    keep = build("puzzlemix", alpha=0.0, eta=1e3, transport=False)(images, targets, saliency=saliency)
    torch.testing.assert_close(keep.images, images)
    for alpha in (1e-6, 0.2, 1.0, 50.0):
        aug = comix.PuzzleMix(alpha=alpha, generator=seeded())
        lams = np.array([aug.draw(2, 4, 4)[2] for _ in range(400)])
        assert ((lams >= 0) & (lams <= 1)).all()
        assert abs(lams.mean() - 0.5) < 0.1
        if alpha < 1e-3:  # one of the two: every other share needs a chance of about alpha
            assert ((lams < 1e-9) | (lams > 1 - 1e-9)).mean() > 0.99
        else:
            assert kstest(lams, beta(alpha, alpha).cdf).pvalue > 1e-3
    for alpha in (1e-300, 0.5, 2.0):
        prior, start = comix.CoMixup(alpha=alpha, eta=16.0, restarts=3, generator=seeded()).draw(5, 4, (4, 4))
        torch.testing.assert_close(
            torch.exp(-prior).sum(1), torch.ones(5, dtype=torch.float64), atol=1e-6, rtol=0
        )
        assert start.shape == (5, 3, 4, 4, 4)
        assert set(start.flatten().tolist()) == {0, 1, 2, 3}


def test_restarts_lower_the_objective() -> None:
    saliency = torch.rand(20, 32, 32, generator=seeded(6)) ** 2
    mean = []
    for restarts in (1, 4):
        found = []
        for seed in range(6):
            aug = comix.CoMixup(restarts=restarts, eta=0.0, omega=0.0, generator=seeded(seed))
            cost = -comix.pool_saliency(saliency, 4).double()[None]
            found.append(float(comix.comixup_objective(aug.labels(saliency)[None], cost)))
        mean.append(np.mean(found))
    assert mean[1] <= mean[0]


# ---- compatibility ---------------------------------------------------------------------------------------


def test_compatibility_is_the_distance_of_the_salient_windows() -> None:
    maps = torch.rand(5, 13, 17, generator=seeded(7))
    maps[4] = maps[3]
    spots = []
    for one in maps.double():
        means = np.array([[one[r : r + 8, c : c + 8].mean() for c in range(10)] for r in range(6)])
        spots.append(np.unravel_index(means.argmax(), means.shape))
    expected = np.array([[abs(a[0] - b[0]) + abs(a[1] - b[1]) for b in spots] for a in spots])
    distance = salient_distance(maps)
    np.testing.assert_array_equal(distance, expected)
    matrix = compatibility_of(torch.stack([distance, 2 * distance]), 0.3)
    np.testing.assert_allclose(matrix[0], 0.7 * np.eye(5) + 0.3 * 5 * expected / expected.sum())
    torch.testing.assert_close(matrix[0], matrix[1])
    assert torch.equal(compatibility_of(distance[None], 0.0)[0], torch.eye(5, dtype=torch.float64))


def test_compatibility_of_equal_maps_and_of_one_is_the_identity() -> None:
    for maps in (torch.ones(4, 12, 12), torch.rand(1, 9, 30), torch.zeros(3, 4, 5)):
        distance = salient_distance(maps)
        assert (distance == 0).all()
        eye = torch.eye(len(maps), dtype=torch.float64)
        assert torch.equal(compatibility_of(distance[None], 0.5)[0], eye)
    spot = torch.zeros(2, 3, 6)  # smaller than the window: the window shrinks
    spot[0, 1, 0] = spot[1, 1, 5] = 1
    assert salient_distance(spot)[0, 1] == 0
    assert salient_distance(torch.zeros(2, 8, 20).index_fill_(2, torch.tensor([0]), 1.0)).sum() == 0


# The ImageNet variant has windows with a stride of 8.
WITH_DISTANCES = [
    c for c in cases("comixup_full") if c["variant"] == "cifar" and "A_dist" in load("comixup_full", c["id"])
]


@pytest.mark.parametrize("case", WITH_DISTANCES, ids=[c["id"] for c in WITH_DISTANCES])
def test_distances_are_the_stored_ones(case: dict[str, Any]) -> None:
    stored = load("comixup_full", case["id"])
    np.testing.assert_array_equal(salient_distance(torch.from_numpy(stored["saliency"])), stored["A_dist"])


def test_repr() -> None:
    assert repr(comix.PuzzleMix()) == "PuzzleMix(grid_choices=(2, 4, 8, 16), alpha=1, transport=True)"
    assert repr(comix.CoMixup()) == "CoMixup(grid=4, partition=20, restarts=1)"


@both
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_the_default_dtype_changes_nothing(name: str, dtype: torch.dtype) -> None:
    """Trainers set it for a training step in "true" precision."""
    images, targets, saliency = batch()
    plain = build(name)(images, targets, saliency=saliency)
    bare = build(name)(images, targets)
    torch.set_default_dtype(dtype)
    try:
        again = build(name)(images, targets, saliency=saliency)
        bare_again = build(name)(images, targets)
        rebuilt = MixPlan.from_labels(again.plan.source)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_mixed(again, images, targets)
    assert torch.equal(again.images, plain.images)
    assert torch.equal(again.targets, plain.targets)
    assert torch.equal(bare_again.images, bare.images)
    assert rebuilt.weight.dtype == torch.float32
