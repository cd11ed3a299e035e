"""The official PuzzleMix functions on an emulated device (see emulated): they stay there, and never wait."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from comix.compat import puzzlemix, puzzlemix_imagenet_fast
from device_cases import flat, rand
from emulated import EmulatedCuda, OnDevice

N = 5
IMAGES, NOISE, SALIENCY = rand(N, 3, 16, 16), rand(N, 3, 16, 16), rand(N, 16, 16)
PARTNERS = torch.arange(N).flip(0)
MEAN, STD = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1), torch.tensor([0.2, 0.25, 0.3]).view(1, 3, 1, 1)
TERMS: dict[str, Any] = {"beta": 1.2, "gamma": 0.5, "eta": 0.2, "neigh_size": 2, "n_labels": 3}


def assert_same(got: Any, expected: Any) -> None:
    """Tensors on the device with the values that the CPU found."""
    for mine, other in zip(flat(got), flat(expected), strict=True):
        assert isinstance(mine, OnDevice)
        torch.testing.assert_close(mine.memory, other)


@pytest.mark.parametrize("transport", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("index", ["device", "CPU", "list"])
def test_mixup_graph(index: str, noisy: bool, transport: bool, emulated_cuda: EmulatedCuda) -> None:
    options = {**TERMS, "block_num": 4, "alpha": 0.4, "t_size": 2, "t_eps": 0.8}
    options |= {"transport": transport, "adv_mask1": noisy}
    cpu = puzzlemix.mixup_graph(IMAGES, SALIENCY, PARTNERS, mean=MEAN, std=STD, noise=NOISE, **options)
    images, saliency, noise, mean, std = map(emulated_cuda.tensor, (IMAGES, SALIENCY, NOISE, MEAN, STD))
    partners: Any = {"device": emulated_cuda.tensor(PARTNERS), "CPU": PARTNERS, "list": PARTNERS.tolist()}[
        index
    ]
    got = puzzlemix.mixup_graph(images, saliency, partners, mean=mean, std=std, noise=noise, **options)
    assert_same(got, cpu)
    assert {"pool_saliency", "puzzlemix_energy", "grid_cut", "mix"} <= set(emulated_cuda.calls)
    assert ("transport_plan" in emulated_cuda.calls) is transport


@pytest.mark.parametrize("kind", ["graph", "box", "input", "hidden"])
def test_mixup_process(kind: str, emulated_cuda: EmulatedCuda) -> None:
    targets = rand(N, 4).softmax(1)
    settings = {**TERMS, "mixup_alpha": 1.0, "box": kind == "box", "graph": kind == "graph"}
    settings |= {"transport": True, "t_eps": 0.8, "t_size": 2}
    results = []
    for send in (lambda tensor: tensor, emulated_cuda.tensor):
        args = SimpleNamespace(**settings, mean=send(MEAN), std=send(STD))
        np.random.seed(2)  # noqa: NPY002 - the official draws
        results.append(
            puzzlemix.mixup_process(
                send(IMAGES), send(targets), hidden=int(kind == "hidden"), args=args, grad=send(SALIENCY)
            )
        )
    assert_same(results[1], results[0])


def test_the_fast_scripts_mask_and_transport(emulated_cuda: EmulatedCuda) -> None:
    mean, std = (value.view(3, 1, 1).expand(3, 16, 16).contiguous() for value in (MEAN, STD))
    results = []
    for send in (lambda tensor: tensor, emulated_cuda.tensor):
        images, saliency, partners = send(IMAGES), send(SALIENCY), send(PARTNERS)
        mask, ratio = puzzlemix_imagenet_fast.get_mask(
            images, saliency, 4, partners, 0.4, mean=send(mean), std=send(std), **TERMS
        )
        mixed = puzzlemix_imagenet_fast.transport(images, saliency, partners, 4, mask)
        plan = puzzlemix.mask_transport(mask, send(rand(N, 4, 4).flatten(1).softmax(1).view(N, 4, 4)), 0.8)
        results.append((mask, ratio, mixed, plan))
    found = results[1]
    assert_same(found[:3], results[0][:3])
    assert isinstance(found[3], OnDevice)
    ones = torch.ones(N, 16)
    assert torch.equal(found[3].memory.sum(1), ones)  # permutations
    assert torch.equal(found[3].memory.sum(2), ones)
