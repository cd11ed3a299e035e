"""Results of the augmentations: their plan is made when somebody looks, draws are those of the generator."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import comix
import pytest
import torch
from augment_batches import CLASSES, batch, both, build, seeded


@both
def test_the_plan_of_a_result_waits_until_somebody_looks(name: str) -> None:
    images, targets, saliency = batch()
    result = build(name)(images, targets, saliency=saliency)
    assert "plan" not in vars(result)
    plan = result.plan
    assert result.plan is plan
    assert torch.equal(plan.mix(images), result.images)
    assert torch.equal(plan.mix_targets(targets, num_classes=CLASSES), result.targets)
    with pytest.raises(AttributeError, match="'MixResult' object has no attribute 'plans'"):
        _ = result.plans
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.plan = plan
    plan.source[0, 0, 0, 0] = 1000  # noticed, as in any plan
    with pytest.raises(ValueError, match="at least 1001"):
        plan.mix(images)


@both
@pytest.mark.parametrize("looked", [False, True])
def test_results_are_copied_and_pickled(name: str, looked: bool) -> None:
    images, targets, saliency = batch()
    result = build(name)(images, targets, saliency=saliency)
    if looked:
        _ = result.plan
    copies = [copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))]
    copies.append(dataclasses.replace(result, saliency=saliency + 1))
    for made in copies:
        assert torch.equal(made.images, result.images)
        assert torch.equal(made.plan.source, result.plan.source)
        assert torch.equal(made.plan.mix(images), result.images)
    shown = "MixResult(images [6, 3, 16, 16], targets [6, 5], saliency [6, 16, 16], MixPlan(6 outputs, "
    assert repr(result).startswith(shown)
    assert result == result
    assert result != copies[0]


@both
def test_images_that_need_a_gradient_mix_alike(name: str) -> None:
    images, targets, saliency = batch()
    plain = build(name)(images, targets, saliency=saliency)
    traced = build(name)(images.clone().requires_grad_(), targets, saliency=saliency)
    assert traced.images.requires_grad
    assert torch.equal(traced.images.detach(), plain.images)
    assert torch.equal(traced.targets, plain.targets)
    with torch.no_grad():
        quiet = build(name)(images.clone().requires_grad_(), targets, saliency=saliency)
    assert not quiet.images.requires_grad
    assert torch.equal(quiet.images, plain.images)
    with torch.inference_mode():
        inferred = build(name)(images.clone(), targets, saliency=saliency)
    assert torch.equal(inferred.images, plain.images)
    assert torch.equal(inferred.plan.mix(images), plain.images)


@pytest.mark.parametrize("alpha", [2.0, 0.5])
def test_draws_do_not_depend_on_those_before(alpha: float) -> None:
    first = comix.CoMixup(alpha=alpha, generator=seeded()).draw(2, 3, (4, 4))
    for count in range(1, 80):  # more sizes than are kept
        comix.CoMixup(alpha=alpha, generator=seeded()).draw(count, 3, (4, 4))
    again = comix.CoMixup(alpha=alpha, generator=seeded()).draw(2, 3, (4, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("grid", [(2, 8), (8, 2), (1, 3)])
def test_a_prior_is_spread_over_all_blocks(grid: tuple[int, int]) -> None:
    prior, _ = comix.CoMixup(eta=float(grid[0] * grid[1]), generator=seeded()).draw(3, 4, grid)
    torch.testing.assert_close(torch.exp(-prior).sum(1), torch.ones(3).double(), atol=1e-6, rtol=0)


SETTINGS: list[tuple[str, Any]] = [
    ("grid", (2, 8)),
    ("partition", 3),
    ("alpha", 0.1),
    ("beta", 5.0),
    ("gamma", 0.01),
    ("tau", 0.05),
    ("eta", 3.0),
    ("omega", 0.9),
    ("sweeps", 1),
    ("restarts", 3),
    ("threshold", "soft"),
]


@pytest.mark.parametrize(("setting", "value"), SETTINGS, ids=[name for name, _ in SETTINGS])
def test_a_setting_changed_after_a_call_counts_from_the_next(setting: str, value: Any) -> None:
    """As if the constructor had been given it."""
    saliency = batch(24, (16, 16))[2]
    options: dict[str, Any] = {"gamma": 0.1}  # of those for which all others matter
    changed, given = build("comixup", **options), build("comixup", **{**options, setting: value})
    before = changed.labels(saliency)
    setattr(changed, setting, value)
    changed.generator = seeded()
    after, expected = changed.labels(saliency), given.labels(saliency)
    assert torch.equal(after, expected)
    assert not torch.equal(before, expected), "the case needs a setting that matters"
