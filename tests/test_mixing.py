"""Mix plans: pixels, shares and gradients against the reference, for every dtype, layout and size."""

from __future__ import annotations

import pickle
from typing import Any

import comix
import numpy as np
import pytest
import torch
from comix import MixPlan, reference
from golden_data import Case, cases, ids, labels_from_mask2, load, normalised_images
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers import DEVICES, torch_threads
from torch import Tensor

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.uint8]
# Blends are rounded once from float32 (float64 in double): half a unit in the last place, of the terms' size.
ROUNDING = {
    torch.float64: 1e-15,
    torch.float32: 2.0**-22,
    torch.float16: 2.0**-10.9,
    torch.bfloat16: 2.0**-7.9,
}
# images [n, C, H, W], blocks (gh, gw), outputs
SIZES: list[tuple[tuple[int, int, int, int], tuple[int, int], int]] = [
    ((3, 3, 16, 16), (4, 4), 3),
    ((2, 1, 28, 28), (8, 8), 5),  # sizes that do not divide, more outputs than inputs
    ((4, 4, 17, 23), (3, 5), 2),
    ((3, 5, 9, 7), (9, 7), 3),  # a block is a pixel
    ((2, 2, 30, 11), (16, 1), 4),
    ((1, 3, 5, 6), (1, 1), 1),
    ((3, 3, 1, 12), (1, 5), 2),
]


def random_plan(
    seed: int, n: int, outputs: int, grid: tuple[int, int], moved: bool = True, whole: bool = False
) -> MixPlan:
    """Any sources and blocks; weights 0, 1, quarters and fine ones that float32 holds (whole: 0 and 1)."""
    rng = np.random.default_rng(seed)
    shape = (outputs, *grid, 2)
    home = np.broadcast_to(np.arange(grid[0] * grid[1]).reshape(1, *grid, 1), shape)
    block = rng.integers(0, grid[0] * grid[1], shape) if moved else home.copy()
    coarse = rng.integers(0, 2 if whole else 5, shape[:-1]) / (1 if whole else 4)
    fine = rng.integers(0, 2**20, shape[:-1]) / 2**20
    first = coarse if whole else np.where(rng.random(shape[:-1]) < 0.7, coarse, fine)
    weight = torch.from_numpy(np.stack([first, 1 - first], -1)).float()
    return MixPlan(torch.from_numpy(rng.integers(0, n, shape)), torch.from_numpy(block), weight)


def random_images(seed: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (images * 256).to(dtype) if dtype == torch.uint8 else (images * 4 - 2).to(dtype)


def expected_mix(plan: MixPlan, images: Tensor) -> np.ndarray:
    arrays = (plan.source, plan.block, plan.weight, images.detach().double())
    return reference.mix(*(array.cpu().numpy() for array in arrays))


def assert_mixed(mixed: Tensor, plan: MixPlan, images: Tensor) -> None:
    """Equal to the reference up to the rounding of the dtype."""
    assert mixed.dtype == images.dtype
    assert mixed.device == images.device
    expected = expected_mix(plan, images)
    if images.dtype == torch.uint8:
        assert np.abs(mixed.cpu().double().numpy() - expected).max() <= 0.5 + 1e-4
        return
    size = np.maximum(expected_mix(plan, images.double().abs()), 1e-3)
    error = np.abs(mixed.cpu().double().numpy() - expected)
    assert (error <= ROUNDING[images.dtype] * size).all()


# ---- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "grid", "outputs"), SIZES)
def test_mix_is_the_reference(
    shape: tuple[int, int, int, int],
    grid: tuple[int, int],
    outputs: int,
    dtype: torch.dtype,
    channels_last: bool,
    device: str,
) -> None:
    images = random_images(1, shape, dtype).to(device)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    before = images.clone()
    for moved in (False, True):
        plan = random_plan(2, shape[0], outputs, grid, moved).to(device)
        mixed = plan.mix(images)
        assert_mixed(mixed, plan, images)
        plain = plan.mix(images.contiguous())
        assert torch.equal(mixed, plain)
        if channels_last and shape[1] > 1 and shape[2] * shape[3] > 1:
            assert mixed.is_contiguous(memory_format=torch.channels_last)
        else:
            assert mixed.is_contiguous()
    assert torch.equal(images, before)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_mix_is_the_reference_for_any_sizes(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    shape = (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5)), height, width)
    grid = (data.draw(st.integers(1, min(height, 6))), data.draw(st.integers(1, min(width, 6))))
    seed = data.draw(st.integers(0, 2**32))
    images = random_images(seed, shape, data.draw(st.sampled_from(DTYPES)))
    if data.draw(st.booleans()):
        images = images.to(memory_format=torch.channels_last)
    plan = random_plan(seed, shape[0], data.draw(st.integers(1, 5)), grid, data.draw(st.booleans()))
    assert_mixed(plan.mix(images), plan, images)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_whole_blocks_are_bitwise_copies(dtype: torch.dtype) -> None:
    images = random_images(3, (3, 3, 13, 10), dtype)
    if dtype.is_floating_point:  # nothing is computed: even these are copied, and not spread by a weight of 0
        images[1, :, :6] = float("nan")
        images[2, 0] = float("inf")
    plan = random_plan(4, 3, 4, (3, 4), whole=True)
    expected = torch.from_numpy(
        reference.mix(*(torch.clone(e).numpy() for e in only_entries(plan)), images.double().numpy())
    ).to(dtype)
    torch.testing.assert_close(plan.mix(images), expected, rtol=0, atol=0, equal_nan=True)
    # A block made twice from one place is whole too, whatever the weights.
    half = MixPlan.from_labels(torch.ones(1, 2, 2, 2, dtype=torch.int64))
    torch.testing.assert_close(half.mix(images)[0], images[1], rtol=0, atol=0, equal_nan=True)


def only_entries(plan: MixPlan) -> tuple[Tensor, Tensor, Tensor]:
    """The same plan of whole blocks, both entries equal to the one with weight 1."""
    kept = plan.weight.argmax(-1, keepdim=True).expand_as(plan.source)
    source, block = plan.source.gather(-1, kept), plan.block.gather(-1, kept)
    first = torch.tensor([1.0, 0.0]).expand_as(plan.weight)
    # The reference multiplies, so NaN times 0 must not enter: give the idle entry a clean image.
    return torch.stack([source[..., 0], torch.zeros_like(source[..., 0])], -1), block, first


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_every_half_number_passes_through_a_blend(dtype: torch.dtype) -> None:
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(1, 1, 256, 256)
    every = bits.view(dtype)
    images = torch.cat([every, every.flip(-1).flip(-2), every])
    same = MixPlan(*entries(0, 2, 0.5)).mix(images)
    torch.testing.assert_close(same[0], every[0], rtol=0, atol=0, equal_nan=True)
    # Quarters are exact in float32, so the sum is rounded once: to nearest, ties to even, as torch does.
    mixed = MixPlan(*entries(0, 1, 0.25)).mix(images)
    expected = (0.25 * images[0].float() + 0.75 * images[1].float()).to(dtype)
    torch.testing.assert_close(mixed[0], expected, rtol=0, atol=0, equal_nan=True)


def entries(first: int, second: int, weight: float) -> tuple[Tensor, Tensor, Tensor]:
    """A plan of one block."""
    source = torch.tensor([first, second]).view(1, 1, 1, 2)
    return source, torch.zeros_like(source), torch.tensor([weight, 1 - weight]).view(1, 1, 1, 2)


def test_uint8_blends_round_to_nearest() -> None:
    images = torch.stack([torch.arange(256), torch.arange(256).flip(0)]).to(torch.uint8).view(2, 1, 16, 16)
    for weight in (0.25, 0.5, 0.75):
        mixed = MixPlan(*entries(0, 1, weight)).mix(images)[0]
        exact = weight * images[0].double() + (1 - weight) * images[1].double()
        assert torch.equal(mixed.double(), (exact + 0.5).floor())


def test_views_of_any_strides() -> None:
    base = random_images(5, (3, 4, 12, 18), torch.float32)
    plan = random_plan(6, 3, 4, (3, 3))
    for images in (
        base.transpose(2, 3),
        base[:, ::2],
        base[:, :, ::2, ::3],
        base[:, :1].expand(3, 4, 12, 18),
        base.permute(1, 0, 2, 3)[:3],
        base.flip(0)[1:2].expand(3, -1, -1, -1),
    ):
        assert torch.equal(plan.mix(images), plan.mix(images.contiguous()))
    strided = MixPlan(plan.source.flip(1).flip(1), plan.block.mT.contiguous().mT, plan.weight)
    assert torch.equal(strided.mix(base), plan.mix(base))


@pytest.mark.parametrize("outputs", [2, 3])  # as many as inputs: allocated by another way
def test_one_channel_is_contiguous_whatever_its_strides(outputs: int) -> None:
    images = random_images(7, (3, 1, 8, 8), torch.float32)
    plan = random_plan(8, 3, outputs, (2, 2))
    odd = images.to(memory_format=torch.channels_last).as_strided(images.shape, (64, 1, 8, 1))
    mixed = plan.mix(odd.requires_grad_())
    assert mixed.stride() == (64, 64, 8, 1)
    assert mixed.requires_grad
    assert torch.equal(mixed.detach(), plan.mix(images))


def test_threads_do_not_matter() -> None:
    images = random_images(7, (6, 3, 40, 40), torch.float32)
    gradient = torch.rand(9, 3, 40, 40)
    plan = random_plan(8, 6, 9, (8, 8))
    results = []
    for count in (1, 2):
        with torch_threads(count):
            leaf = images.clone().requires_grad_()
            mixed = plan.mix(leaf)
            results.append((mixed.detach(), torch.autograd.grad(mixed, leaf, gradient)[0]))
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


# ---- the official code's pictures ------------------------------------------------------------------------

PUZZLEMIX_CASES, COMIXUP_CASES = cases("puzzlemix_full"), cases("comixup_full")


@pytest.mark.parametrize("case", PUZZLEMIX_CASES, ids=ids(PUZZLEMIX_CASES))
def test_puzzlemix_pictures(case: Case) -> None:
    stored = load("puzzlemix_full", case["id"])
    images = torch.from_numpy(normalised_images(case, stored))
    index = torch.from_numpy(stored["indices"])
    n, size = case["B"], case["transport_grid"] if case["transport"] else case["blocks"]
    mask = torch.from_numpy(1 - stored["label"] / (case["n_labels"] - 1))
    mask = mask.repeat_interleave(size // case["blocks"], 1).repeat_interleave(size // case["blocks"], 2)
    plans = [torch.from_numpy(stored[p]).long().view_as(mask) for p in ("plan1", "plan2") if p in stored]
    plan = MixPlan.from_mask(mask, index, *(p.clamp(min=0) for p in plans))
    torch.testing.assert_close(plan.ratio(n)[torch.arange(n), index], others_share(stored, plan, n, index))
    own = partner = images
    if "noise" in stored:
        mean, std = (torch.tensor(case[name]).view(3, 1, 1) for name in ("mean", "std"))
        noisy = ((images * std + mean + torch.from_numpy(stored["noise"])).clamp(0, 1) - mean) / std
        own, partner = (noisy if case[f"adv_mask{k}"] else images for k in (1, 2))
    # Own images, partners, and black where the official code's plan has no source.
    inputs = torch.cat([own, partner, torch.zeros_like(images[:1])])
    source = plan.source + torch.tensor([0, n])
    if plans:
        source = torch.where(torch.stack(plans, -1) < 0, 2 * n, source)
    mixed = MixPlan(source, plan.block, plan.weight).mix(inputs)
    torch.testing.assert_close(mixed, torch.from_numpy(stored["out"]), rtol=0, atol=1e-5)
    if "noise" not in stored and all((p >= 0).all() for p in plans):
        torch.testing.assert_close(plan.mix(images), mixed, rtol=0, atol=1e-6)


def others_share(stored: Any, plan: MixPlan, n: int, index: Tensor) -> Tensor:
    """What the stored ratios leave to the partner: all of it where a sample is its own partner."""
    rest = 1 - torch.from_numpy(stored["ratio"])
    return torch.where(index == torch.arange(n), 1.0, rest)


@pytest.mark.parametrize("case", COMIXUP_CASES, ids=ids(COMIXUP_CASES))
def test_comixup_pictures_and_targets(case: Case) -> None:
    stored, size = load("comixup_full", case["id"]), case["args"]["m_part"]
    images, targets = torch.from_numpy(normalised_images(case, stored)), torch.from_numpy(stored["target"])
    labels = torch.from_numpy(labels_from_mask2(stored["mask2"]))  # [N, B, B, 2] inside the partition
    whole = labels + (torch.arange(case["N"]) // size * size).view(-1, 1, 1, 1)
    plan = MixPlan.from_labels(whole)
    torch.testing.assert_close(plan.mix(images), torch.from_numpy(stored["out"]), rtol=0, atol=1e-5)
    expected = torch.from_numpy(stored["target_out"])
    torch.testing.assert_close(plan.mix_targets(targets), expected, rtol=0, atol=1e-6)
    if case["N"] % size == 0:
        parts = MixPlan.from_labels(labels.view(-1, size, *labels.shape[1:]))
        assert torch.equal(parts.source, plan.source)
        assert torch.equal(parts.mix(images), plan.mix(images))


# ---- gradients -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("shape", "grid"), [((2, 2, 4, 5), (2, 2)), ((3, 1, 7, 3), (3, 3))])
def test_gradients_by_finite_differences(
    shape: tuple[int, int, int, int], grid: tuple[int, int], channels_last: bool
) -> None:
    images = random_images(9, shape, torch.float64)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    images.requires_grad_()
    plan = random_plan(10, shape[0], 3, grid)
    assert torch.autograd.gradcheck(plan.mix, images)
    assert torch.autograd.gradgradcheck(lambda x: plan.mix(x) ** 2, images)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_gradient_is_the_transpose(dtype: torch.dtype) -> None:
    images = random_images(11, (3, 3, 14, 9), dtype).requires_grad_()
    plan = random_plan(12, 3, 5, (4, 3))
    incoming = random_images(13, (5, 3, 14, 9), dtype)
    (gradient,) = torch.autograd.grad(plan.mix(images), images, incoming)
    assert gradient.dtype == dtype
    basis = torch.eye(14 * 9, dtype=torch.float64).view(-1, 1, 14, 9)
    expected = torch.zeros(3, 3, 14, 9, dtype=torch.float64)
    for i in range(3):  # one pixel of one input at a time
        for pixel, picture in enumerate(basis):
            inputs = torch.zeros(3, 1, 14, 9, dtype=torch.float64)
            inputs[i] = picture
            seen = torch.from_numpy(expected_mix(plan, inputs))  # [5, 1, H, W]
            expected[i].view(3, -1)[:, pixel] = (seen * incoming.double()).sum((0, 2, 3))
        if dtype != torch.float64:
            break  # one input will do
    expected = expected[: i + 1]
    size = {torch.float64: 1e-14, torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    torch.testing.assert_close(gradient[: i + 1].double(), expected, rtol=size, atol=size)


def test_the_graph_exists_only_when_wanted() -> None:
    images, plan = random_images(14, (2, 3, 8, 8), torch.float32), random_plan(15, 2, 2, (2, 2))
    assert plan.mix(images).grad_fn is None
    leaf = images.clone().requires_grad_()
    mixed = plan.mix(leaf)
    assert mixed.requires_grad
    assert torch.equal(mixed.detach(), plan.mix(images))
    with torch.no_grad():
        assert not plan.mix(leaf).requires_grad
    with torch.inference_mode():
        assert not plan.mix(leaf).requires_grad
    hidden = (leaf * 2).relu()  # a feature map inside a network
    plan.mix(hidden).square().sum().backward()
    assert leaf.grad is not None
    plan.weight.requires_grad_()  # weights are data, not parameters
    assert plan.mix(images).grad_fn is None
    assert not plan.ratio(2).requires_grad


# ---- shares and targets ----------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_ratio_and_targets_are_the_reference(seed: int, n: int, outputs: int, gh: int, gw: int) -> None:
    plan = random_plan(seed, n, outputs, (gh, gw))
    expected = reference.ratio(plan.source.numpy(), plan.weight.numpy(), n + 1)
    share = plan.ratio(n + 1)
    assert share.dtype == torch.float32
    np.testing.assert_allclose(share, expected, atol=1e-6)
    np.testing.assert_allclose(share.sum(1), 1, atol=1e-6)
    assert (share[:, n] == 0).all()
    classes = torch.from_numpy(np.random.default_rng(seed).integers(0, 7, n))
    soft = torch.nn.functional.one_hot(classes, 7)
    mixed = plan.mix_targets(classes, num_classes=7)
    assert mixed.dtype == torch.float32
    np.testing.assert_allclose(mixed, expected[:, :n] @ soft.numpy(), atol=1e-6)
    for same in (soft, soft.bool(), soft.half(), soft.double().requires_grad_()):
        assert torch.equal(plan.mix_targets(same), mixed)
    for same in (classes.to(torch.uint8), classes.int()):
        assert torch.equal(plan.mix_targets(same, num_classes=7), mixed)


# ---- plans -----------------------------------------------------------------------------------------------


def test_from_mask_is_the_reference() -> None:
    rng = np.random.default_rng(16)
    mask, index = rng.random((4, 3, 5)).astype(np.float32), rng.permutation(4)
    own, partner = (np.stack([rng.permutation(15).reshape(3, 5) for _ in range(4)]) for _ in range(2))
    for plans in ((), (own,), (None, partner), (own, partner)):
        expected = reference.plan_from_mask(mask, index, *plans)
        tensors = [None if p is None else torch.from_numpy(p) for p in plans]
        plan = MixPlan.from_mask(torch.from_numpy(mask), torch.from_numpy(index), *tensors)
        assert torch.equal(plan.source, torch.from_numpy(expected.source))
        assert torch.equal(plan.block, torch.from_numpy(expected.block))
        np.testing.assert_allclose(plan.weight, expected.weight, atol=1e-7)
    narrow = MixPlan.from_mask(
        torch.from_numpy(mask).double().half(), index.tolist(), torch.from_numpy(own).int()
    )
    np.testing.assert_allclose(narrow.weight[..., 0], mask, atol=1e-3)


def test_from_labels_is_the_reference() -> None:
    labels = np.random.default_rng(17).integers(0, 3, (2, 3, 2, 4, 2))
    for n_inputs in (None, 3, 5):
        expected = reference.plan_from_labels(labels, n_inputs)
        plan = MixPlan.from_labels(torch.from_numpy(labels), n_inputs=n_inputs)
        for ours, theirs in zip((plan.source, plan.block, plan.weight), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    flat = MixPlan.from_labels(torch.from_numpy(labels[0]).to(torch.uint8))
    np.testing.assert_array_equal(flat.source, labels[0])


def test_plans_longer_and_shorter_than_the_batch() -> None:
    images = random_images(18, (5, 3, 8, 8), torch.float32)
    for outputs in (1, 2, 9):
        plan = random_plan(19, 5, outputs, (2, 2))
        assert plan.mix(images).shape == (outputs, 3, 8, 8)
        assert plan.ratio(5).shape == (outputs, 5)
    few = random_plan(20, 2, 3, (2, 2))  # uses the first two of five
    assert torch.equal(few.mix(images), few.mix(images[:2]))


def test_to_grid_and_repr() -> None:
    plan = random_plan(21, 3, 4, (2, 5))
    assert plan.grid == (2, 5)
    assert repr(plan) == "MixPlan(4 outputs, 2 x 5 blocks, cpu)"
    for device in ("cpu", torch.device("cpu")):
        same = plan.to(device)
        assert torch.equal(same.source, plan.source)
        assert torch.equal(same.weight, plan.weight)
    assert repr(plan.to("meta")) == "MixPlan(4 outputs, 2 x 5 blocks, meta)"
    assert comix.MixPlan is MixPlan


def test_float32_noise_in_the_weights_passes() -> None:
    source, block, weight = entries(0, 1, 0.3)
    plan = MixPlan(source, block, weight * (1 + 1e-6))
    assert plan.ratio(2).sum() == pytest.approx(1, abs=1e-7)


def test_images_seen_through_a_negation_are_mixed_by_value() -> None:
    images = torch.complex(torch.zeros(2, 1, 4, 4), torch.rand(2, 1, 4, 4)).conj().imag  # negative bit set
    assert images.is_neg()
    plan = comix.MixPlan.from_mask(torch.full((2, 2, 2), 0.5), torch.tensor([1, 0]))
    torch.testing.assert_close(plan.mix(images), images.mean(0, keepdim=True).expand_as(images))


@pytest.mark.parametrize("how", ["assigned", "pickled", "inference"])
def test_sources_that_change_after_a_mix_are_looked_at_again(how: str) -> None:
    images, other = torch.rand(3, 1, 4, 4), torch.full((2, 2, 2, 2), 8)
    with torch.inference_mode(how == "inference"):
        plan = MixPlan.from_labels(torch.ones(2, 2, 2, 2, dtype=torch.int64))
        plan.mix(images)
        if how == "assigned":
            plan.source = other
        else:
            plan.source.copy_(other)
        if how == "pickled":
            plan = pickle.loads(pickle.dumps(plan))
        with pytest.raises(ValueError, match=r"at least 9 \(the plan uses input 8\), got 3"):
            plan.mix(images)
