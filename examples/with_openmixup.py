"""Train with comix in OpenMixup: its classifier from a config, with Co-Mixup and PuzzleMix among the modes.

python examples/with_openmixup.py --epochs 20 --seed 0 --out with_openmixup.png
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import comix.integrations.openmixup  # noqa: F401 - registers ComixClassification
import numpy as np
from digits import CLASSES, Run, batches, digits, error_of, network, optimiser, options, progress, report
from openmixup.models import build_model
from openmixup.models.registry import BACKBONES
from torch import Tensor, nn

# OpenMixup's own modes need a GPU: mix_mode=["comixup", "cutmix"] is for there.
# In a config file the import is: custom_imports = dict(imports=['comix.integrations.openmixup'])
PUZZLE = {"block_num": 3, "neigh_size": 2, "t_size": 2}  # the images have 16 pixels a side
MODES: dict[str, dict[str, Any]] = {
    "no mixing": {"mix_mode": "vanilla"},
    "comix_puzzle": {"mix_mode": "comix_puzzle", "alpha": 1.0, "mix_args": {"comix_puzzle": PUZZLE}},
    "comixup": {"mix_mode": "comixup", "alpha": 2.0, "mix_args": {"comixup": {"part": 25}}},
    "both, half and half": {
        "mix_mode": ["comixup", "comix_puzzle"],
        "mix_prob": [0.5, 0.5],
        "alpha": [2.0, 1.0],
        "mix_args": {"comixup": {"part": 25}, "comix_puzzle": PUZZLE},
    },
}
HEAD = {
    "type": "ClsMixupHead",
    "loss": {"type": "CrossEntropyLoss", "use_soft": True},
    "with_avg_pool": True,
    "multi_label": True,
    "in_channels": 32,
    "num_classes": CLASSES,
}


@BACKBONES.register_module()
class DigitsNet(nn.Module):
    """The ConvNet of the other examples, without its head."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.layers = network(seed)[:-3]

    def init_weights(self, pretrained: Any = None) -> None:
        """OpenMixup asks for it."""

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps ``[B, 32, 2, 2]``, in a list as OpenMixup wants them."""
        return [self.layers(images)]


class Scores(nn.Module):
    """Images to logits, to count errors with."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, 10]``."""
        logits: Tensor = self.model.head(self.model.backbone(images))[0]
        return logits


def train(method: str, epochs: int, seed: int, train_size: int) -> Run:
    """Train one network."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - OpenMixup draws from the global generators
    data, backbone = digits(seed, train_size), {"type": "DigitsNet", "seed": seed}
    model = build_model({"type": "ComixClassification", "backbone": backbone, "head": HEAD, **MODES[method]})
    model.train()
    loader, errors, start = batches(data, seed), [], time.perf_counter()
    optimizer, schedule = optimiser(model, epochs * len(loader))
    for _ in progress(epochs, f"{method}, seed {seed}"):
        for images, targets in loader:
            losses = model.forward_train(images, targets)
            optimizer.zero_grad()
            losses["loss"].backward()
            optimizer.step()
            schedule.step()
        errors.append(error_of(Scores(model), data))
    return Run(errors, time.perf_counter() - start)


@options(out="with_openmixup.png")
def main(epochs: int, seeds: list[int], train_size: int, out: Path) -> None:
    """Train a small ConvNet on handwritten digits in OpenMixup, without mixing and with comix's modes."""
    results = {name: [train(name, epochs, seed, train_size) for seed in seeds] for name in MODES}
    report(f"OpenMixup on digits, {train_size} to train on, {epochs} epochs", results, out)


if __name__ == "__main__":
    main()
