"""Modules, data and trainers of the tests of comix in Lightning."""

from __future__ import annotations

from typing import Any

import comix
import pytest
import torch
import torchvision_ops  # noqa: F401  (lightning imports torchvision through torchmetrics)
from solvers import torch_threads
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

L = pytest.importorskip("lightning.pytorch")
from comix.integrations.lightning import ComixMixin, ComixMixing, StepMix  # noqa: E402, F401

MARKS = [
    pytest.mark.filterwarnings("ignore:.*treespec.*LeafSpec:FutureWarning"),  # Lightning's own, torch >= 2.13
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.usefixtures("one_thread"),
]
CLASSES = 3
MIXERS: dict[str, Any] = {"puzzlemix": comix.PuzzleMix, "comixup": comix.CoMixup}
both = pytest.mark.parametrize("kind", list(MIXERS.values()), ids=list(MIXERS))


@pytest.fixture
def one_thread() -> Any:
    with torch_threads(1):  # quicker for pictures as small as these
        yield


def stripes(count: int = 12) -> TensorDataset:
    """Noisy pictures of a bright third: on the left, in the middle, on the right."""
    targets = torch.arange(count) % CLASSES
    images = 0.3 * torch.rand(count, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    for image, target in zip(images, targets.tolist(), strict=True):
        image[:, :, 4 * target : 4 * target + 4] += 0.7
    return TensorDataset(images, targets)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(864, CLASSES)
    )


def mixer(kind: Any = comix.PuzzleMix) -> Any:
    return kind(num_classes=CLASSES, generator=torch.Generator().manual_seed(1))


def trainer(*callbacks: Any, **options: Any) -> Any:
    options = {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "logger": False, **options}
    silent = ("enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return L.Trainer(callbacks=list(callbacks), **dict.fromkeys(silent, False), **options)


def loader(data: Any = None, size: int = 6) -> DataLoader:
    return DataLoader(stripes() if data is None else data, batch_size=size)


class Plain(L.LightningModule):
    """A module that knows nothing of comix; keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()
        self.trained: list[tuple[Tensor, Tensor]] = []
        self.validated: list[tuple[Tensor, Tensor]] = []
        self.losses: list[Tensor] = []
        self.autocast: list[torch.dtype | None] = []

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        self.autocast.append(logits.dtype)
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        images, targets = batch
        self.trained.append((images, targets))
        loss = F.cross_entropy(self(images), targets)
        self.losses.append(loss.detach())
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.05)


class Validated(Plain):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.validated.append(tuple(batch))


class Manual(Plain):
    """Two optimisers, taking turns as in a GAN: the first trains the features, the second the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        for optimizer in self.optimizers():
            self.toggle_optimizer(optimizer)
            loss = super().training_step(batch, batch_idx)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.untoggle_optimizer(optimizer)

    def configure_optimizers(self) -> Any:
        parts = (self.net[:2], self.net[4])
        return [torch.optim.SGD(part.parameters(), lr=0.05) for part in parts]


class Mixed(ComixMixin, Plain):
    """A module with the mixin."""

    step_options: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, kind: Any = comix.PuzzleMix, **options: Any) -> None:
        super().__init__()
        self.comix_mixer = mixer(kind)
        self.step_options = options

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        mixed = self.comix_step(batch, **self.step_options)
        self.trained.append((mixed.images, mixed.targets))
        return mixed.loss(self(mixed.images))


class MixedManual(Mixed):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()
