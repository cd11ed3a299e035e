"""The parts of comix.compat.comixup and comixup_imagenet by themselves: helpers, one output's cut, mixing."""

# ruff: noqa: NPY002 - the official code draws from NumPy's global state

from __future__ import annotations

import comix
import comix.compat
import numpy as np
import pytest
import torch
from comix.compat import comixup, comixup_imagenet
from comix.compat._comixup_match import _cut_beta


def test_small_helpers() -> None:
    assert torch.equal(comixup.to_one_hot(torch.tensor([1]), 3), torch.tensor([[0.0, 1, 0]]))
    assert torch.equal(comixup.to_onehot(torch.tensor([1]), 2, "cpu"), torch.tensor([[0.0, 1]]))
    np.random.seed(0)
    start = comixup.random_initialize(5, 3, 2, 4)
    assert start.shape == (3, 2, 4)
    np.random.seed(0)
    np.testing.assert_array_equal(start.ravel(), np.random.randint(0, 5, (3, 4, 2)).ravel())
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    for kind, apart in {"l2": 5, "l22": 25, "l1": 7, "linf": 4}.items():
        assert comixup.distance(z, kind)[0, 1] == apart
    with pytest.raises(ValueError, match="dist_type: expected one of 'l2', 'l22', 'l1', 'linf', got 'l3'"):
        comixup.distance(z, "l3")


def test_equal_outputs_are_told_to_differ() -> None:
    present = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]])
    avoid = comixup.resolve_label(present)
    assert torch.equal(avoid.nonzero(), torch.tensor([[0, 0], [2, 2]]))


def test_one_output_with_soft_labels() -> None:
    cost = torch.zeros(2, 2, 3)
    cost[..., 2] = 1
    count = torch.tensor([2.0, 2.0, 0.0])
    mask = comixup.graphcut_wrapper(cost, count, 3, 2, 2, 0.1, "cpu", 1)
    assert torch.equal(mask, torch.tensor([0.5, 0.5, 0.0]).expand(2, 2, 3))  # the bonus decides
    mask = comixup.graphcut_wrapper(cost, count, 3, 2, 2, 0.1, "cpu", 0)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    labels = comixup.graphcut_multi(np.zeros((2, 3, 4), np.float32), n_label=2, add_idx=[True, False, True])
    assert labels.dtype == np.int32
    assert labels.shape == (6,)
    cost = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    for n_label in (1, 5):  # soft labels have two members or three; anything else: there are none
        np.testing.assert_array_equal(comixup.graphcut_multi(cost, 0.0, n_label=n_label), cost.argmin(2).flat)
    with pytest.raises(ValueError, match="beta: expected a number of at least 0, got -1"):
        comixup.graphcut_multi(cost, beta=-1)
    with pytest.raises(ValueError, match="add_idx: expected 3 of 1 inputs"):
        comixup.graphcut_multi(np.zeros((2, 3, 4), np.float32), n_label=3, add_idx=[True])


@pytest.mark.parametrize("scale", [1.0, 500.0])
def test_one_output_is_never_worse_than_officially(scale: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(12):
        cost = (scale * rng.normal(size=(5, 4, 9)) * 0.05).astype(np.float32)
        beta = 0.03 * scale
        found = comixup.graphcut_multi(cost, beta)
        potts = 1 - np.eye(9)
        ours = comix.grid_energy(found.reshape(5, 4), cost, potts, beta, beta)
        with comix.compat.replay():
            official = comixup.graphcut_multi(cost, beta)
        assert ours <= comix.grid_energy(official.reshape(5, 4), cost, potts, beta, beta) + 1e-9


def test_the_official_course_is_run_with_beta_as_rounded_too() -> None:
    assert _cut_beta(0.16, 64) == pytest.approx(0.128)  # an edge of 0.0025 becomes 0.002
    assert _cut_beta(0.05, 256) == 0  # and one below 0.001 vanishes
    assert _cut_beta(0.32, 16) == pytest.approx(0.32)


def test_mixing_any_mask() -> None:
    torch.manual_seed(0)
    mask, images, target = torch.rand(3, 2, 2, 4), torch.rand(4, 2, 6, 8), torch.rand(4, 5)
    mixed, soft = comixup.mix_input(mask, images, target)
    assert torch.allclose(mixed[1, :, 4, 1], (mask[1, 1, 0] @ images[:, :, 4, 1]))
    torch.testing.assert_close(soft.sum(1), torch.ones(3))
    weight = torch.rand(4, 2, 2)
    weighed = comixup.mix_input(mask, images, target, weight)[1]
    want = torch.einsum("oyxn,nyx,nk->ok", mask, weight, target)
    torch.testing.assert_close(weighed, want / want.sum(1, keepdim=True))
    hard = comixup.to_onehot(torch.randint(4, (12,)), 4).view(3, 2, 2, 4)
    images.requires_grad_()
    mixed, _ = comixup.mix_input(hard, images, target)
    torch.testing.assert_close(
        mixed, torch.einsum("oyxn,ncyaxb->ocyaxb", hard, images.view(4, 2, 2, 3, 2, 4)).reshape(3, 2, 6, 8)
    )
    mixed.sum().backward()
    assert images.grad is not None


def test_blocks_need_not_be_as_many_down_as_across() -> None:
    """Of 2 x 4 blocks, targets are divided by all 8."""
    torch.manual_seed(0)
    mask = torch.eye(3)[torch.randint(3, (5, 2, 4))]
    mixed, soft = comixup_imagenet.mix_input(mask, torch.rand(3, 1, 4, 8), torch.eye(3))
    assert mixed.shape == (5, 1, 4, 8)
    torch.testing.assert_close(soft, mask.mean((1, 2)))


def test_where_no_proof_is_found_the_official_labelling_is_where_the_search_starts() -> None:
    """Costs at which expansion ends above the official labels."""
    cost, beta = np.random.default_rng(16).random((12, 12, 16)).astype(np.float32), 0.3
    potts = 1 - np.eye(16)
    with comix.compat.replay():
        official = comixup.graphcut_multi(cost, beta).reshape(12, 12)
    reached = comix.grid_energy(official, cost, potts, beta, beta)
    assert reached < comix.grid_cut(cost, potts, beta, beta, method="auto").energy, "the case needs it"
    found = comixup.graphcut_multi(cost, beta).reshape(12, 12)
    assert comix.grid_energy(found, cost, potts, beta, beta) <= reached


@pytest.mark.parametrize("kind", ["l2", "l22", "l1", "linf"])
def test_distances_have_no_graph(kind: str) -> None:
    assert not comixup.distance(torch.rand(3, 2, requires_grad=True), kind).requires_grad
    apart = comixup.distance(torch.tensor([[-3.0, 0.0], [0.0, 1.0]]), "linf")
    assert torch.equal(apart, torch.tensor([[0.0, 3.0], [3.0, 0.0]]))


def test_only_more_blocks_than_the_threshold_cost() -> None:
    """Two outputs that show one input everywhere, in 4 blocks each."""
    cost, mask = torch.zeros(2, 2, 2), torch.zeros(2, 2, 2, 2)
    mask[..., 0] = 1
    for threshold, pairs in ((3.9, 32.0), (4.0, 0.0), (4.1, 0.0)):
        assert float(comixup.obj_fn_thres(cost, mask, 0.0, 1.0, threshold)) == pairs
