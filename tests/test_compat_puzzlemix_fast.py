"""comix.compat.puzzlemix_imagenet_fast: the script's data flow, replay, errors by their text."""

# ruff: noqa: NPY002 - the official code draws from NumPy's global state

from __future__ import annotations

import itertools
from typing import Any

import comix
import comix.compat
import numpy as np
import pytest
import torch
from comix.compat import puzzlemix, puzzlemix_imagenet_fast
from comix.compat.puzzlemix_imagenet_fast import get_mask, transport
from golden_data import Case, cases, ids, load, normalised_images
from torch import nn
from torch.nn import functional as F

FULL = [
    c
    for c in cases("puzzlemix_full")
    if not (c["adv_mask1"] or c["adv_mask2"]) and c["t_size"] in (-1, c["width"])
]


def batch(count: int = 8, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.rand(count, 3, side, side), torch.rand(count, side, side)


class Net(nn.Module):
    """A model whose forward mixes, as ``models/imagenet_resnet.py`` of the script does."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

    def forward(
        self,
        x: torch.Tensor,
        graphcut: bool = False,
        permuted_idx: Any = None,
        block_num: int = 2,
        mask: Any = None,
        unary: Any = None,
        t_eps: float = 0.8,
    ) -> torch.Tensor:
        if graphcut:
            x = transport(x, unary, permuted_idx, block_num, mask, t_eps)
        out: torch.Tensor = self.body(x)
        return out


@pytest.mark.parametrize("replayed", [False, True])
def test_the_training_step_of_the_script(replayed: bool) -> None:
    images, _ = batch()
    before, target = images.clone(), torch.arange(8) % 5
    mean, std = (torch.tensor(v).view(3, 1, 1).expand(3, 32, 32) for v in ([0.485, 0.456, 0.406], [0.2] * 3))
    net, np_state = Net(), np.random.get_state()
    np.random.seed(0)
    quarter = np.random.permutation(2)
    partners = np.concatenate([quarter + 2 * k for k in range(4)])
    clean = images.clone().requires_grad_()
    F.cross_entropy(net(clean), target).backward()
    assert clean.grad is not None
    unary = clean.grad.square().mean(1).sqrt()
    with comix.compat.replay() if replayed else comix.debug():
        mask, lam = get_mask(images, unary, 4, partners, alpha=0.4, beta=1.5, eta=0.2, mean=mean, std=std)
        parts = [
            net(images[k : k + 2], True, quarter, 4, mask[k : k + 2], unary[k : k + 2], 0.8)
            for k in range(0, 8, 2)  # what DataParallel does on four devices
        ]
    output = torch.cat(parts)
    loss = lam * F.cross_entropy(output, target, reduction="none")
    loss = loss + (1 - lam) * F.cross_entropy(output, target[torch.from_numpy(partners)], reduction="none")
    loss.mean().backward()
    assert (mask.shape, mask.dtype, lam.shape) == ((8, 1, 4, 4), torch.float32, (8,))
    torch.testing.assert_close(mask.flatten(1).mean(1), lam)
    assert torch.equal(images, before)
    np.random.set_state(np_state)


@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize("grid", [2, 4, 8])
def test_mask_and_transport_are_the_whole(grid: int, replayed: bool) -> None:
    images, saliency = batch(4)
    partners = [1, 0, 3, 2]
    with comix.compat.replay() if replayed else comix.debug():
        mask, ratio = get_mask(images, saliency, grid, partners, alpha=0.6, mean=[0.1] * 3, std=[0.9] * 3)
        mixed = transport(images, saliency, partners, grid, mask)
        terms = {"beta": 1.2, "gamma": 0.5, "eta": 0.2, "neigh_size": 2, "n_labels": 3}
        want, share = puzzlemix.mixup_graph(
            images,
            saliency,
            partners,
            grid,
            0.6,
            **terms,  # type: ignore[arg-type]
            mean=[0.1] * 3,
            std=[0.9] * 3,
            transport=True,
            t_eps=0.8,
            t_size=-1,
        )
    torch.testing.assert_close(mixed, want)
    torch.testing.assert_close(ratio, share)


@pytest.mark.parametrize("eps", [0.0, 0.05, 3.0])
def test_own_blocks_move_by_the_own_plan_and_the_partners_by_theirs(eps: float) -> None:
    images, saliency = batch(4)
    partners, mask = torch.tensor([1, 2, 3, 0]), (torch.rand(4, 1, 4, 4) * 3).floor() / 2
    blocks, own = comix.pool_saliency(saliency, 4), mask[:, 0]
    first = comix.transport_plan(blocks, own, eps=eps)
    second = comix.transport_plan(blocks[partners], 1 - own, eps=eps)
    want = comix.MixPlan.from_mask(own, partners, first, second).mix(images)
    assert torch.equal(transport(images, saliency, partners, 4, mask, eps), want)
    assert eps == 3.0 or not torch.equal(first, second)


@pytest.mark.parametrize("case", FULL, ids=ids(FULL))
def test_golden_cases_in_replay(case: Case) -> None:
    arrays = load("puzzlemix_full", case["id"])
    if arrays["overflow"].any() or not case["transport"]:
        return
    images = torch.from_numpy(normalised_images(case, arrays))
    saliency = torch.from_numpy(arrays["saliency"])
    names = ("alpha", "beta", "gamma", "eta", "neigh_size", "n_labels", "mean", "std")
    with comix.compat.replay():
        mask, ratio = get_mask(
            images, saliency, case["blocks"], arrays["indices"], **{n: case[n] for n in names}
        )
        mixed = transport(images, saliency, arrays["indices"], case["blocks"], mask, case["t_eps"])
    np.testing.assert_allclose(mixed.numpy(), arrays["out"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(ratio.numpy(), arrays["ratio"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("cut", ["graphcut_multi", "graphcut_multi_float"])
def test_cuts_of_one_pair(cut: str) -> None:
    rng = np.random.default_rng(0)
    terms = [(rng.random(s) / 16).astype(np.float32) for s in ((4, 4), (4, 4), (3, 4), (4, 3))]
    function = getattr(puzzlemix_imagenet_fast, cut)
    want = puzzlemix.graphcut_multi(*terms, 0.4, 0.1, 0.2, 3)
    np.testing.assert_array_equal(function(*terms, 0.4, 0.1, 0.2, 3), want)
    with comix.compat.replay():
        assert function(*terms, 0.4, 0.1, 0.2, 3).shape == (4, 4)
    with pytest.raises(ValueError, match="label_cost: expected one of 'l1', 'l2', 'l4', got 'l3'"):
        function(*terms, 0.4, 0.1, 0.2, 3, label_cost="l3")


@pytest.mark.parametrize("cut", ["graphcut_multi", "graphcut_multi_float"])
@pytest.mark.parametrize(("label_cost", "power"), [("l1", 1), ("l2", 2), ("l4", 4)])
def test_label_costs_by_enumeration(cut: str, label_cost: str, power: int) -> None:
    function, rng = getattr(puzzlemix_imagenet_fast, cut), np.random.default_rng(1)
    t = np.array(list(itertools.product([0, 0.5, 1], repeat=6))).reshape(-1, 2, 3)  # the partner's share
    prior = -np.log(np.array([0.16, 0.48, 0.36]) + 1e-8)[(2 * t).astype(int)]
    for _ in range(8):
        first, second, down, right = (rng.random(shape) for shape in ((2, 3), (2, 3), (1, 3), (2, 2)))
        energies = ((1 - t) * first + t * second + 0.2 * prior / 6).sum((1, 2))
        energies += ((down + 0.1) * np.abs(np.diff(t, axis=1)) ** power).sum((1, 2))
        energies += ((right + 0.1) * np.abs(np.diff(t, axis=2)) ** power).sum((1, 2))
        found = function(first, second, down, right, 0.4, 0.1, 0.2, 3, label_cost=label_cost)
        np.testing.assert_array_equal(found, 1 - t[energies.argmin()])


def test_distances_are_a_numpy_array() -> None:
    costs = puzzlemix_imagenet_fast.cost_matrix(4)
    assert (costs.dtype, costs.shape, costs[0, 15]) == (np.float32, (16, 16), 2)


def test_any_size_and_gradients() -> None:
    images = torch.rand(2, 1, 30, 44, requires_grad=True)
    saliency = torch.zeros(2, 30, 44)
    mask, _ = get_mask(images, saliency, 7, [1, 0])
    mixed = transport(images, saliency, [1, 0], 7, mask)
    mixed.sum().backward()
    assert images.grad is not None
    assert mixed.shape == images.shape


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mask": torch.rand(2, 4, 4)}, r"mask: expected shape \[2, 1, 4, 4\], got \[2, 4, 4\]"),
        ({"mask": torch.full((2, 1, 4, 4), 1.5)}, r"mask: expected values in 0\.\.1, got 1\.5"),
        ({"grad1": torch.rand(2, 8, 8)}, r"grad1: expected shape \[2, 32, 32\]"),
        ({"indices": [0, 2]}, r"indices: expected values in 0\.\.1, got 2"),
        ({"block_num": 40}, "block_num: expected no more blocks than pixels"),
    ],
)
def test_errors_of_transport(changes: dict[str, Any], text: str) -> None:
    images, saliency = batch(2)
    given = {
        "input1": images,
        "grad1": saliency,
        "indices": [1, 0],
        "block_num": 4,
        "mask": torch.rand(2, 1, 4, 4),
    }
    with pytest.raises(ValueError, match=text):
        transport(**{**given, **changes})  # type: ignore[arg-type]


def test_errors_of_masks_and_replay() -> None:
    images, saliency = batch(2)
    with pytest.raises(ValueError, match="std: expected the same numbers at all pixels, got others"):
        get_mask(images, saliency, 4, [1, 0], mean=torch.zeros(3, 32, 32), std=torch.rand(3, 32, 32))
    with pytest.raises(TypeError, match=r"input1: expected dtype float16, .*, got uint8"):
        transport((255 * images).byte(), saliency, [1, 0], 4, torch.rand(2, 1, 4, 4))
    with comix.compat.replay(), pytest.raises(ValueError, match="square images that 4 blocks divide"):
        transport(images[:, :, :16], saliency[:, :16], [1, 0], 4, torch.rand(2, 1, 4, 4))
    for context in (comix.compat.replay, comix.debug):
        with context(), pytest.raises(ValueError, match=r"mask: expected values in 0\.\.1, got -0\.5"):
            transport(images, saliency, [1, 0], 4, torch.full((2, 1, 4, 4), -0.5))
    with (
        comix.compat.replay(),
        pytest.raises(ValueError, match="square images that 5 blocks divide in replay"),
    ):
        transport(images, saliency, [1, 0], 5, torch.rand(2, 1, 5, 5))
    with (
        comix.compat.replay(),
        pytest.raises(ValueError, match="square images that 5 blocks divide in replay"),
    ):
        get_mask(images, saliency, 5, [1, 0])
