"""OpenMixup's classifier with comix: the modes of ComixClassification, and training with the patched one."""

# ruff: noqa: NPY002 - OpenMixup draws from NumPy's global state

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import comix
import numpy as np
import openmixup_stand_in
import pytest
import torch
from torch import nn
from torch.nn import functional as F

REAL = openmixup_stand_in.library()

import comix.integrations.openmixup as co  # noqa: E402 - the library first
from openmixup.models import build_model  # noqa: E402
from openmixup.models.registry import BACKBONES, MODELS  # noqa: E402

SOFT = {"type": "CrossEntropyLoss", "use_soft": True}
HARD = {"type": "CrossEntropyLoss"}
SMOOTH = {"type": "LabelSmoothLoss", "label_smooth_val": 0.1, "num_classes": 10, "mode": "original"}
DECOUPLED = {"type": "CrossEntropyLoss", "use_soft": True, "use_mix_decouple": True}
MODES = ["comixup", "comix_puzzle"]


class TinyConv(nn.Module):
    def __init__(self, channels: int = 3, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.norm(self.conv(x)).relu()]


BACKBONES.register_module(force=True)(TinyConv)


def seed(value: int) -> None:
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def head(loss: dict[str, Any] = SOFT, multi_label: bool = True, **more: Any) -> dict[str, Any]:
    kind = {"type": "ClsMixupHead", "loss": loss, "multi_label": multi_label, "with_avg_pool": True}
    return {**kind, "in_channels": 8, "num_classes": 10, **more}


def model(
    mix_mode: Any, kind: str = "ComixClassification", the_head: dict[str, Any] | None = None, **more: Any
) -> Any:
    seed(0)
    config = {
        "type": kind,
        "mix_mode": mix_mode,
        "backbone": {"type": "TinyConv"},
        "head": the_head or head(),
    }
    config["alpha"] = [1.0] * len(mix_mode) if isinstance(mix_mode, list) else 1.0
    return build_model({**config, **more}).train()


def mode_args(mode: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"mix_args": {mode: arguments}}


def batch(n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(n)
    return torch.randn(n, 3, 16, 16, generator=g), torch.randint(0, 10, (n,), generator=g)


class Heard:
    """What a model's head was given to score, and what its criterion got."""

    def __init__(self, net: Any) -> None:
        self.scores: list[torch.Tensor] = []
        self.images: list[torch.Tensor] = []
        net.head.register_forward_hook(lambda *heard: self.scores.append(heard[2][0]))
        net.backbone.register_forward_pre_hook(lambda _, given: self.images.append(given[0]))


# --- modes --------------------------------------------------------------------------------------------


def test_the_class_is_registered_once_and_for_all() -> None:
    assert MODELS.get("ComixClassification") is co.ComixClassification
    assert "ComixClassification" in co.__all__
    assert issubclass(co.ComixClassification, MODELS.get("MixUpClassification"))


HEADS = [(SOFT, True, {}), (HARD, False, {}), (SMOOTH, True, {}), (SMOOTH, False, {})]
HEADS += [({"type": "CrossEntropyLoss", "use_sigmoid": True}, True, {})]
HEADS += [(DECOUPLED, True, {"eta_weight": {"eta": 0.1, "mode": "both", "thr": 0.5}})]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("loss", "multi_label", "more"), HEADS)
def test_training(mode: str, loss: dict[str, Any], multi_label: bool, more: dict[str, Any]) -> None:
    net = model(mode, the_head=head(loss, multi_label, **more), mix_args={"comixup": {"part": 4}})
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    images, labels = batch(9)
    losses = []
    for _ in range(8):
        found = net.forward_train(images, labels)
        assert set(found) == {"loss", "acc", "acc_mix"}
        loss_value, log = net._parse_losses(found)
        assert found["loss"].shape == ()
        assert all(0 <= log[name] <= 100 + 1e-3 for name in ("acc", "acc_mix"))
        optimizer.zero_grad()
        loss_value.backward()
        optimizer.step()
        losses.append(float(loss_value.detach()))
    assert sum(losses[-3:]) < sum(losses[:3])


def test_comixup_is_the_augmentation() -> None:
    net = model("comixup", mix_args={"comixup": {"grid": 2, "part": 4, "beta": 0.5}}, alpha=2.0)
    heard = Heard(net)
    images, labels = batch(10)
    network = nn.Sequential(net.backbone, _Last(), net.head, _Last())
    saliency = comix.input_saliency(network, images, labels)
    heard.scores.clear(), heard.images.clear()
    seed(3)
    found, at = net.forward_mix(images, labels)
    assert at == 0
    seed(3)
    random.choices([0])
    aug = comix.CoMixup(num_classes=10, grid=2, partition=4, beta=0.5, alpha=2.0)
    mixed, targets = aug(images, labels, saliency=saliency)
    assert torch.equal(heard.images[-1], mixed)
    expected = F.cross_entropy(heard.scores[-1], targets)
    torch.testing.assert_close(found["loss"], expected)


class _Last(nn.Module):
    """OpenMixup's lists of one."""

    def forward(self, x: Any) -> Any:
        return x[-1] if isinstance(x, list) and isinstance(x[-1], torch.Tensor) and x[-1].ndim == 2 else x


SIGMOID = {"type": "CrossEntropyLoss", "use_sigmoid": True}


@pytest.mark.parametrize("mode", MODES)
def test_losses_of_independent_classes_are_summed_over_classes(mode: str) -> None:
    """As the library's heads do: the mean is over samples alone."""
    net = model(mode, the_head=head(SIGMOID))
    heard, targets = Heard(net), []
    net.head.criterion.register_forward_pre_hook(lambda _, given: targets.append(given[1]))
    images, labels = batch()
    found, _ = net.forward_mix(images, labels)
    scores, soft = heard.scores[-1], targets[-1]
    each = F.binary_cross_entropy_with_logits(scores, soft.to(scores.dtype), reduction="none")
    torch.testing.assert_close(found["loss"], each.sum() / 6)


@pytest.mark.parametrize("multi_label", [True, False])
def test_every_sample_counts_with_its_own_shares(multi_label: bool) -> None:
    net = model("comix_puzzle", the_head=head(SOFT if multi_label else HARD, multi_label))
    heard = Heard(net)
    images, labels = batch()
    saliency = net._features(images, labels, cur_mode="puzzlemix")
    seed(4)
    found, _ = net.forward_mix(images, labels)
    seed(4)
    random.choices([0])
    defaults = {"block_num": 5, "neigh_size": 4, "n_labels": 3, "t_eps": 0.8, "t_size": 4}
    mixed, (own, partner, lam) = co.puzzlemix(images, labels, 1.0, features=saliency, **defaults)
    torch.testing.assert_close(heard.images[-1], mixed)
    assert lam.unique().numel() > 1
    scores = heard.scores[-1]
    per_sample = lam * F.cross_entropy(scores, own, reduction="none")
    per_sample = per_sample + (1 - lam) * F.cross_entropy(scores, partner, reduction="none")
    torch.testing.assert_close(found["loss"], per_sample.mean())
    if multi_label:  # the library's heads agree, given lam [N] and weights [N, 1]
        torch.testing.assert_close(net.head.loss([scores], (own, partner, lam))["loss"], found["loss"])
        weights = [lam[:, None], 1 - lam[:, None], 0 * lam[:, None]]
        co_loss = net.head.co_loss([scores], [own, partner, own, weights])  # it takes three classes
        torch.testing.assert_close(co_loss["loss"], found["loss"])


def test_top_k_keeps_the_largest_classes() -> None:
    images, labels = batch(8)
    targets = {}
    for top_k in (None, 1, 2):
        net = model("comixup", mix_args={"comixup": {"top_k": top_k, "beta": 0.0}}, alpha=2.0)
        heard = []
        net.head.criterion.register_forward_pre_hook(lambda _, given, heard=heard: heard.append(given[1]))
        seed(1)
        net.forward_mix(images, labels)
        targets[top_k] = heard[-1]
    assert targets[None].gt(0).sum(1).max() > 2, "the case needs outputs of three classes"
    for top_k in (1, 2):
        assert targets[top_k].gt(0).sum(1).max() == top_k
        torch.testing.assert_close(targets[top_k].sum(1), torch.ones(8))
    assert torch.equal(targets[1].argmax(1), targets[None].argmax(1))


def test_decoupled_heads_get_the_decoupled_loss() -> None:
    eta = {"eta": 0.3, "mode": "both", "thr": 0.5}
    for loss, smoothing in ((DECOUPLED, 0.0), ({**SMOOTH, "mode": "mix_decouple"}, 0.1)):
        net = model("comix_puzzle", the_head=head(loss, eta_weight=eta))
        heard = Heard(net)
        images, labels = batch()
        network = nn.Sequential(net.backbone, _Last(), net.head, _Last())
        saliency = comix.input_saliency(network, images, labels)
        seed(4)
        found, _ = net.forward_mix(images, labels)
        seed(4)
        random.choices([0])
        arguments = {"block_num": 5, "neigh_size": 4, "n_labels": 3, "t_eps": 0.8, "t_size": 4}
        _, (own, partner, lam) = co.puzzlemix(images, labels, 1.0, features=saliency, **arguments)
        pairs = torch.stack((own, partner), 1), torch.stack((lam, 1 - lam), 1)
        expected = comix.losses.decoupled_ce(heard.scores[-1], *pairs, eta=0.3, label_smoothing=smoothing)
        torch.testing.assert_close(found["loss"], expected)


def test_saliency_leaves_gradients_and_flags_alone() -> None:
    net = model(MODES, mix_prob=[0.5, 0.5])
    net.backbone.norm.eval()
    images, labels = batch()
    statistics = net.backbone.norm.running_mean.clone()
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    for _ in range(4):
        net.forward_mix(images, labels)
    assert all(bool((p.grad == 1).all()) for p in net.parameters())
    assert not net.backbone.norm.training
    assert net.backbone.training
    assert torch.equal(net.backbone.norm.running_mean, statistics)


def test_modes_are_drawn_by_mix_prob_and_alpha_belongs_to_its_mode() -> None:
    net = model(["mixup", *MODES, "vanilla"], mix_prob=[0.0, 0.3, 0.7, 0.0], alpha=[1.0, 2.0, 0.7, 1.0])
    images, labels = batch(4)
    seed(0)
    drawn = [net.forward_mix(images, labels)[1] for _ in range(40)]
    assert set(drawn) == {1, 2}
    assert 5 <= drawn.count(1) <= 20
    assert net._mixers[1].alpha == 2.0
    equal = model(MODES)
    assert {equal.forward_mix(images, labels, remove_idx=0)[1] for _ in range(8)} == {1}


@pytest.mark.parametrize("mix_prob", [None, [0.25, 0.75]])
def test_without_our_modes_it_is_the_library(mix_prob: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    openmixup_stand_in.on_any_device(REAL, monkeypatch)
    images, labels = batch()
    losses = []
    for kind in ("MixUpClassification", "ComixClassification"):
        net = model(["mixup", "vanilla"], kind, mix_prob=mix_prob, mix_args={"mixup": {}})
        seed(9)
        losses.append([float(net.forward_train(images, labels)["loss"].detach()) for _ in range(8)])
        losses[-1].append(random.random())
    assert losses[0] == losses[1]


def test_repeats_and_modes_beside_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    openmixup_stand_in.on_any_device(REAL, monkeypatch)
    images, labels = batch()
    net = model([*MODES, "mixup", "vanilla"], mix_repeat=2)
    seed(2)
    for _ in range(8):
        found = net.forward_train(images, labels)
        assert found["loss"].shape == ()
        assert bool(found["loss"].isfinite())


def test_labels_of_shape_n_1_and_other_channel_counts() -> None:
    arguments = {"comix_puzzle": {"block_num": 4}}
    net = model(MODES, backbone={"type": "TinyConv", "channels": 1}, mix_args=arguments)
    found, _ = net.forward_mix(torch.randn(5, 1, 12, 20), torch.arange(5).view(5, 1))
    assert bool(found["loss"].isfinite())


def test_half_precision_under_autocast() -> None:
    net = model(MODES)
    images, labels = batch()
    for _ in range(4):
        with torch.autocast("cpu", torch.bfloat16):
            found, _ = net.forward_mix(images, labels)
        found["loss"].backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters())


def test_accuracies() -> None:
    net = model("comixup")
    scores = torch.tensor([[5.0, 4.0, 0.0], [5.0, 4.0, 0.0], [5.0, 0.0, 4.0]])
    index = torch.tensor([[0, 1, 0], [1, 2, 1], [0, 0, 0]])
    weight = torch.tensor([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.75, 0.25, 0.0]])
    found = net._losses(scores, index, weight)
    torch.testing.assert_close(found["acc"], torch.tensor([200 / 3]))
    torch.testing.assert_close(found["acc_mix"], torch.tensor([250 / 3]))


# --- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text", "change"),
    [
        (
            TypeError,
            r"mix_args\['comixup'\]: expected names among .*partition.*'gird'",
            mode_args("comixup", {"gird": 4}),
        ),
        *(
            (TypeError, rf"mix_args\['comixup'\]: .*, got '{name}'", mode_args("comixup", {name: 2}))
            for name in ("alpha", "num_classes", "generator")
        ),
        (
            TypeError,
            r"mix_args\['comix_puzzle'\]: expected names .*'blocks'",
            mode_args("comix_puzzle", {"blocks": 4}),
        ),
        (
            ValueError,
            r"one of part and partition, got both",
            mode_args("comixup", {"part": 4, "partition": 4}),
        ),
        (ValueError, r"top_k: expected an int of at least 1, got 0", mode_args("comixup", {"top_k": 0})),
        (
            ValueError,
            r"partition: expected an int of at least 1, got 0",
            mode_args("comixup", {"part": 0}),
        ),
        (ValueError, r"alpha: expected 2 numbers, one per mode of mix_mode, got \[1.0\]", {"alpha": 1.0}),
        (ValueError, r"alpha: expected a number above 0, got 0", {"alpha": [0.0, 1.0]}),
        (AssertionError, r"mix_mode=nonsense is not supported", {"mix_mode": ["comixup", "nonsense"]}),
        (ValueError, r"head: expected two_hot=False .*got two_hot=True", {"the_head": head(two_hot=True)}),
        (ValueError, r"head: expected two_hot_scale=1", {"the_head": head(two_hot_scale=0.5)}),
        (
            ValueError,
            r"head: expected neg_weight=1",
            {"the_head": head({"type": "CrossEntropyLoss", "use_sigmoid": True}, neg_weight=0.5)},
        ),
        (
            ValueError,
            r"head: expected eta_weight with mode='both'",
            {"the_head": head(DECOUPLED, eta_weight={"eta": 0.1, "mode": "less", "thr": 0.5})},
        ),
        (
            ValueError,
            r"head: expected no class_weight in a decoupled loss",
            {"the_head": head({**DECOUPLED, "class_weight": [1.0] * 10})},
        ),
    ],
)
def test_wrong_configs(error: type[Exception], text: str, change: dict[str, Any]) -> None:
    with pytest.raises(error, match=text):
        model(**{"mix_mode": MODES, **change})


def test_wrong_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model("comixup")
    images, labels = batch()
    with pytest.raises(TypeError, match=r"gt_label: expected dtype .*, got float32"):
        net.forward_mix(images, torch.eye(10)[labels])
    for wrong in (labels[:5], labels.view(6, 1).expand(6, 2), labels.view(6, 1, 1), labels.view(3, 2)):
        with pytest.raises(ValueError, match=r"gt_label: expected shape \[6\] \(class indices\), got"):
            net.forward_mix(images, wrong)
    monkeypatch.setattr(net, "_losses", lambda *_: {"loss": torch.tensor(float("nan"))})
    with pytest.raises(ValueError, match=r"loss: expected a finite number \(with fp16, use fp32\), got nan"):
        net.forward_mix(images, labels)
    net.head.forward = lambda x: [torch.zeros(6, 10), torch.zeros(6, 10)]
    with pytest.raises(ValueError, match=r"head: expected one that returns a list of one output .*2 of them"):
        net.forward_mix(images, labels)


def test_heads_without_a_criterion_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from comix.integrations._openmixup import _check_head

    with pytest.raises(TypeError, match=r"head: expected one with a criterion over classes, .*got Identity"):
        _check_head(nn.Identity())


# --- the library's own classifier, patched ------------------------------------------------------------


@pytest.fixture
def patched() -> Iterator[None]:
    co.patch()
    yield
    co.unpatch()


@pytest.mark.usefixtures("patched")
def test_training_with_the_patched_puzzlemix() -> None:
    net = model("puzzlemix", "MixUpClassification")
    assert net.dynamic_mode["puzzlemix"] is co.puzzlemix
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    images, labels = batch(9)
    losses = []
    for _ in range(8):
        loss, _ = net._parse_losses(net.forward_train(images, labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-3:]) < sum(losses[:3])


def test_models_built_after_unpatch_have_the_librarys() -> None:
    before = model("vanilla", "MixUpClassification").dynamic_mode["puzzlemix"]
    co.patch()
    assert model("vanilla", "MixUpClassification").dynamic_mode["puzzlemix"] is co.puzzlemix
    co.unpatch()
    assert model("vanilla", "MixUpClassification").dynamic_mode["puzzlemix"] is before
