"""What the CUDA side does in torch operations, run on the CPU: the same numbers as the native code there."""

from __future__ import annotations

import comix
import pytest
import torch
from comix._augment_comixup import compatibility_of
from comix._on_cuda import comixup, mixing
from comix._pooling import pool_in_one_pass, pool_in_steps


def random_plan(seed: int, outputs: int, inputs: int, steps: int | None) -> comix.MixPlan:
    generator = torch.Generator().manual_seed(seed)
    shape = (outputs, 5, 4, 2)
    source = torch.randint(inputs, shape, generator=generator)
    block = torch.randint(20, shape, generator=generator)
    share = torch.rand(shape[:-1], generator=generator)
    share = share if steps is None else (share * steps).round() / steps
    return comix.MixPlan(source, block, torch.stack((share, 1 - share), -1))


@pytest.mark.parametrize("steps", [1, 2, 4, None])
def test_ratio_gives_the_bits_of_the_native_code(steps: int | None) -> None:
    for seed in range(20):
        plan = random_plan(seed, 6, 1 + seed, steps)
        assert torch.equal(mixing.ratio(plan.source, plan.weight, 1 + seed), plan.ratio(1 + seed))


def test_ratio_keeps_tiny_weights_and_shows_nan() -> None:
    weight = torch.tensor([[[[1.0, 0.0], [1 - 1e-7, 1e-7]]], [[[1.0, 0.0], [torch.nan, 0.5]]]])
    source = torch.tensor([[[[0, 1], [0, 1]]], [[[0, 1], [0, 1]]]])
    ratio = mixing.ratio(source, weight, 2)
    assert float(ratio[0, 1]) == pytest.approx(0.5e-7, rel=1e-6)
    assert bool(ratio[1].isnan().all())


def test_targets_are_those_of_the_native_code() -> None:
    plan, soft = random_plan(1, 6, 5, None), torch.rand(5, 11)
    got = mixing.mix_targets(plan.source, plan.weight, soft)
    torch.testing.assert_close(got, plan.mix_targets(soft), rtol=1e-6, atol=1e-7)


def test_uses_list_the_entries_of_every_block() -> None:
    plan, inputs, blocks = random_plan(2, 6, 3, 2), 4, 20
    order, starts = mixing._uses(plan.source, plan.block, plan.weight, inputs)
    places = list(zip(plan.source.flatten().tolist(), plan.block.flatten().tolist(), strict=True))
    used = (plan.weight.flatten() > 0).tolist()
    assert starts.shape == (inputs * blocks + 1,)
    for k in range(inputs * blocks):
        takers = [e for e, place in enumerate(places) if used[e] and place == divmod(k, blocks)]
        assert order[starts[k] : starts[k + 1]].tolist() == takers
    wild = plan.source + 100  # counts as the last input
    order, starts = mixing._uses(wild, plan.block, plan.weight, inputs)
    assert int(starts[(inputs - 1) * blocks]) == 0
    assert int(starts[-1]) == sum(used)


@pytest.mark.parametrize("omega", [0.0, 0.001, 0.3, 1.0])
def test_compatibility_gives_the_bits_of_the_cpu(omega: float) -> None:
    points = torch.randint(0, 30, (4, 7, 2), generator=torch.Generator().manual_seed(3)).double()
    points[1] = 5.0  # all at one place
    distance = (points.unsqueeze(-2) - points.unsqueeze(-3)).abs().sum(-1)
    assert torch.equal(comixup.compatibility(distance, omega), compatibility_of(distance, omega))


@pytest.mark.parametrize("grid", [(3, 4), (5, 5), (7, 3)])
def test_pooling_in_steps_agrees_with_one_pass(grid: tuple[int, int]) -> None:
    maps = torch.rand(4, 14, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    maps[1], maps[2, 3, 3] = 0.0, torch.inf
    one_pass = pool_in_one_pass(maps, *grid)
    assert one_pass is not None
    torch.testing.assert_close(pool_in_steps(maps, *grid), one_pass, rtol=1e-13, atol=1e-15)
