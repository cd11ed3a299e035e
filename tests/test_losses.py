"""comix.losses and MixResult.loss: against dense soft labels in torch, and against the formulas by hand."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import Any

import comix
import pytest
import torch
from comix.losses import class_pairs, decoupled_ce, soft_cross_entropy
from test_package import shown_signature
from torch import Tensor
from torch.nn import functional as F

CLASSES = 9


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_pairs(rows: int = 6, k: int = 3) -> tuple[Tensor, Tensor]:
    """Classes that may repeat, weights of which some are zero; rows sum to 1."""
    index = torch.randint(CLASSES, (rows, k), generator=seeded(1))
    weight = torch.rand(rows, k, generator=seeded(2), dtype=torch.float64)
    weight[0, 1:] = 0
    weight[1, 0] = 0
    return index, weight / weight.sum(1, keepdim=True)


def dense(index: Tensor, weight: Tensor, classes: int = CLASSES) -> Tensor:
    return torch.zeros(len(index), classes, dtype=weight.dtype).scatter_add_(1, index.long(), weight)


def random_logits(rows: int = 6, dtype: torch.dtype = torch.float64) -> Tensor:
    logits = 5 * torch.randn(rows, CLASSES, generator=seeded(3), dtype=torch.float64)
    return logits.to(dtype).requires_grad_()


def mask_plan(count: int = 6) -> comix.MixPlan:
    mask = torch.rand(count, 3, 2, generator=seeded(4))
    mask[:1], mask[1:2] = 1, 0
    return comix.MixPlan.from_mask(mask, torch.randperm(count, generator=seeded(5)))


def label_plan(count: int = 8) -> comix.MixPlan:
    return comix.MixPlan.from_labels(torch.randint(count, (count, 3, 3, 2), generator=seeded(6)))


def test_names_and_signatures() -> None:
    assert sorted(comix.losses.__all__) == ["class_pairs", "decoupled_ce", "soft_cross_entropy"]
    assert shown_signature(class_pairs) == "plan, targets, *, k=None"
    assert (
        shown_signature(soft_cross_entropy)
        == "logits, index, weight, *, label_smoothing=0.0, class_weight=None, reduction='mean'"
    )
    assert (
        shown_signature(decoupled_ce)
        == "logits, index, weight, *, eta=0.1, label_smoothing=0.0, reduction='mean'"
    )
    assert shown_signature(comix.MixResult.loss) == "self, logits, *, label_smoothing=0.0, reduction='mean'"


# ---- class_pairs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [mask_plan(), label_plan()], ids=["mask", "labels"])
@pytest.mark.parametrize("classes", [1, 2, 5, 100])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8], ids=str)
def test_pairs_are_the_mixed_targets(plan: comix.MixPlan, classes: int, dtype: torch.dtype) -> None:
    n = 8
    targets = torch.randint(classes, (n,), generator=seeded(7)).to(dtype)
    index, weight = class_pairs(plan, targets)
    assert (index.dtype, weight.dtype) == (torch.int64, torch.float32)
    expected = plan.mix_targets(targets, num_classes=classes)
    torch.testing.assert_close(dense(index, weight, classes), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(weight.sum(1), torch.ones(len(index)), rtol=0, atol=1e-6)
    assert (weight.diff(dim=1) <= 0).all()  # heaviest first
    for classes_of, weights in zip(index.tolist(), weight.tolist(), strict=True):
        used = [c for c, w in zip(classes_of, weights, strict=True) if w > 0]
        assert len(used) == len(set(used))
        assert all(c == classes_of[0] for c, w in zip(classes_of, weights, strict=True) if w == 0)


def test_how_many_entries_is_known_from_the_plan() -> None:
    targets = torch.arange(8)
    assert class_pairs(mask_plan(8), targets)[0].shape == (8, 2)
    assert class_pairs(mask_plan(8).to("cpu"), targets)[0].shape == (8, 2)
    for made in (
        copy.copy(mask_plan(8)),
        copy.deepcopy(mask_plan(8)),
        pickle.loads(pickle.dumps(mask_plan(8))),
    ):
        assert class_pairs(made, targets)[0].shape == (8, 2)
        made.source[0, 0, 0, 1] = 7  # written to after that
        assert class_pairs(made, targets)[0].shape == (8, 8)
    saved = io.BytesIO()
    torch.save(mask_plan(8), saved)
    saved.seek(0)
    assert class_pairs(torch.load(saved, weights_only=False), targets)[0].shape == (8, 2)
    assert class_pairs(mask_plan(1), targets[:1])[0].tolist() == [[0, 0]]
    assert class_pairs(label_plan(), targets)[0].shape == (8, 8)
    many = torch.arange(100)
    assert class_pairs(label_plan(), many)[0].shape == (8, 18)  # 3 x 3 blocks of two inputs
    wide = comix.MixPlan.from_labels(torch.randint(8, (8, 2, 3, 2), generator=seeded(6)))
    assert class_pairs(wide, many)[0].shape == (8, 12)
    generator = seeded()
    images, saliency = torch.rand(8, 3, 16, 16), torch.rand(8, 16, 16)
    for mixer in (comix.PuzzleMix, comix.CoMixup):
        result = mixer(num_classes=8, generator=generator)(images, targets, saliency=saliency)
        index, weight = class_pairs(result.plan, targets)
        torch.testing.assert_close(dense(index, weight, 8), result.targets, rtol=0, atol=1e-6)


@pytest.mark.parametrize("assigned", [False, True])
def test_a_plan_of_pairs_that_was_written_to_is_not_trusted(assigned: bool) -> None:
    plan, source = mask_plan(8), label_plan().source[:, :, :2].clone()
    if assigned:
        plan.source = source
    else:
        plan.source.copy_(source)
    index, weight = class_pairs(plan, torch.arange(8))
    assert index.shape == (8, 8)
    torch.testing.assert_close(dense(index, weight, 8), plan.ratio(8), rtol=0, atol=1e-6)


def test_small_shares_keep_their_digits() -> None:
    shares = torch.tensor([1e-3, 3e-5, 7e-7, 1 - 2e-6])
    plan = comix.MixPlan.from_mask(shares.view(4, 1, 1), torch.arange(4).roll(1))
    _, weight = class_pairs(plan, torch.arange(4))
    torch.testing.assert_close(weight[:3, 1], shares[:3], rtol=1e-6, atol=0)
    torch.testing.assert_close(weight[3, 1], 1 - shares[3], rtol=1e-6, atol=0)


@pytest.mark.parametrize("k", [None, 1])
@pytest.mark.parametrize("make", [mask_plan, label_plan])
def test_a_share_that_is_not_a_number_stays_one(make: Any, k: int | None) -> None:
    plan = make(8)
    plan.weight[2, 0, 0, 0] = torch.nan  # after the checks of the constructor
    _, weight = class_pairs(plan, torch.arange(8), k=k)
    assert weight.isnan().all(1).tolist() == [row == 2 for row in range(8)]
    assert weight.isnan().any(1).tolist() == [row == 2 for row in range(8)]


@pytest.mark.parametrize("k", [1, 2, 4, 11])
def test_fewer_or_more_entries_than_needed(k: int) -> None:
    plan, targets = label_plan(), torch.tensor([3, 1, 4, 1, 5, 0, 2, 6])
    index, weight = class_pairs(plan, targets, k=k)
    assert index.shape == weight.shape == (8, k)
    mixed = plan.mix_targets(targets, num_classes=7)
    heaviest = mixed.topk(min(k, 7)).values
    expected = heaviest / heaviest.sum(1, keepdim=True)
    torch.testing.assert_close(weight[:, : min(k, 7)], expected, rtol=0, atol=1e-6)
    assert (weight[:, min(k, 7) :] == 0).all()
    if k >= 7:
        torch.testing.assert_close(dense(index, weight, 7), mixed, rtol=0, atol=1e-6)


def test_equal_shares_are_in_the_order_of_the_inputs() -> None:
    labels = torch.tensor([[[[2, 0]]], [[[1, 2]]], [[[0, 0]]]])
    index, weight = class_pairs(comix.MixPlan.from_labels(labels), torch.tensor([5, 9, 4]), k=2)
    assert index.tolist() == [[5, 4], [9, 4], [5, 5]]
    assert weight.tolist() == [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]


# ---- soft_cross_entropy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_it_is_cross_entropy_with_dense_targets(
    dtype: torch.dtype, weighted: bool, smoothing: float, reduction: str
) -> None:
    index, weight = random_pairs()
    weight = (weight * torch.linspace(0.5, 2, 6, dtype=torch.float64)[:, None]).to(dtype)  # any sums
    class_weight = torch.linspace(0, 3, CLASSES, dtype=dtype) if weighted else None
    ours, theirs = random_logits(dtype=dtype), random_logits(dtype=dtype)
    options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": reduction}
    loss = soft_cross_entropy(ours, index, weight, class_weight=class_weight, **options)
    expected = F.cross_entropy(theirs, dense(index, weight), class_weight, **options)
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(loss, expected, **tolerance)
    for result in (loss, expected):
        result.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_logits_are_computed_in_float32(dtype: torch.dtype) -> None:
    index, weight = random_pairs()
    half = random_logits(dtype=dtype)
    full = half.detach().float().requires_grad_()
    for loss_of in (soft_cross_entropy, decoupled_ce):
        half.grad = full.grad = None
        loss, expected = loss_of(half, index.int(), weight.half()), loss_of(full, index, weight.half())
        assert loss.dtype == torch.float32
        assert torch.equal(loss, expected)
        loss.backward()
        expected.backward()
        assert half.grad is not None
        assert full.grad is not None
        torch.testing.assert_close(half.grad, full.grad.to(dtype))


def test_no_dense_target_is_built() -> None:
    """For unsmoothed targets nothing of size [B, K] is made but what the log-sum-exp needs."""
    index, weight = torch.zeros(2, 2, dtype=torch.int64), torch.full((2, 2), 0.5)
    with torch.profiler.profile(record_shapes=True) as record:
        soft_cross_entropy(torch.rand(2, 1000), index, weight)
    made = {event.name for event in record.events() if event.name.startswith("aten::")}
    assert not made & {"aten::zeros", "aten::scatter_add_", "aten::one_hot", "aten::_log_softmax"}


def test_large_logits_and_gradients_by_definition() -> None:
    index, weight = random_pairs()
    logits = random_logits()
    positive = (weight + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: soft_cross_entropy(x, index, w), (logits, positive))
    assert torch.autograd.gradcheck(lambda x: decoupled_ce(x, index, weight), logits)
    large = torch.tensor([[1e4, -1e4, 0.0]])
    assert float(soft_cross_entropy(large, torch.tensor([[0, 1]]), torch.tensor([[0.5, 0.5]]))) == 1e4


# ---- decoupled_ce ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_decoupled_by_its_formula(smoothing: float, reduction: str) -> None:
    index, weight = random_pairs(k=4)
    logits = random_logits()
    rows = []
    for b in range(len(logits)):
        x = logits[b].tolist()
        mixed = {int(c) for c, w in zip(index[b], weight[b], strict=True) if w > 0}
        rest = sum(math.exp(x[c]) for c in range(CLASSES) if c not in mixed)
        rows.append(sum(math.log(math.exp(x[c]) + rest) - x[c] for c in mixed))
    plain = soft_cross_entropy(logits, index, weight, label_smoothing=smoothing, reduction="none")
    expected = plain + 0.3 * torch.tensor(rows, dtype=torch.float64)
    expected = {"mean": expected.mean(), "sum": expected.sum(), "none": expected}[reduction]
    loss = decoupled_ce(logits, index, weight, eta=0.3, label_smoothing=smoothing, reduction=reduction)
    torch.testing.assert_close(loss, expected)


def test_decoupled_at_its_ends() -> None:
    index, weight = random_pairs()
    logits = random_logits()
    torch.testing.assert_close(
        decoupled_ce(logits, index, weight, eta=0), soft_cross_entropy(logits, index, weight)
    )
    one = torch.tensor([[4]] * 6)  # one class: eta times its own cross entropy more
    alone = decoupled_ce(logits, one, torch.ones(6, 1), eta=0.5)
    torch.testing.assert_close(alone, 1.5 * F.cross_entropy(logits, one[:, 0]))
    two = torch.randn(3, 2, generator=seeded(8)).requires_grad_()  # all classes are mixed: nothing to add
    pairs = torch.tensor([[0, 1]] * 3), torch.full((3, 2), 0.5)
    loss = decoupled_ce(two, *pairs)
    torch.testing.assert_close(loss, soft_cross_entropy(two, *pairs))
    loss.backward()
    assert two.grad is not None
    assert torch.isfinite(two.grad).all()


# ---- MixResult.loss --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixer", [comix.PuzzleMix, comix.CoMixup])
def test_loss_of_a_result(mixer: Any) -> None:
    targets = torch.arange(6)
    result = mixer(num_classes=CLASSES, generator=seeded())(torch.rand(6, 3, 16, 16), targets)
    logits = random_logits(dtype=torch.float32)
    for options in ({}, {"label_smoothing": 0.1}, {"reduction": "none"}, {"reduction": "sum"}):
        loss = result.loss(logits, **options)
        torch.testing.assert_close(loss, F.cross_entropy(logits, result.targets, **options))
        torch.testing.assert_close(
            soft_cross_entropy(logits, *class_pairs(result.plan, targets), **options), loss
        )
    result.loss(logits).backward()
    assert logits.grad is not None
    assert result.loss(logits.double()).dtype == torch.float64
    assert result.loss(logits.bfloat16()).dtype == torch.float32


# ---- what does not fit -----------------------------------------------------------------------------------

PLAN, TARGETS = mask_plan(), torch.arange(6)
LOGITS, (INDEX, WEIGHT) = torch.rand(6, CLASSES), random_pairs()
WRONG_PLANS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"plan": 3}, TypeError, "plan: expected a comix.MixPlan, got int"),
    ({"targets": [0, 1]}, TypeError, "targets: expected a torch.Tensor, got list"),
    ({"targets": TARGETS.float()}, TypeError, r"targets: expected dtype uint8, .* int64, got float32"),
    (
        {"targets": LOGITS.long()},
        ValueError,
        r"targets: expected shape \[n\] \(class indices\), got \[6, 9\]",
    ),
    ({"targets": TARGETS[:0]}, ValueError, r"targets: expected shape \[n\] \(class indices\), got \[0\]"),
    ({"targets": TARGETS - 1}, ValueError, r"targets: expected values in 0\.\.\S+, got -1"),
    ({"targets": TARGETS[:4]}, ValueError, r"targets: expected at least 6 \(the plan uses input 5\), got 4"),
    ({"targets": TARGETS.to("meta")}, ValueError, r"targets: expected the device of plan \(cpu\), got meta"),
    ({"k": 0}, ValueError, "k: expected an int of at least 1, got 0"),
    ({"k": 2.0}, TypeError, r"k: expected an int of at least 1, got 2\.0"),
]
WRONG_LOGITS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"logits": 3}, TypeError, "logits: expected a torch.Tensor, got int"),
    ({"logits": LOGITS.long()}, TypeError, r"logits: expected dtype float16, .* float64, got int64"),
    ({"logits": LOGITS[0]}, ValueError, r"logits: expected shape \[B, K\], none of them 0, got \[9\]"),
    ({"logits": LOGITS[:, :0]}, ValueError, r"logits: expected shape \[B, K\], none of them 0, got \[6, 0\]"),
    ({"label_smoothing": -0.1}, ValueError, "label_smoothing: expected a number of at least 0, got -0.1"),
    ({"label_smoothing": 1.5}, ValueError, r"label_smoothing: expected a number in 0\.\.1, got 1\.5"),
    ({"label_smoothing": None}, TypeError, "label_smoothing: expected a number of at least 0, got None"),
    ({"reduction": "avg"}, ValueError, "reduction: expected one of 'mean', 'sum', 'none', got 'avg'"),
]
WRONG_PAIRS: list[tuple[dict[str, Any], type[Exception], str]] = [
    *WRONG_LOGITS,
    ({"index": INDEX.tolist()}, TypeError, "index: expected a torch.Tensor, got list"),
    ({"index": INDEX.double()}, TypeError, r"index: expected dtype uint8, .* got float64"),
    (
        {"index": INDEX[:5]},
        ValueError,
        r"index: expected shape \[6, k\] \(classes of every row\), got \[5, 3\]",
    ),
    (
        {"index": INDEX[:, 0]},
        ValueError,
        r"index: expected shape \[6, k\] \(classes of every row\), got \[6\]",
    ),
    ({"index": INDEX[:, :0]}, ValueError, r"index: expected shape \[6, k\] .* got \[6, 0\]"),
    ({"index": INDEX + 9}, ValueError, r"index: expected values in 0\.\.8, got \d+"),
    ({"index": INDEX - 9}, ValueError, r"index: expected values in 0\.\.8, got -\d"),
    ({"index": INDEX.to("meta")}, ValueError, r"index: expected the device of logits \(cpu\), got meta"),
    ({"weight": None}, TypeError, "weight: expected a torch.Tensor, got NoneType"),
    ({"weight": INDEX}, TypeError, r"weight: expected dtype float16, .* got int64"),
    ({"weight": WEIGHT[:, :2]}, ValueError, r"weight: expected the shape of index, \[6, 3\], got \[6, 2\]"),
    ({"weight": WEIGHT - 1}, ValueError, r"weight: expected values in 0\.\.inf, got -"),
    ({"weight": WEIGHT / 0}, ValueError, r"weight: expected finite values, got 18 value\(s\)"),
]


@pytest.mark.parametrize(("change", "error", "text"), WRONG_PLANS)
def test_class_pairs_explains(change: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        class_pairs(**{"plan": PLAN, "targets": TARGETS, **change})


@pytest.mark.parametrize("loss", [soft_cross_entropy, decoupled_ce])
@pytest.mark.parametrize(("change", "error", "text"), WRONG_PAIRS)
def test_losses_explain(loss: Any, change: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        loss(**{"logits": LOGITS, "index": INDEX, "weight": WEIGHT, **change})


def test_options_of_one_loss() -> None:
    arguments = LOGITS, INDEX, WEIGHT
    with pytest.raises(ValueError, match="eta: expected a number of at least 0, got -1"):
        decoupled_ce(*arguments, eta=-1)
    for value, error, text in (
        (2.0, TypeError, "class_weight: expected a torch.Tensor, got float"),
        (torch.ones(9).int(), TypeError, "class_weight: expected dtype float16, .* got int32"),
        (
            torch.ones(8),
            ValueError,
            r"class_weight: expected shape \[9\] \(one weight per class\), got \[8\]",
        ),
        (torch.ones(9) / 0, ValueError, "class_weight: expected finite values, got 9"),
    ):
        with pytest.raises(error, match=text):
            soft_cross_entropy(*arguments, class_weight=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(("change", "error", "text"), WRONG_LOGITS)
def test_loss_of_a_result_explains(change: dict[str, Any], error: type[Exception], text: str) -> None:
    result = comix.PuzzleMix(num_classes=CLASSES)(torch.rand(6, 3, 16, 16), TARGETS)
    with pytest.raises(error, match=text):
        result.loss(**{"logits": LOGITS, **change})
    with pytest.raises(ValueError, match=r"logits: expected shape \[6, 9\], as the targets, got \[6, 8\]"):
        result.loss(LOGITS[:, :8])
