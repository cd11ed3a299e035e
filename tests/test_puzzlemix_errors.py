"""What puzzlemix_energy and puzzlemix_mask say about arguments that do not fit: the name, expected, got."""

from __future__ import annotations

import math
from typing import Any

import comix
import numpy as np
import pytest
import torch

IMAGES, SALIENCY = torch.rand(3, 3, 8, 8), torch.rand(3, 8, 8)
FIT: dict[str, Any] = {"images": IMAGES, "saliency": SALIENCY, "index": torch.tensor([1, 2, 0]), "lam": 0.5}

WRONG: list[tuple[str, Any, type[Exception], str]] = [
    ("images", IMAGES.numpy(), TypeError, "images: expected a torch.Tensor, got ndarray"),
    ("images", IMAGES[0], ValueError, r"images: expected shape \[B, C, H, W\], got \[3, 8, 8\]"),
    ("images", IMAGES[:0], ValueError, r"images: expected a batch of at least one image, got shape \[0, 3"),
    ("images", IMAGES[:, :0], ValueError, "images: expected at least one channel and one pixel, got shape"),
    ("images", IMAGES.int(), TypeError, "images: expected dtype float16, .* uint8, got int32"),
    ("images", IMAGES.to(torch.complex64), TypeError, "images: expected dtype .* got complex64"),
    ("images", torch.full_like(IMAGES, math.nan), ValueError, r"images: expected finite values, got 576 val"),
    ("images", IMAGES.to("meta"), ValueError, r"saliency: expected the device of images \(meta\), got cpu"),
    ("saliency", SALIENCY.numpy(), TypeError, "saliency: expected a torch.Tensor, got ndarray"),
    ("saliency", SALIENCY[0], ValueError, r"saliency: expected shape \[B, H, W\], got \[8, 8\]"),
    (
        "saliency",
        SALIENCY[:2],
        ValueError,
        r"saliency: expected shape \[3, 8, 8\] \(one map per image\), got",
    ),
    ("saliency", SALIENCY[:, :4], ValueError, r"saliency: expected shape \[3, 8, 8\] .*, got \[3, 4, 8\]"),
    ("saliency", SALIENCY.int(), TypeError, "saliency: expected dtype .* got int32"),
    ("saliency", SALIENCY - 2, ValueError, "saliency: expected values >= 0, got -"),
    ("index", [1, 2], ValueError, r"index: expected shape \[3\] \(one partner per sample\), got \[2\]"),
    ("index", torch.tensor([[1, 2, 0]]), ValueError, r"index: expected shape \[3\] .* got \[1, 3\]"),
    ("index", [1, 2, 3], ValueError, r"index: expected values in 0\.\.2, got 3"),
    ("index", [1, 2, -1], ValueError, r"index: expected values in 0\.\.2, got -1"),
    ("index", torch.rand(3), TypeError, "index: expected dtype uint8, .* int64, got float32"),
    ("index", torch.tensor([True, False, True]), TypeError, "index: expected dtype .* got bool"),
    ("index", ["a", "b", "c"], TypeError, r"index: expected 3 ints \(one partner per sample\), got \['a'"),
    ("index", [[1], [2, 0], 1], TypeError, r"index: expected 3 ints .* got \[\[1\]"),
    ("index", "120", TypeError, "index: expected a torch.Tensor, got str"),
    ("index", FIT["index"].to("meta"), ValueError, "index: expected a tensor on cpu, .* CPU, got meta"),
    ("lam", 1.5, ValueError, r"lam: expected values in 0\.\.1, got 1.5"),
    ("lam", -0.5, ValueError, r"lam: expected values in 0\.\.1, got -0.5"),
    ("lam", math.nan, ValueError, "lam: expected a finite number, got nan"),
    ("lam", "half", TypeError, "lam: expected a finite number, got 'half'"),
    ("lam", torch.rand(2), ValueError, r"lam: expected a number or shape \[3\], got \[2\]"),
    ("lam", torch.rand(3, 1), ValueError, r"lam: expected a number or shape \[3\], got \[3, 1\]"),
    ("lam", torch.tensor([0.5, math.nan, 1]), ValueError, r"lam: expected finite values, got 1 value"),
    ("lam", torch.tensor([0.5, 2, 1]), ValueError, r"lam: expected values in 0\.\.1, got 2"),
    ("lam", torch.tensor(1), TypeError, "lam: expected dtype .* got int64"),
    ("lam", torch.rand(3, device="meta"), ValueError, "lam: expected a tensor on cpu, .* CPU, got meta"),
    ("std", object(), TypeError, "std: expected 3 numbers, one per channel, got <object object"),
    ("std", torch.rand(3, device="meta"), ValueError, "std: expected a tensor on cpu, .* CPU, got meta"),
    ("mean", torch.rand(3, device="meta"), ValueError, "mean: expected a tensor on cpu, .* CPU, got meta"),
    ("grid", 0, ValueError, "grid: expected at least 1 block per side, got 0"),
    ("grid", 9, ValueError, r"grid: expected no more blocks than pixels \(8 x 8\), got 9"),
    ("grid", (2, 9), ValueError, r"grid: expected no more blocks than pixels \(8 x 8\), got \(2, 9\)"),
    ("grid", 2.0, TypeError, "grid: expected an int or a pair of ints, got 2.0"),
    ("grid", (2, 2, 2), TypeError, r"grid: expected an int or a pair of ints, got \(2, 2, 2\)"),
    ("grid", True, TypeError, "grid: expected an int or a pair of ints, got True"),
    ("n_labels", 1, ValueError, "n_labels: expected an int of at least 2, got 1"),
    ("n_labels", 10**20, ValueError, "n_labels: expected an int of at most 65535, got 100000000000000000000"),
    ("n_labels", 65536, ValueError, "n_labels: expected an int of at most 65535, got 65536"),
    ("n_labels", 2.5, TypeError, "n_labels: expected an int of at least 2, got 2.5"),
    ("neigh_size", 0, ValueError, "neigh_size: expected an int of at least 1, got 0"),
    ("neigh_size", None, TypeError, "neigh_size: expected an int of at least 1, got None"),
    ("mean", [1.0, 1.0], ValueError, r"mean: expected 3 numbers, one per channel, got shape \[2\]"),
    ("mean", "abc", TypeError, "mean: expected 3 numbers, one per channel, got 'abc'"),
    ("mean", ["a", "b", "c"], TypeError, r"mean: expected 3 numbers, one per channel, got \['a'"),
    ("mean", [0.5, 0.5, math.inf], ValueError, "mean: expected finite values, got 1 value"),
    ("std", [None] * 3, TypeError, r"std: expected 3 numbers, one per channel, got \[None"),
    ("mean", np.ones(3, np.complex64), TypeError, r"mean: expected 3 numbers, one per channel, got array\("),
    ("std", torch.ones(3) * 1j, TypeError, r"std: expected 3 numbers, one per channel, got tensor\("),
    ("std", torch.rand(3, 1), ValueError, r"std: expected 3 numbers, one per channel, got shape \[3, 1\]"),
    ("std", -1.0, ValueError, r"std: expected values in 0\.\.inf, got -1"),
    ("std", True, TypeError, "std: expected 3 numbers, one per channel, got True"),
]


@pytest.mark.parametrize(
    ("name", "value", "error", "text"), WRONG, ids=[f"{w[0]}-{i}" for i, w in enumerate(WRONG)]
)
def test_wrong_arguments_are_named(name: str, value: Any, error: type[Exception], text: str) -> None:
    for function in (comix.puzzlemix_energy, comix.puzzlemix_mask):
        with pytest.raises(error, match=text):
            function(**{**FIT, name: value})


@pytest.mark.parametrize("name", ["beta", "gamma", "eta"])
def test_weights_are_numbers_of_at_least_zero(name: str) -> None:
    for value in (-1, math.nan, math.inf, 10**400):
        with pytest.raises(ValueError, match=f"{name}: expected a number of at least 0, got"):
            comix.puzzlemix_energy(**FIT, **{name: value})
    for value in ("1", None, True, torch.tensor(1.0)):
        with pytest.raises(TypeError, match=f"{name}: expected a number of at least 0, got"):
            comix.puzzlemix_energy(**FIT, **{name: value})
    for value in (1, np.float32(1), np.int64(1)):
        comix.puzzlemix_energy(**FIT, **{name: value})


@pytest.mark.parametrize("method", ["fast", None, 3])
def test_unknown_method(method: Any) -> None:
    with pytest.raises(ValueError, match="method: expected one of 'expansion', 'swap', 'exact', 'auto', got"):
        comix.puzzlemix_mask(**FIT, method=method)


def test_a_device_without_solvers() -> None:
    with pytest.raises(comix.BackendUnavailable, match=r"images: is on meta, .* move it with \.cpu\(\)"):
        comix.puzzlemix_mask(**{**FIT, "images": IMAGES.to("meta"), "saliency": SALIENCY.to("meta")})
