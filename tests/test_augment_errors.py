"""What PuzzleMix and CoMixup say about parameters and batches that do not fit: the name, expected, got."""

from __future__ import annotations

import math
from typing import Any

import comix
import numpy as np
import pytest
import torch
from torch import nn

IMAGES, TARGETS, SALIENCY = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]), torch.rand(4, 8, 8)
MODEL = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
BOTH = (comix.PuzzleMix, comix.CoMixup)
Wrong = tuple[str, Any, type[Exception], str]

ANY_PARAMETER: list[Wrong] = [
    ("num_classes", 0, ValueError, "num_classes: expected an int of at least 1, got 0"),
    ("num_classes", 2.5, TypeError, "num_classes: expected an int of at least 1, got 2.5"),
    ("alpha", -1, ValueError, "alpha: expected a number (of at least|above) 0, got -1"),
    ("alpha", math.nan, ValueError, "alpha: expected a number (of at least|above) 0, got nan"),
    ("alpha", "1", TypeError, "alpha: expected a number (of at least|above) 0, got '1'"),
    ("beta", -1, ValueError, "beta: expected a number of at least 0, got -1"),
    ("gamma", None, TypeError, "gamma: expected a number of at least 0, got None"),
    ("eta", math.inf, ValueError, "eta: expected a number of at least 0, got inf"),
    ("generator", 3, TypeError, "generator: expected a torch.Generator or None, got int"),
    ("generator", "cpu", TypeError, "generator: expected a torch.Generator or None, got str"),
]
PUZZLEMIX: list[Wrong] = [
    ("grid_choices", (), ValueError, r"grid_choices: expected at least one grid to choose, got \(\)"),
    ("grid_choices", None, TypeError, "grid_choices: expected a sequence of ints, got None"),
    ("grid_choices", "24", TypeError, "grid_choices: expected a sequence of ints, got '24'"),
    ("grid_choices", (2, 0), ValueError, "grid_choices: expected an int of at least 1, got 0"),
    ("grid_choices", (2, 2.5), TypeError, "grid_choices: expected an int of at least 1, got 2.5"),
    ("n_labels", 10**10, ValueError, "n_labels: expected an int of at most 65535, got 10000000000"),
    ("n_labels", 1, ValueError, "n_labels: expected an int of at least 2, got 1"),
    ("neigh_size", "4", TypeError, "neigh_size: expected an int of at least 1, got '4'"),
    ("transport_eps", -1, ValueError, "transport_eps: expected a number of at least 0, got -1"),
    ("transport_size", 0, ValueError, "transport_size: expected an int of at least 1, got 0"),
    ("transport_size", 2.5, TypeError, "transport_size: expected an int of at least 1, got 2.5"),
]
COMIXUP: list[Wrong] = [
    ("grid", 0, ValueError, "grid: expected at least 1 block per side, got 0"),
    ("grid", (2,), TypeError, r"grid: expected an int or a pair of ints, got \(2,\)"),
    ("grid", 2.5, TypeError, "grid: expected an int or a pair of ints, got 2.5"),
    ("partition", 0, ValueError, "partition: expected an int of at least 1, got 0"),
    ("alpha", 0, ValueError, "alpha: expected a number above 0, got 0"),
    ("tau", -1, ValueError, "tau: expected a number of at least 0, got -1"),
    ("omega", -0.1, ValueError, "omega: expected a number of at least 0, got -0.1"),
    ("omega", 1.1, ValueError, r"omega: expected a number in 0\.\.1, got 1.1"),
    ("sweeps", 0, ValueError, "sweeps: expected an int of at least 1, got 0"),
    ("restarts", 1.5, TypeError, "restarts: expected an int of at least 1, got 1.5"),
    (
        "threshold",
        "firm",
        ValueError,
        "threshold: expected one of 'hard', 'soft', 'hard_official', got 'firm'",
    ),
]
PARAMETERS = [
    *((kind, *wrong) for kind in BOTH for wrong in ANY_PARAMETER),
    *((comix.PuzzleMix, *wrong) for wrong in PUZZLEMIX),
    *((comix.CoMixup, *wrong) for wrong in COMIXUP),
]

ARGUMENTS: list[Wrong] = [
    ("images", IMAGES.numpy(), TypeError, "images: expected a torch.Tensor, got ndarray"),
    ("images", IMAGES[0], ValueError, r"images: expected shape \[B, C, H, W\], got \[3, 8, 8\]"),
    ("images", IMAGES[:0], ValueError, "images: expected a batch of at least one image, got shape"),
    ("images", IMAGES.int(), TypeError, "images: expected dtype float16, .* uint8, got int32"),
    ("images", IMAGES[:3], ValueError, "targets: expected 3 rows, one per image, got 4"),
    (
        "images",
        IMAGES[..., :4],
        ValueError,
        r"saliency: expected shape \[4, 8, 4\] \(one map per image\), got",
    ),
    ("images", IMAGES.to("meta"), ValueError, r"targets: expected the device of images \(meta\), got cpu"),
    ("targets", [0, 1, 2, 0], TypeError, "targets: expected a torch.Tensor, got list"),
    ("targets", TARGETS[:3], ValueError, "targets: expected 4 rows, one per image, got 3"),
    ("targets", TARGETS + 1, ValueError, r"targets: expected values in 0\.\.2, got 3"),
    ("targets", TARGETS - 1, ValueError, r"targets: expected values in 0\.\.2, got -1"),
    ("targets", TARGETS.float(), TypeError, "targets: expected dtype uint8, .* got float32"),
    ("targets", torch.rand(4, 4), ValueError, r"targets: expected 3 columns \(num_classes\), got \[4, 4\]"),
    (
        "targets",
        torch.rand(4, 3, 1),
        ValueError,
        r"targets: expected shape \[B\] .* or \[B, K\] .* got \[4, 3",
    ),
    ("targets", torch.rand(4, 3) / 0, ValueError, "targets: expected finite values, got 12"),
    ("targets", TARGETS.to("meta"), ValueError, r"targets: expected the device of images \(cpu\), got meta"),
    ("saliency", SALIENCY.numpy(), TypeError, "saliency: expected a torch.Tensor, got ndarray"),
    ("saliency", SALIENCY[0], ValueError, r"saliency: expected shape \[B, H, W\], got \[8, 8\]"),
    (
        "saliency",
        SALIENCY[:3],
        ValueError,
        r"saliency: expected shape \[4, 8, 8\] \(one map per image\), got",
    ),
    ("saliency", SALIENCY.int(), TypeError, "saliency: expected dtype .* got int32"),
    ("saliency", -SALIENCY - 1, ValueError, "saliency: expected values >= 0, got -"),
    (
        "saliency",
        SALIENCY.to("meta"),
        ValueError,
        r"saliency: expected the device of images \(cpu\), got meta",
    ),
    ("model", MODEL, ValueError, "saliency, model: expected at most one of the two, got both"),
]


@pytest.mark.parametrize(
    ("kind", "name", "value", "error", "text"),
    PARAMETERS,
    ids=[f"{p[0].__name__}-{p[1]}-{i}" for i, p in enumerate(PARAMETERS)],
)
def test_parameters(kind: Any, name: str, value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        kind(**{name: value})


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("name", "value", "error", "text"), ARGUMENTS, ids=[f"{a[0]}-{i}" for i, a in enumerate(ARGUMENTS)]
)
def test_arguments(kind: Any, name: str, value: Any, error: type[Exception], text: str) -> None:
    fitting = {"images": IMAGES, "targets": TARGETS, "saliency": SALIENCY}
    with pytest.raises(error, match=text):
        kind(num_classes=3)(**{**fitting, name: value})


@pytest.mark.parametrize("kind", BOTH)
def test_num_classes_is_needed_for_indices_only(kind: Any) -> None:
    with pytest.raises(
        ValueError, match="num_classes: expected the number of classes, since targets are class"
    ):
        kind()(IMAGES, TARGETS)
    kind()(IMAGES, torch.rand(4, 7))


@pytest.mark.parametrize("kind", BOTH)
def test_models(kind: Any) -> None:
    with pytest.raises(TypeError, match="model: expected a callable, got int"):
        kind(num_classes=3)(IMAGES, TARGETS, model=3)
    with pytest.raises(TypeError, match=r"images: expected dtype float16, .* float64, got uint8"):
        kind(num_classes=3)((IMAGES * 255).byte(), TARGETS, model=MODEL)


def test_grids_larger_than_the_image() -> None:
    thin = IMAGES[:, :, :1]
    with pytest.raises(
        ValueError, match=r"grid_choices: expected a grid that fits 1 x 8 pixels, got \(2, 4,"
    ):
        comix.PuzzleMix(num_classes=3)(thin, TARGETS)
    with pytest.raises(ValueError, match=r"grid: expected no more blocks than pixels \(1 x 8\), got 4"):
        comix.CoMixup(num_classes=3)(thin, TARGETS)


def test_mean_and_std_meet_their_channels_in_the_call() -> None:
    with pytest.raises(ValueError, match=r"mean: expected 3 numbers, one per channel, got shape \[2\]"):
        comix.PuzzleMix(num_classes=3, mean=[0.5, 0.5])(IMAGES, TARGETS)
    with pytest.raises(ValueError, match=r"std: expected values in 0\.\.inf, got -1"):
        comix.PuzzleMix(num_classes=3, std=-1.0)(IMAGES, TARGETS)
    with pytest.raises(ValueError, match="images: expected finite values, got 768"):
        comix.PuzzleMix(num_classes=3)(IMAGES / 0, TARGETS, saliency=SALIENCY)


@pytest.mark.parametrize("kind", BOTH)
def test_a_device_without_solvers(kind: Any) -> None:
    meta = [tensor.to("meta") for tensor in (IMAGES, TARGETS, SALIENCY)]
    with pytest.raises(comix.BackendUnavailable, match=r": is on meta, .* move it with \.cpu\(\)"):
        kind(num_classes=3)(meta[0], meta[1], saliency=meta[2])


class OnCuda(torch.Generator):
    """What a generator says that lives on a device; one that does needs the device."""

    device = torch.device("cuda:0")


def test_only_dense_tensors_cpu_generators_and_real_booleans() -> None:
    cost = -torch.rand(1, 2, 2, 2)
    for call in (
        comix.PuzzleMix,
        comix.CoMixup,
        lambda generator: comix.comixup_labels(cost, generator=generator),
    ):
        with pytest.raises(ValueError, match=r"^generator: expected a CPU generator \(.*, got cuda:0$"):
            call(generator=OnCuda())  # type: ignore[operator]
    sparse = torch.zeros(2, 3).to_sparse()
    with pytest.raises(TypeError, match=r"images: expected a dense tensor, got sparse_coo"):
        comix.spectral_residual(sparse)
    with pytest.raises(TypeError, match=r"transport: expected True or False, got 'no'"):
        comix.PuzzleMix(transport="no")  # type: ignore[arg-type]


def test_the_ends_of_ranges_are_in_them() -> None:
    assert comix.CoMixup(omega=1).omega == 1
    assert comix.CoMixup(omega=0, eta=0, beta=0, gamma=0, tau=0).omega == 0
    comix.PuzzleMix(alpha=0, beta=0, gamma=0, eta=0, transport_eps=0, neigh_size=1, n_labels=2)


def test_numpy_numbers_are_numbers() -> None:
    images, saliency = torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8)
    plain = comix.puzzlemix_mask(images, saliency, [1, 0], 0.5, grid=2, mean=(0.5,) * 3, std=(0.5,) * 3)
    mean = np.full(3, 0.5)
    arrays = comix.puzzlemix_mask(
        images, saliency, np.array([1, 0]), 0.5, grid=np.int64(2), n_labels=np.int64(3), mean=mean, std=mean
    )
    assert torch.equal(plain, arrays)


def test_comixup_labels_look_at_their_saliency_and_settings() -> None:
    aug = comix.CoMixup(num_classes=3, grid=1)
    with pytest.raises(TypeError, match=r"^saliency: expected dtype float16, .*, got int64"):
        aug.labels(torch.ones(4, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^saliency: expected values >= 0, got -1"):
        aug.labels(-torch.ones(4, 8, 8))
    for name, value, text in (
        ("omega", 2.0, r"^omega: expected a number in 0..1, got 2.0"),
        ("eta", float("inf"), r"^eta: expected a number of at least 0, got inf"),
        ("eta", 1.7e308, r"^eta: prior: expected finite values, got"),
        ("sweeps", 0, r"^sweeps: expected an int of at least 1, got 0"),
        ("restarts", 0, r"^restarts: expected an int of at least 1, got 0"),
        ("partition", 0, r"^partition: expected an int of at least 1, got 0"),
        ("beta", -1.0, r"^beta: expected a number of at least 0, got -1"),
        ("gamma", -1.0, r"^gamma: expected a number of at least 0, got -1"),
        ("tau", -1.0, r"^tau: expected a number of at least 0, got -1"),
        ("alpha", 0.0, r"^alpha: expected a number above 0, got 0"),
        ("threshold", "firm", r"^threshold: expected one of 'hard', 'soft', 'hard_official', got 'firm'"),
    ):
        aug = comix.CoMixup(num_classes=3, grid=1)
        setattr(aug, name, value)  # after the checks of the constructor
        with pytest.raises(ValueError, match=text):
            aug.labels(torch.rand(4, 20, 20))
