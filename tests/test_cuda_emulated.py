"""The CUDA side on an emulated device (see emulated): kernels, launches and bindings, against the CPU."""

from __future__ import annotations

import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import comix
import numpy as np
import pytest
import torch
from comix import _native as native
from device_cases import (
    CASES,
    CLASSES,
    INDEX,
    LAST,
    LAST_ITEMS,
    MASK,
    ODD_SIZES,
    OWN_ANSWERS,
    SALIENCY,
    B,
    K,
    calls_of_size,
    flat,
    integers,
    large_batches,
    last_items,
    rand,
    shares,
)
from emulated import BUILD, NOISE, WATCH, EmulatedCuda, OnDevice
from solvers import CUT_METHODS, TRANSPORT_METHODS, cut_problem, stack

BLOCKS = {"all": None, "one": "1"}  # that run at once


def on_device(tensors: Any, device: EmulatedCuda) -> list[torch.Tensor]:
    return [device.tensor(t) for t in tensors]


def results_of(value: Any) -> list[torch.Tensor]:
    """The values of tensors that have to be on the device."""
    found = flat(value)
    assert all(isinstance(t, OnDevice) for t in found)
    return [t.memory for t in found]  # type: ignore[attr-defined]


def test_the_emulated_device_finds_mistakes(emulated_module: object) -> None:
    done = subprocess.run([str(BUILD / "checks")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("watcher", ["race", "step"])
def test_the_emulated_device_finds_races_and_counts(
    watcher: str, emulated_module: object, tmp_path: Path
) -> None:
    checks = BUILD / f"{watcher}_checks"
    if not checks.exists():
        pytest.skip("watching kernels needs g++ 11 or later")
    done = subprocess.run([str(checks)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_launches_with_races_raise_where_kernels_are_watched(
    emulated_cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = emulated_cuda.tensor(LAST)
    plan = comix.MixPlan.from_mask(*on_device((MASK, INDEX), emulated_cuda))
    memory = images.memory  # type: ignore[attr-defined]
    monkeypatch.setattr(emulated_cuda, "_allocate", lambda like: memory)  # mixed onto what is read
    race = r"(?s)race: .* of global memory:.* at cuda/mixing/"
    with pytest.raises(RuntimeError, match=race) if WATCH == "RACES" else nullcontext():
        plan.mix(images)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("name", CASES)
def test_the_cpus_results_without_waiting(
    name: str, blocks: str, emulated_cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    if BLOCKS[blocks]:
        monkeypatch.setenv("COMIX_EMULATED_BLOCKS", BLOCKS[blocks])
    run, tensors, kernels = CASES[name]
    got = results_of(run(*on_device(tensors, emulated_cuda)))
    assert emulated_cuda.calls == kernels
    for ours, theirs in zip(got, flat(run(*tensors)), strict=True):
        assert (ours.shape, ours.dtype, ours.stride()) == (theirs.shape, theirs.dtype, theirs.stride())
        if name in OWN_ANSWERS:
            assert set(ours.unique().tolist()) <= {0, 1, 2}
            continue
        tolerance = {"rtol": 1e-5, "atol": 1e-6} if theirs.is_floating_point() else {"rtol": 0, "atol": 0}
        torch.testing.assert_close(ours, theirs, **tolerance)


# --- many problems, odd sizes ---------------------------------------------------------------------------

MANY = 1500
LARGE = large_batches(MANY)


@pytest.mark.parametrize("blocks", ["all", "a few"])
@pytest.mark.parametrize("name", LARGE)
def test_a_large_batch_is_its_items(
    name: str, blocks: str, emulated_cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    if blocks == "a few":  # so they walk
        monkeypatch.setenv("COMIX_EMULATED_BLOCKS", "13")
    run, tensors = LARGE[name]
    large = results_of(run(*on_device(tensors, emulated_cuda)))
    for ours, theirs in zip(large, last_items(name, run, tensors), strict=True):
        assert ours.shape[0] == MANY
        torch.testing.assert_close(ours[-LAST_ITEMS:], theirs, rtol=1e-6, atol=1e-7)


def test_large_images_are_mixed_several_channels_at_a_time(emulated_cuda: EmulatedCuda) -> None:
    images, mask, index = rand(36, 3, 101, 101), rand(36, 4, 5).round(decimals=1), integers(36, 36)
    plan = comix.MixPlan.from_mask(*on_device((mask, index), emulated_cuda))
    (mixed,) = results_of(plan.mix(emulated_cuda.tensor(images)))
    assert mixed.equal(comix.MixPlan.from_mask(mask, index).mix(images))


@pytest.mark.parametrize("size", ODD_SIZES, ids=str)
def test_odd_sizes_give_the_cpus_results(size: tuple[int, int], emulated_cuda: EmulatedCuda) -> None:
    for run, tensors in calls_of_size(size):
        got = results_of(run(*on_device(tensors, emulated_cuda)))
        for ours, theirs in zip(got, flat(run(*tensors)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    cost, init = on_device((rand(2, 3, *size), integers(3, 2, 3, *size)), emulated_cuda)
    (found,) = results_of(comix.comixup_labels(cost, init=init))
    assert bool(((found >= 0) & (found < 3)).all())


@pytest.mark.parametrize("labels", range(2, 40))
def test_shares_of_labels_are_the_cpus_bits(labels: int, emulated_cuda: EmulatedCuda) -> None:
    given = torch.rand(2, 1, 4, 4), torch.rand(2, 4, 4), torch.tensor([1, 0])
    there = on_device(given, emulated_cuda)
    (pairwise,) = results_of(comix.puzzlemix_energy(*there, 0.5, grid=1, n_labels=labels).pairwise)
    assert torch.equal(pairwise, comix.puzzlemix_energy(*given, 0.5, grid=1, n_labels=labels).pairwise)
    (mask,) = results_of(comix.puzzlemix_mask(*there, 0.5, grid=4, n_labels=labels))
    assert torch.equal(mask, comix.puzzlemix_mask(*given, 0.5, grid=4, n_labels=labels))


@pytest.mark.parametrize("side", [64, 65])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_and_large_maps_are_pooled_alike(
    side: int, dtype: torch.dtype, emulated_cuda: EmulatedCuda
) -> None:
    maps = torch.rand(3, side, 64, dtype=dtype, generator=torch.Generator().manual_seed(side))
    maps[1], maps[2, 5, 5] = 0.0, torch.nan
    (pooled,) = results_of(comix.pool_saliency(emulated_cuda.tensor(maps), (5, 16)))
    torch.testing.assert_close(pooled[0], comix.pool_saliency(maps[:1], (5, 16))[0], rtol=1e-6, atol=0)
    assert torch.equal(pooled[1:], torch.full((2, 5, 16), 1 / 80, dtype=dtype))


# --- solvers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", CUT_METHODS)
@pytest.mark.parametrize("distance", ["potts", "quadratic", "truncated"])
@pytest.mark.parametrize(
    "size", [(4, 4), (7, 9), (3, 30), (21, 23)], ids=str
)  # the last beyond shared memory
def test_cuts_are_labellings_of_their_energy(
    size: tuple[int, int], distance: str, method: str, emulated_cuda: EmulatedCuda
) -> None:
    problem = cut_problem(3, size, 4, distance=distance, costs="white")
    terms = [emulated_cuda.tensor(t) if isinstance(t, torch.Tensor) else t for t in problem.tensors()]
    labels, energy, optimal = results_of(comix.grid_cut(*terms, method=method))
    expected = comix.grid_cut(*problem.tensors(), method=method if method != "exact" else "auto")
    slack = 2 * problem.resolution()
    assert float(comix.grid_energy(labels, *problem.tensors())) == pytest.approx(float(energy), abs=slack)
    if bool(optimal):
        assert float(energy) <= float(expected.energy) + slack
    if distance == "quadratic" and method in ("exact", "auto"):
        assert bool(optimal)
    if method == "swap":
        assert torch.equal(labels, expected.labels)


@pytest.mark.parametrize(
    ("size", "labels", "distance", "blocks"),
    [
        ((7, 9), 9, "linear", "all"),
        ((9, 5), 20, "quadratic", "one"),
        ((2, 40), 60, "linear", "one"),
        ((10, 10), 60, "quadratic", "all"),  # memory for fewer problems than there are
    ],
)
def test_cuts_over_levels_prove_what_the_cpu_proves(
    size: tuple[int, int],
    labels: int,
    distance: str,
    blocks: str,
    emulated_cuda: EmulatedCuda,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if BLOCKS[blocks]:
        monkeypatch.setenv("COMIX_EMULATED_BLOCKS", BLOCKS[blocks])
    costs = ["white", "smooth", "negative", "mixed", "white", "white", "zero"]
    drawn = [
        cut_problem(seed, size, labels, distance=distance, costs=kind) for seed, kind in enumerate(costs)
    ]
    centre = labels * drawn[4].unary[..., :1]
    drawn[4] = drawn[4]._replace(unary=np.abs(np.arange(labels) - centre))  # convex: no cut is needed
    drawn[5] = drawn[5]._replace(weight_v=-1 - drawn[5].weight_v)  # no cut over levels will do
    problem = stack(drawn * 2)
    labelling, energy, optimal = results_of(
        comix.grid_cut(*on_device(problem.tensors(), emulated_cuda), method="exact")
    )
    assert optimal.tolist() == [k % 7 != 5 or min(size) <= 4 for k in range(14)]
    assert torch.equal(labelling[:7], labelling[7:])
    for k, one in enumerate(drawn):
        if bool(optimal[k]):
            best = float(comix.grid_cut(*one, method="exact").energy)
            assert float(energy[k]) == pytest.approx(best, rel=0, abs=one.resolution())


# Inputs, outputs, grid: a kernel each, and what is beyond shared memory.
PARTITIONS = [(20, 20, (4, 4)), (6, 4, (3, 9)), (5, 4, (6, 6)), (60, 12, (2, 2)), (3, 2, (24, 24))]


@pytest.mark.parametrize(("inputs", "outputs", "grid"), PARTITIONS)
def test_labels_are_about_as_good_as_the_cpus(
    inputs: int, outputs: int, grid: tuple[int, int], emulated_cuda: EmulatedCuda
) -> None:
    cost = -shares(2, inputs, *grid)
    compatibility = 0.9 * torch.eye(inputs) + 0.1 * rand(2, inputs, inputs) / inputs
    init = integers(inputs, 2, 2, outputs, *grid)
    given = on_device((cost, compatibility, init), emulated_cuda)
    (labels,) = results_of(comix.comixup_labels(given[0], compatibility=given[1], init=given[2]))
    assert "comixup_labels" in emulated_cuda.calls
    expected = comix.comixup_labels(cost, compatibility=compatibility, init=init)
    ours, theirs = (
        comix.comixup_objective(found, cost, compatibility=compatibility).mean()
        for found in (labels, expected)
    )
    assert float(ours) == pytest.approx(float(theirs), rel=0.05)


@pytest.mark.parametrize("method", TRANSPORT_METHODS)
@pytest.mark.parametrize("grid", [(4, 4), (16, 16), (19, 21), (36, 36)], ids=str)
def test_transport_plans_cost_what_they_cost_on_the_cpu(
    grid: tuple[int, int], method: str, emulated_cuda: EmulatedCuda
) -> None:
    saliency = shares(2, *grid)
    mask = integers(3, 2, *grid) / 2
    (plan,) = results_of(comix.transport_plan(*on_device((saliency, mask), emulated_cuda), method=method))
    expected = comix.transport_plan(saliency, mask, method=method)
    if method == "greedy":
        assert torch.equal(plan, expected)
    cost = comix.transport_cost(plan, saliency, mask)
    torch.testing.assert_close(cost, comix.transport_cost(expected, saliency, mask), rtol=1e-9, atol=1e-9)


# --- whole batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "augmentation",
    [comix.PuzzleMix, comix.CoMixup, lambda **given: comix.PuzzleMix(transport=False, **given)],
)
def test_augmentations_mix_by_their_plans_without_waiting(
    augmentation: Any, emulated_cuda: EmulatedCuda
) -> None:
    generator = torch.Generator().manual_seed(4)
    aug = augmentation(num_classes=K, generator=generator)
    images, targets, saliency = on_device((LAST, CLASSES, SALIENCY), emulated_cuda)
    got = aug(images, targets, saliency=saliency)
    plan = comix.MixPlan(*results_of([got.plan.source, got.plan.block, got.plan.weight]))
    mixed, soft = results_of([got.images, got.targets])
    assert torch.equal(mixed, plan.mix(LAST))
    torch.testing.assert_close(soft, plan.mix_targets(CLASSES, num_classes=K))
    generator.manual_seed(4)
    expected = aug(LAST, CLASSES, saliency=SALIENCY).plan
    if isinstance(aug, comix.CoMixup):  # labels are the device's own
        assert "salient_spots" in emulated_cuda.calls
        assert bool(((plan.source >= 0) & (plan.source < B)).all())
        return
    assert torch.equal(plan.source, expected.source)
    assert torch.equal(plan.weight, expected.weight)
    if not aug.transport:
        assert torch.equal(plan.block, expected.block)


# --- the pretence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait",
    [
        lambda t: float(t.sum()),
        lambda t: bool(t[0, 0, 0] > 0),
        lambda t: t[t > 0.5],
        lambda t: t.nonzero(),
        lambda t: t.cpu(),
        lambda t: t + torch.ones(10),
        lambda t: torch.zeros(B, 12, 10).copy_(t),
    ],
)
def test_what_would_wait_is_found(wait: Any, emulated_cuda: EmulatedCuda) -> None:
    with pytest.raises(RuntimeError, match="waits for the device"):
        wait(emulated_cuda.tensor(SALIENCY))


def test_writes_beside_a_tensor_are_found(emulated_cuda: EmulatedCuda) -> None:
    memory = emulated_cuda.tensor(torch.zeros(3)).memory  # type: ignore[attr-defined]
    assert bool(emulated_cuda.tensor(memory).new_empty(2).memory.view(torch.uint8).eq(NOISE).all())
    emulated_cuda.check_memory()
    beside = memory.as_strided((1,), (1,), memory.storage_offset() + 3)
    before = beside.clone()
    beside.zero_()
    with pytest.raises(AssertionError, match="a tensor of 12 bytes"):
        emulated_cuda.check_memory()
    beside.copy_(before)


@pytest.mark.parametrize("wrong", [{"device": 8}, {"device": 2}, {"stream": 0}])
def test_kernels_run_on_the_device_of_their_stream(
    wrong: dict[str, int], emulated_cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "place", lambda tensor: emulated_cuda.place(tensor) | wrong)
    with pytest.raises(RuntimeError, match=r"^CUDA: .*\(cudaErrorInvalid"):
        comix.pool_saliency(emulated_cuda.tensor(SALIENCY), 4)
