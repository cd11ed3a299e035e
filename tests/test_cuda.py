"""Every public function on a CUDA device: the CPU's results, without waiting, also inside a CUDA graph."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import comix
import pytest
import torch
from device_cases import (
    CASES,
    CLASSES,
    IMAGES,
    INDEX,
    LAST,
    MASK,
    OWN_ANSWERS,
    SALIENCY,
    B,
    K,
    flat,
)

pytestmark = pytest.mark.skipif(
    not comix.backends()["cuda"], reason="this build has no CUDA module, or this machine no device"
)


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    """Torch raises at every operation that makes the host wait for the device."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def on_cuda(tensors: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    moved = [t.detach().cuda().requires_grad_(t.requires_grad) for t in tensors]
    torch.cuda.synchronize()
    return moved


@pytest.mark.parametrize("name", CASES)
def test_the_cpus_results_without_waiting(name: str) -> None:
    run, tensors, _ = CASES[name]
    expected, given = flat(run(*tensors)), on_cuda(tensors)
    run(*given)  # what happens once: kernels are loaded, plans of the FFT made
    with no_waiting():
        got = flat(run(*given))
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.is_cuda
        assert (ours.shape, ours.dtype, ours.stride()) == (theirs.shape, theirs.dtype, theirs.stride())
        if name in OWN_ANSWERS:
            assert set(ours.unique().tolist()) <= {0, 1, 2}
            continue
        tolerance = {"rtol": 1e-5, "atol": 1e-6} if theirs.is_floating_point() else {"rtol": 0, "atol": 0}
        torch.testing.assert_close(ours.cpu(), theirs, **tolerance)


@pytest.mark.parametrize("name", [name for name in CASES if name != "MixPlan"])  # runs nothing on the device
def test_captured_in_a_graph(name: str) -> None:
    run, tensors, _ = CASES[name]
    given = on_cuda(tensors)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        expected = [t.clone() for t in flat(run(*given))]
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = flat(run(*given))
    for tensor in captured:
        tensor.zero_()
    graph.replay()
    assert all(map(torch.equal, captured, expected))


def test_ratios_are_the_same_bits_every_time() -> None:
    weight = torch.rand(64, 16, 16, 1, device="cuda")
    source = torch.randint(3, (64, 16, 16, 2), device="cuda")
    plan = comix.MixPlan(source, torch.zeros_like(source), torch.cat((weight, 1 - weight), -1))
    first = plan.ratio(3)
    assert all(torch.equal(plan.ratio(3), first) for _ in range(20))
    assert torch.equal(first.cpu(), plan.to("cpu").ratio(3))


def test_targets_are_exact_under_autocast_and_tf32() -> None:
    plan, soft = comix.MixPlan.from_mask(MASK, INDEX), torch.rand(B, K)
    with torch.autocast("cuda", dtype=torch.float16):
        mixed = plan.to("cuda").mix_targets(soft.cuda())
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.cpu(), plan.mix_targets(soft), rtol=1e-6, atol=1e-7)


def test_indices_out_of_range_stay_in_bounds() -> None:
    # Without debug() values are not looked at: the nearest input or block is taken.
    wild = comix.MixPlan.from_labels(torch.tensor([[[[[9, -9]]], [[[0, 1]]]]], device="cuda"))
    tame = comix.MixPlan.from_labels(torch.tensor([[[[1, 0]]], [[[0, 1]]]], device="cuda"))
    images = torch.rand(2, 3, 4, 4, device="cuda", requires_grad=True)
    results = []
    for plan in (wild, tame):
        mixed = plan.mix(images)
        (gradient,) = torch.autograd.grad(mixed.square().sum(), images)
        results.append((mixed.detach(), gradient, plan.ratio(2)))
    assert all(map(torch.equal, *results))
    with comix.debug(), pytest.raises(ValueError, match=r"^labels: expected values in 0\.\.1, got -9"):
        comix.MixPlan.from_labels(torch.tensor([[[[[9, -9]]], [[[0, 1]]]]], device="cuda"))


def test_debug_says_what_the_cpu_says() -> None:
    bad = IMAGES.clone()
    bad[0, 0, 0, 0] = torch.nan
    calls: list[Any] = [
        lambda device: comix.pool_saliency(-SALIENCY.to(device), 4),
        lambda device: comix.puzzlemix_energy(bad.to(device), SALIENCY.to(device), INDEX.to(device), 0.5),
        lambda device: comix.MixPlan.from_mask(2 * MASK.to(device) + 1, INDEX.to(device)),
        lambda device: comix.MixPlan.from_mask(MASK.to(device), INDEX.to(device) + 1),
    ]
    for call in calls:
        with pytest.raises(ValueError) as on_the_cpu:
            call("cpu")
        call("cuda")
        with comix.debug(), pytest.raises(ValueError) as on_the_device:
            call("cuda")
        assert str(on_the_device.value) == str(on_the_cpu.value)


@pytest.mark.parametrize("augmentation", [comix.PuzzleMix, comix.CoMixup])
def test_draws_do_not_reach_a_capture(augmentation: Any) -> None:
    aug = augmentation(num_classes=K)
    images, targets, saliency = LAST.cuda(), CLASSES.cuda(), SALIENCY.cuda()
    comix.pool_saliency(saliency, 4)
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="draw before the capture"), torch.cuda.graph(graph):
        aug(images, targets, saliency=saliency)
    torch.cuda.synchronize()


@pytest.mark.parametrize(
    "augmentation",
    [comix.PuzzleMix, comix.CoMixup, lambda **given: comix.PuzzleMix(transport=False, **given)],
)
def test_augmentations_mix_by_their_plans_without_waiting(augmentation: Any) -> None:
    generator = torch.Generator()
    aug = augmentation(num_classes=K, generator=generator)
    given = [t.cuda() for t in (LAST, CLASSES, SALIENCY)]
    aug(given[0], given[1], saliency=given[2])
    generator.manual_seed(4)
    with no_waiting():
        got = aug(given[0], given[1], saliency=given[2])
    plan = got.plan.to("cpu")
    assert torch.equal(got.images.cpu(), plan.mix(LAST))
    torch.testing.assert_close(got.targets.cpu(), plan.mix_targets(CLASSES, num_classes=K))
    generator.manual_seed(4)
    expected = aug(LAST, CLASSES, saliency=SALIENCY).plan
    if isinstance(aug, comix.CoMixup):  # labels are the device's own: how good, test_comixup.py says
        assert plan.source.shape == expected.source.shape
        assert bool(((plan.source >= 0) & (plan.source < B)).all())
        return
    assert torch.equal(plan.source, expected.source)
    assert torch.equal(plan.weight, expected.weight)
    # Of several transport plans of the same cost the device may take another one.
    same_moves = [p.block.flatten(1, 2).sort(1).values for p in (plan, expected)]
    assert torch.equal(*same_moves)
    if not aug.transport:
        assert torch.equal(plan.block, expected.block)
