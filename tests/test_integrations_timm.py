"""comix.integrations.timm inside the real library: its targets, its CutMix, its models, losses and seeds."""

from __future__ import annotations

import doctest
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import comix
import numpy as np
import pytest
import torch
import torchvision_ops
from torch import Tensor, nn

timm = pytest.importorskip("timm")

from comix.integrations import timm as adapter  # noqa: E402
from comix.integrations.timm import ComixMixup  # noqa: E402
from timm.data import Mixup  # noqa: E402
from timm.data.mixup import mixup_target  # noqa: E402
from timm.loss import BinaryCrossEntropy, SoftTargetCrossEntropy  # noqa: E402
from timm.utils import random_seed  # noqa: E402

assert torchvision_ops
CLASSES = 7
both = pytest.mark.parametrize("mode", ["puzzle", "comixup"])
METHODS: dict[str, Any] = {"puzzle": comix.PuzzleMix, "comixup": comix.CoMixup}


@pytest.fixture(autouse=True)
def _seeds_of_others_stay() -> Iterator[None]:
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 6) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 3, 20, 16, generator=seeded(1)), torch.arange(count) % CLASSES


def build(mode: str = "puzzle", **options: Any) -> ComixMixup:
    return ComixMixup(mode, **{"num_classes": CLASSES, "generator": seeded(), **options})


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, CLASSES),
    )


# ---- what timm would do ----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("off", ["mixup_enabled", "prob"])
def test_switched_off_it_is_timm_switched_off(mode: str, smoothing: float, off: str) -> None:
    x, target = batch()
    ours = build(mode, label_smoothing=smoothing, prob=0.0 if off == "prob" else 1.0)
    ours.mixup_enabled = off != "mixup_enabled"
    theirs = Mixup(num_classes=CLASSES, label_smoothing=smoothing)
    theirs.mixup_enabled = False
    mixed, soft = ours(x, target)
    expected, expected_soft = theirs(x.clone(), target)
    assert mixed is x
    assert torch.equal(mixed, expected)
    assert torch.equal(soft, expected_soft)
    assert soft.dtype == torch.float32


@both
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])  # the saliency is of the labels as they are
def test_mixed_batches_are_those_of_comix(mode: str, smoothing: float) -> None:
    x, target = batch()
    model = network()
    for bound in (None, model):
        mixed, soft = build(mode, label_smoothing=smoothing).bind(bound)(x, target)
        saliency = comix.spectral_residual(x) if bound is None else comix.input_saliency(model, x, target)
        smoothed = mixup_target(target, CLASSES, smoothing=smoothing)
        expected = METHODS[mode](generator=seeded())(x, smoothed, saliency=saliency)
        assert torch.equal(mixed, expected.images)
        assert torch.equal(soft, expected.targets)
        torch.testing.assert_close(soft.sum(1), torch.ones(6))
        by_hand = expected.plan.ratio(6) @ smoothed  # one-hot with timm's values, then mixed
        torch.testing.assert_close(soft, by_hand)
    spectral = build(mode, saliency="spectral").bind(model)(x, target)
    assert torch.equal(spectral[0], build(mode)(x, target)[0])


def test_options_reach_the_method() -> None:
    x, target = batch()
    ours = build("puzzle", mixup_alpha=0.3, label_smoothing=0, grid_choices=4, std=(0.2, 0.3, 0.4), eta=0.1)
    plain = comix.PuzzleMix(
        num_classes=CLASSES, alpha=0.3, grid_choices=4, std=(0.2, 0.3, 0.4), eta=0.1, generator=seeded()
    )
    assert torch.equal(ours(x, target)[0], plain(x, target).images)
    assert build("comixup").mixer.alpha == 2
    assert build("comixup", mixup_alpha=1.5, partition=4).mixer.alpha == 1.5
    assert "CoMixup(grid=4, partition=4" in repr(build("comixup", partition=4))


# ---- any batch -------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("count", [1, 2, 5, 23])
@pytest.mark.parametrize("bound", [False, True])
def test_any_batch_size(mode: str, count: int, bound: bool) -> None:
    x, target = batch(count)
    mixed, soft = build(mode, cutmix_alpha=1.0).bind(network().eval() if bound else None)(x, target)
    assert mixed.shape == x.shape
    assert soft.shape == (count, CLASSES)
    torch.testing.assert_close(soft.sum(1), torch.ones(count))


@both
@pytest.mark.parametrize("cutmix", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8], ids=str)
def test_dtype_and_layout_stay_and_the_input_is_read_only(
    mode: str, dtype: torch.dtype, channels_last: bool, cutmix: bool
) -> None:
    x, target = batch()
    x = (x * 255).to(dtype)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    before = x.clone(), target.clone()
    ours = build(mode, cutmix_alpha=1.0 if cutmix else 0.0, switch_prob=1.0)
    if dtype != torch.uint8:
        ours.bind(network().to(dtype))
    for _ in range(3):
        mixed, soft = ours(x, target)
        assert mixed.dtype == dtype
        assert soft.dtype == torch.float32
        kept = torch.channels_last if channels_last else torch.contiguous_format
        assert mixed.is_contiguous(memory_format=kept)
        assert mixed.data_ptr() != x.data_ptr()
    assert torch.equal(x, before[0])
    assert torch.equal(target, before[1])


# ---- draws -----------------------------------------------------------------------------------------------


def test_prob_is_the_share_of_mixed_batches() -> None:
    x, target = batch(2)
    ours = build("puzzle", prob=0.3, grid_choices=2, transport=False, label_smoothing=0)
    unmixed = sum(ours(x, target)[0] is x for _ in range(100))
    assert 55 <= unmixed <= 85  # 70 +- 5


def test_the_generator_decides_all_but_cutmix() -> None:
    x, target = batch()
    state = torch.get_rng_state()
    runs = []
    for _ in range(2):
        np.random.seed(4)  # noqa: NPY002
        ours = build("puzzle", prob=0.7, cutmix_alpha=1.0)
        runs.append([ours(x, target) for _ in range(12)])
    assert torch.equal(torch.get_rng_state(), state)
    for (one, one_soft), (two, two_soft) in zip(*runs, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one_soft, two_soft)


def test_ranks_differ_by_the_seeds_of_timm() -> None:
    x, target = batch()
    drawn = []
    for rank in (0, 1, 0):
        random_seed(42, rank)
        drawn.append(build("puzzle", generator=None)(x, target)[0])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    "options",
    [{"cutmix_alpha": 0.8}, {"cutmix_minmax": (0.2, 0.8)}, {"cutmix_alpha": 1.0, "correct_lam": False}],
)
def test_cutmix_is_that_of_timm(options: dict[str, Any]) -> None:
    x, target = batch()
    ours = build("puzzle", switch_prob=1.0, **options)
    theirs = Mixup(mixup_alpha=0.0, num_classes=CLASSES, **{"cutmix_alpha": 0.0, **options})
    for seed in range(3):
        results = []
        for mixup in (ours, theirs):
            np.random.seed(seed)  # noqa: NPY002
            results.append(mixup(x.clone(), target))
        assert torch.equal(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])
    odd = ours(x[:5], target[:5])[0]  # timm cannot: comix mixes it
    assert torch.equal(odd, build("puzzle")(x[:5], target[:5])[0])


def test_switch_prob_chooses_between_the_two() -> None:
    x, target = batch(2)
    ours = build("puzzle", cutmix_alpha=1.0, switch_prob=0.25)
    calls = []
    ours.cutmix = lambda x, target: (calls.append(1), (x, target))[1]
    for _ in range(80):
        ours(x, target)
    assert 8 <= len(calls) <= 32  # 20 +- 4
    never = build("puzzle", cutmix_alpha=1.0, switch_prob=0.0)
    assert torch.equal(never(x, target)[0], build("puzzle")(x, target)[0])


# ---- the model -------------------------------------------------------------------------------------------


class Recorder(nn.Module):
    """Logits, and what was seen on the way to them."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, CLASSES)
        self.seen: list[tuple[torch.dtype, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x.mean((2, 3)))
        self.seen.append((logits.dtype, self.training))
        return logits


def test_the_bound_autocast_is_open_during_the_saliency_pass() -> None:
    x, target = batch()
    model = Recorder()
    amp_autocast = partial(torch.autocast, device_type="cpu", dtype=torch.bfloat16)
    mixed, soft = build().bind(model, amp_autocast)(x, target)
    build().bind(model)(x, target)
    build().bind(model, amp_autocast).bind(model)(x, target)  # the last call of bind counts, all of it
    assert model.seen == [(torch.bfloat16, False), (torch.float32, False), (torch.float32, False)]
    assert model.training
    assert (mixed.dtype, soft.dtype) == (torch.float32, torch.float32)
    assert model.head(torch.rand(2, 3)).dtype == torch.float32  # autocast is closed again


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch.compile itself
def test_wrappers_come_off() -> None:
    x, target = batch()
    plain = Recorder()
    expected = build().bind(plain)(x, target)[0]
    compiled = torch.compile(plain)
    for wrapped in (
        compiled,
        nn.DataParallel(plain),
        nn.DataParallel(compiled),
        torch.compile(nn.DataParallel(plain)),
    ):
        ours = build().bind(wrapped)
        assert ours._model is plain
        assert torch.equal(ours(x, target)[0], expected)
    assert build().bind(plain).bind(None)._model is None


@both
def test_a_model_of_timm_trains(mode: str) -> None:
    torch.manual_seed(0)
    name = "test_resnet" if timm.is_model("test_resnet") else "resnet10t"  # before timm 1.0.10
    model = timm.create_model(name, num_classes=CLASSES)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    mixup_fn = build(mode, cutmix_alpha=1.0).bind(model, partial(torch.autocast, "cpu", torch.bfloat16))
    x, target = torch.rand(5, 3, 32, 32, generator=seeded(1)), torch.arange(5)
    batches_seen = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert batches_seen
    losses = []
    for step, loss_fn in enumerate(
        (SoftTargetCrossEntropy(), BinaryCrossEntropy(), SoftTargetCrossEntropy())
    ):
        before = [p.detach().clone() for p in model.parameters()]
        mixed, soft = mixup_fn(x, target)
        assert all(int(m.num_batches_tracked) == step for m in batches_seen)
        assert all(p.grad is None for p in model.parameters())
        loss = loss_fn(model(mixed), soft)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        assert any(not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    assert np.isfinite(losses).all()


# ---- errors and examples ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"mode": "batch"}, ValueError, "mode: expected one of 'puzzle', 'comixup', got 'batch'"),
        ({"saliency": "gradient"}, ValueError, "saliency: expected one of 'spectral', got 'gradient'"),
        ({"prob": 1.5}, ValueError, r"prob: expected a number in 0\.\.1, got 1\.5"),
        ({"prob": None}, TypeError, "prob: expected a number of at least 0, got None"),
        ({"switch_prob": 2}, ValueError, r"switch_prob: expected a number in 0\.\.1, got 2"),
        ({"label_smoothing": -1}, ValueError, "label_smoothing: expected a number of at least 0, got -1"),
        ({"num_classes": 0}, ValueError, "num_classes: expected an int of at least 1, got 0"),
        ({"cutmix_alpha": -1}, ValueError, "cutmix_alpha: expected a number of at least 0, got -1"),
        ({"mixup_alpha": -1}, ValueError, "alpha: expected a number of at least 0, got -1"),
        ({"generator": 3}, TypeError, "generator: expected a torch.Generator or None, got int"),
        ({"grids": 4}, TypeError, "unexpected keyword argument 'grids'"),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ComixMixup(**options)


def test_calls_that_do_not_fit() -> None:
    x, target = batch()
    ours = build()
    for arguments, error, text in (
        ((x[0], target), ValueError, r"images: expected shape \[B, C, H, W\], got \[3, 20, 16\]"),
        ((x, target[:4]), ValueError, r"target: expected shape \[6\] \(class indices\), got \[4\]"),
        ((x, torch.rand(6, 7)), TypeError, r"target: expected dtype uint8, .* got float32"),
        ((x, target + 5), ValueError, r"target: expected values in 0\.\.6, got 10"),
        ((x, [0] * 6), TypeError, r"target: expected a torch.Tensor, got list"),
    ):
        with pytest.raises(error, match=text):
            ours(*arguments)
    with pytest.raises(TypeError, match="model: expected a callable or None, got int"):
        ours.bind(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="amp_autocast: expected a callable or None, got bool"):
        ours.bind(network(), True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"images: expected dtype float16, .* got uint8"):
        ours.bind(network())((x * 255).byte(), target)


def test_examples_run() -> None:
    results = doctest.testmod(adapter)
    assert results.attempted > 0
    assert results.failed == 0
