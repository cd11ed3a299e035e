"""comix in Lightning: which network and which saliency, what a batch may be, and what the errors say."""

from __future__ import annotations

import re
from collections import namedtuple
from typing import Any

import comix
import pytest
import torch
from lightning_modules import (
    CLASSES,
    MARKS,
    ComixMixin,
    ComixMixing,
    L,
    Manual,
    Mixed,
    Plain,
    StepMix,
    loader,
    mixer,
    network,
    one_thread,
    stripes,
    trainer,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

__all__ = ["one_thread"]
pytestmark = MARKS


# ---- networks, saliencies, batches ------------------------------------------------------------------------


def test_the_network_of_the_saliency_can_be_chosen() -> None:
    images, targets = stripes(6).tensors
    module = Plain()
    module.teacher = nn.Sequential(nn.Flatten(), nn.Linear(144, CLASSES))
    expected = comix.input_saliency(module.teacher, images, targets)
    for net in ("teacher", module.teacher):
        mixing = ComixMixing(mixer(), net=net)
        trainer(mixing, fast_dev_run=True).fit(module, loader())
        assert torch.equal(mixing.result.saliency, expected)

    class Chosen(Mixed):
        def comix_network(self) -> Any:
            return self.teacher

    chosen = Chosen()
    chosen.teacher = module.teacher
    assert torch.equal(chosen.comix_step((images, targets)).saliency, expected)
    plain = Mixed()
    assert torch.equal(plain.comix_step((images, targets), net=module.teacher).saliency, expected)


def test_the_default_network() -> None:
    images, targets = stripes(6).tensors

    class NoForward(ComixMixin, L.LightningModule):
        comix_mixer = mixer()

        def __init__(self, **networks: Any) -> None:
            super().__init__()
            for name, net in networks.items():
                setattr(self, name, net)

    net = network()
    expected = comix.input_saliency(net, images, targets)
    assert torch.equal(NoForward(net=net).comix_step((images, targets)).saliency, expected)
    assert torch.equal(Mixed().comix_step((images, targets)).saliency, expected)  # forward
    with pytest.raises(TypeError, match="net: expected given, since the module has neither a forward method"):
        NoForward(model=net).comix_step((images, targets))


def test_saliency_without_a_network() -> None:
    images, targets = stripes(6).tensors
    expected = comix.spectral_residual(images)
    mixed = Mixed().comix_step((images, targets), saliency="spectral")
    assert torch.equal(mixed.saliency, expected)
    module, mixing = Plain(), ComixMixing(mixer(), saliency="spectral")
    trainer(mixing, fast_dev_run=True).fit(module, loader())
    assert torch.equal(mixing.result.saliency, expected)
    assert len(module.autocast) == 1  # one pass, the training step's own


def test_a_criterion_of_ones_own() -> None:
    images, targets = stripes(6).tensors
    calls = []

    def criterion(outputs: Tensor, labels: Tensor) -> Tensor:
        calls.append(labels)
        return F.multi_margin_loss(outputs, labels)

    mixed = Mixed().comix_step((images, targets), criterion=criterion, clean_weight=2.0)
    assert torch.equal(calls[0], targets)
    torch.testing.assert_close(mixed.clean_loss, 2 * F.multi_margin_loss(network()(images), targets))
    expected = comix.input_saliency(network(), images, targets, criterion=F.multi_margin_loss)
    plain = Mixed().comix_step((images, targets), criterion=F.multi_margin_loss)
    assert torch.equal(plain.saliency, expected)
    for clean_weight in (0.0, 2.0):
        mixing = ComixMixing(mixer(), criterion=F.multi_margin_loss, clean_weight=clean_weight)
        trainer(mixing, fast_dev_run=True).fit(Plain(), loader())
        if clean_weight:
            torch.testing.assert_close(mixing.clean_loss, mixed.clean_loss.detach())
        else:
            assert torch.equal(mixing.result.saliency, expected)


@pytest.mark.parametrize("clean_weight", [0.0, 0.5])
def test_options_of_the_loss_concern_the_mixed_part(clean_weight: float) -> None:
    mixed = Mixed().comix_step(next(iter(loader())), clean_weight=clean_weight)
    logits = torch.linspace(-1, 1, 6 * CLASSES).view(6, CLASSES)
    clean = mixed.clean_loss if clean_weight else 0.0
    for smoothing in (0.0, 0.3):
        for reduction in ("mean", "sum", "none"):
            expected = F.cross_entropy(logits, mixed.targets, label_smoothing=smoothing, reduction=reduction)
            found = mixed.loss(logits, label_smoothing=smoothing, reduction=reduction)
            torch.testing.assert_close(found, expected + clean)


def test_what_a_step_returns() -> None:
    module = Mixed()
    mixed = module.comix_step(next(iter(loader())), clean_weight=0.5)
    assert isinstance(mixed, StepMix)
    assert isinstance(mixed, comix.MixResult)
    images, targets = mixed
    assert images is mixed.images
    assert targets is mixed.targets
    logits = torch.zeros(6, CLASSES)
    expected = comix.MixResult.loss(mixed, logits) + mixed.clean_loss
    torch.testing.assert_close(mixed.loss(logits), expected)
    assert mixed.loss(logits).requires_grad
    assert all(p.grad is None for p in module.parameters())


Pair = namedtuple("Pair", ["pictures", "labels"])


class Dicts(Dataset):
    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index], "label": self.labels[index], "index": torch.tensor(index)}


class DictMixing(ComixMixing):
    def split_batch(self, batch: Any) -> tuple[Tensor, Tensor]:
        return batch["image"], batch["label"]

    def join_batch(self, batch: Any, images: Tensor, targets: Tensor) -> Any:
        return {**batch, "image": images, "label": targets}


def test_batches_of_other_forms() -> None:
    seen: list[Any] = []

    class Taking(Plain):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            seen.append(batch)
            pair = (batch["image"], batch["label"]) if isinstance(batch, dict) else batch
            return super().training_step(pair, batch_idx)

    trainer(DictMixing(mixer()), fast_dev_run=True).fit(Taking(), loader(Dicts(*stripes().tensors)))
    assert seen[0]["label"].shape == (6, CLASSES)
    assert seen[0]["index"].tolist() == list(range(6))
    pairs = DataLoader(stripes(), 6, collate_fn=lambda items: Pair(*torch.utils.data.default_collate(items)))
    trainer(ComixMixing(mixer()), fast_dev_run=True).fit(Taking(), pairs)
    assert isinstance(seen[1], Pair)
    assert seen[1].labels.shape == (6, CLASSES)
    mixing, (images, targets) = ComixMixing(mixer()), stripes(2).tensors
    assert mixing.join_batch((1, 2), images, targets) == (images, targets)
    assert mixing.join_batch([1, 2], images, targets) == [images, targets]


# ---- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda x, y: {"image": x, "label": y}, "dict with the keys image, label"),
        (lambda x, y: (x, y, x), "tuple of (Tensor, Tensor, Tensor)"),
        (lambda x, y: [x, {"label": y}], "list of (Tensor, dict)"),
        (lambda x, y: x, "Tensor"),
    ],
    ids=["dict", "triple", "nested", "tensor"],
)
def test_batches_that_are_no_pair(change: Any, got: str) -> None:
    images, targets = stripes(6).tensors
    text = f"batch: expected a pair of tensors (images, targets), got {got}; "
    with pytest.raises(TypeError, match=re.escape(text + "comix_step((images, targets)) takes")):
        Mixed().comix_step(change(images, targets))
    pairs = DataLoader(
        stripes(), 6, collate_fn=lambda items: change(*torch.utils.data.default_collate(items))
    )
    module = Plain()
    with pytest.raises(TypeError, match=re.escape(text + "for other batches override ComixMixing.split")):
        trainer(ComixMixing(mixer())).fit(module, pairs)
    assert "training_step" not in vars(module)


def test_clean_weight_under_manual_optimisation() -> None:
    module = Manual()
    with pytest.raises(ValueError, match=r"clean_weight: expected 0 with manual optimization.*got 0\.5"):
        trainer(ComixMixing(mixer(), clean_weight=0.5)).fit(module, loader())
    assert "training_step" not in vars(module)


def test_a_net_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"net: expected the name of an attribute of Plain, got 'head\.net'"):
        trainer(ComixMixing(mixer(), net="head.net")).fit(Plain(), loader())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"mixer": comix.PuzzleMix},
            TypeError,
            "mixer: expected a comix.PuzzleMix or a comix.CoMixup, got <cl",
        ),
        ({"mixer": None}, TypeError, "mixer: expected a comix.PuzzleMix or a comix.CoMixup, got None"),
        (
            {"net": 3},
            TypeError,
            "net: expected a module, the name of an attribute of the LightningModule, or",
        ),
        (
            {"saliency": "gradient"},
            ValueError,
            "saliency: expected one of 'model', 'spectral', got 'gradient'",
        ),
        ({"clean_weight": -1}, ValueError, "clean_weight: expected a number of at least 0, got -1"),
        (
            {"clean_weight": 1, "saliency": "spectral"},
            ValueError,
            "clean_weight: expected 0 with saliency='sp",
        ),
    ],
)
def test_errors_of_the_callback(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        ComixMixing(**{"mixer": mixer(), **options})


def test_errors_of_the_mixin() -> None:
    batch = stripes(6).tensors
    module = Mixed()
    with pytest.raises(ValueError, match="saliency: expected one of"):
        module.comix_step(batch, saliency="none")
    module.comix_mixer = None
    with pytest.raises(TypeError, match=r"comix_mixer: expected a comix\.PuzzleMix or a comix\.CoMixup"):
        module.comix_step(batch)
