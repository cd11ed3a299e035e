"""What the examples share: the data, a small network, its test error, and how results are shown.

scikit-learn's digits are 1797 real handwritten digits of 8 x 8 pixels that come with the library. They are
enlarged to 16 x 16, and only 300 are trained on, so that there is something to gain from augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

CLASSES = 10
MEAN, STD = (0.305,), (0.32,)  # of the pixels in 0..1


class Digits(NamedTuple):
    """A split of the data: images float32 ``[n, 1, 16, 16]``, normalised; targets int64 ``[n]``."""

    train: TensorDataset
    test_images: Tensor
    test_targets: Tensor


class Run(NamedTuple):
    """What one training gave."""

    errors: list[float]  # test error in percent after each epoch
    seconds: float


def digits(seed: int, train_size: int = 300) -> Digits:
    """Split the data at random: ``train_size`` digits to train on, the rest to test with."""
    images, targets = load_digits(return_X_y=True)
    pixels = torch.from_numpy(images).float().view(-1, 1, 8, 8) / 16
    pixels = F.interpolate(pixels, scale_factor=2, mode="bilinear", align_corners=False)
    pixels = (pixels - MEAN[0]) / STD[0]
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed))
    pixels, labels = pixels[order], torch.from_numpy(targets).long()[order]
    train = TensorDataset(pixels[:train_size], labels[:train_size])
    return Digits(train, pixels[train_size:], labels[train_size:])


def batches(data: Digits, seed: int, batch_size: int = 50) -> DataLoader[tuple[Tensor, ...]]:
    """Shuffled batches of the training digits; the last incomplete one is left out."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(data.train, batch_size, shuffle=True, drop_last=True, generator=generator)


def network(seed: int) -> nn.Sequential:
    """A ConvNet of three layers."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES))


def optimiser(model: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """SGD with a learning rate that falls to zero along a cosine in ``steps`` steps."""
    sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    return sgd, torch.optim.lr_scheduler.CosineAnnealingLR(sgd, max(steps, 1))


def error_of(model: nn.Module, data: Digits) -> float:
    """Share of the test digits that the model gets wrong, in percent; training modes stay as they were."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        wrong = model(data.test_images).argmax(1) != data.test_targets
    for module, training in modes:
        module.training = training
    return 100 * float(wrong.float().mean())


def progress(epochs: int, title: str) -> Iterator[int]:
    """Count epochs under a progress bar."""
    return iter(tqdm(range(epochs), desc=title, unit="epoch", leave=False))


def options(out: str, epochs: int = 20) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function of (epochs, seeds, train_size, out) a command."""

    def command(main: Callable[..., None]) -> click.Command:
        def run(epochs: int, seed: int, repeats: int, train_size: int, out: Path) -> None:
            main(epochs, list(range(seed, seed + repeats)), train_size, out)

        positive, picture = click.IntRange(1), click.Path(path_type=Path, dir_okay=False)
        wrapped: Callable[..., Any] = click.option("--out", type=picture, default=out, show_default=True)(run)
        for name, default, text in (
            ("--train-size", 300, "Digits to train on; the rest is tested with."),
            ("--repeats", 3, "Trainings of each method, with seeds that count up."),
            ("--seed", 0, "The first seed: of the split, the network and all draws."),
            ("--epochs", epochs, "Of each training."),
        ):
            kind = click.IntRange(0) if name == "--seed" else positive
            wrapped = click.option(name, type=kind, default=default, show_default=True, help=text)(wrapped)
        return click.command(help=main.__doc__)(wrapped)

    return command


def report(title: str, results: Mapping[str, Iterable[Run]], out: Path) -> None:
    """Print the last test errors of each method, and draw its mean error by epoch into ``out``."""
    table = Table(title=title, title_justify="left")
    for column in ("Method", "Test error, mean", "each seed", "Seconds a training"):
        table.add_column(column, justify="left" if column == "Method" else "right")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for method, runs in results.items():
        errors = torch.tensor([run.errors for run in runs])  # [seeds, epochs]
        last, seconds = errors[:, -1], sum(run.seconds for run in runs) / len(errors)
        each = " ".join(f"{error:.1f}" for error in last.tolist())
        table.add_row(method, f"{float(last.mean()):.2f} %", each, f"{seconds:.1f}")
        axes.plot(range(1, errors.shape[1] + 1), errors.mean(0), label=method)
    axes.set(xlabel="epoch", ylabel="test error in percent", yscale="log", title=title)
    axes.legend()
    Console().print(table)
    figure.savefig(out)
    click.echo(f"wrote {out}")
