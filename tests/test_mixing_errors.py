"""What MixPlan and its methods say about arguments that do not fit: the name, expected, got."""

from __future__ import annotations

import math
from typing import Any

import comix
import pytest
import torch
from comix import MixPlan

SOURCE = torch.tensor([[[[0, 1], [1, 0]]]])  # one output, 1 x 2 blocks
BLOCK = torch.tensor([[[[0, 0], [1, 1]]]])
WEIGHT = torch.full((1, 1, 2, 2), 0.5)
PLAN = MixPlan(SOURCE, BLOCK, WEIGHT)
IMAGES = torch.rand(2, 3, 4, 4)
MASK, INDEX = torch.rand(2, 2, 3), torch.tensor([1, 0])
HOME = torch.arange(6).view(1, 2, 3).expand(2, 2, 3)
LABELS = torch.zeros(2, 3, 2, 2, 2, dtype=torch.int64)
META = "meta"

Wrong = tuple[str, Any, type[Exception], str]

OF_PLAN: list[Wrong] = [
    ("source", SOURCE.numpy(), TypeError, "source: expected a torch.Tensor, got ndarray"),
    ("source", SOURCE.int(), TypeError, "source: expected dtype int64, got int32"),
    (
        "source",
        SOURCE[0],
        ValueError,
        r"source: expected shape \[B_out, gh, gw, 2\], none of them 0, got \[1",
    ),
    ("source", SOURCE[:0], ValueError, r"source: expected shape .* got \[0, 1, 2, 2\]"),
    ("source", SOURCE[..., :1], ValueError, r"source: expected shape .* got \[1, 1, 2, 1\]"),
    ("source", SOURCE - 1, ValueError, r"source: expected values in 0\.\..* got -1"),
    ("source", SOURCE + 2**31, ValueError, r"source: expected values in 0\.\..* got 2\.14748e\+09"),
    ("source", SOURCE.to(META), ValueError, r"block: expected the device of source \(meta\), got cpu"),
    ("block", BLOCK.numpy(), TypeError, "block: expected a torch.Tensor, got ndarray"),
    ("block", BLOCK.float(), TypeError, "block: expected dtype int64, got float32"),
    ("block", BLOCK[0], ValueError, r"block: expected the shape of source, \[1, 1, 2, 2\], got \[1, 2, 2\]"),
    ("block", BLOCK - 1, ValueError, r"block: expected values in 0\.\.1, got -1"),
    ("block", BLOCK + 1, ValueError, r"block: expected values in 0\.\.1, got 2"),
    ("weight", None, TypeError, "weight: expected a torch.Tensor, got NoneType"),
    ("weight", WEIGHT.double(), TypeError, "weight: expected dtype float32, got float64"),
    ("weight", WEIGHT[0], ValueError, r"weight: expected the shape of source, \[1, 1, 2, 2\], got"),
    (
        "weight",
        WEIGHT * 1.1,
        ValueError,
        r"weight: expected two weights per block that sum to 1, .* off by 0.1",
    ),
    (
        "weight",
        WEIGHT * 1.001,
        ValueError,
        "weight: expected two weights per block that sum to 1, .* by 0.001",
    ),
    ("weight", WEIGHT * 0, ValueError, "weight: expected two weights per block that sum to 1, .* off by 1"),
    ("weight", WEIGHT * math.nan, ValueError, r"weight: expected finite values, got 4 value\(s\)"),
    ("weight", WEIGHT + torch.tensor([1, -1]), ValueError, r"weight: expected values in 0\.\.1, got -0.5"),
    ("weight", WEIGHT.to(META), ValueError, r"weight: expected the device of source \(cpu\), got meta"),
]

OF_MASK: list[Wrong] = [
    ("mask", MASK.numpy(), TypeError, "mask: expected a torch.Tensor, got ndarray"),
    ("mask", MASK.int(), TypeError, "mask: expected dtype float16, .* got int32"),
    ("mask", MASK[0], ValueError, r"mask: expected shape \[B, gh, gw\], none of them 0, got \[2, 3\]"),
    ("mask", MASK[:, :0], ValueError, r"mask: expected shape .* got \[2, 0, 3\]"),
    ("mask", MASK + 1, ValueError, r"mask: expected values in 0\.\.1, got 1"),
    ("mask", MASK - 1, ValueError, r"mask: expected values in 0\.\.1, got -"),
    ("mask", MASK * math.nan, ValueError, "mask: expected finite values, got 12"),
    ("index", None, TypeError, "index: expected a torch.Tensor, got NoneType"),
    ("index", torch.rand(2), TypeError, "index: expected dtype .* got float32"),
    ("index", ["a", "b"], TypeError, r"index: expected 2 ints \(one partner per sample\), got \['a', 'b'\]"),
    ("index", [1], ValueError, r"index: expected shape \[2\] \(one partner per sample\), got \[1\]"),
    ("index", [1, 2], ValueError, r"index: expected values in 0\.\.1, got 2"),
    *(
        wrong
        for name in ("plan_own", "plan_partner")
        for wrong in [
            (name, HOME.numpy(), TypeError, f"{name}: expected a torch.Tensor, got ndarray"),
            (name, HOME.float(), TypeError, f"{name}: expected dtype .* got float32"),
            (
                name,
                HOME[:1],
                ValueError,
                rf"{name}: expected the shape of mask, \[2, 2, 3\], got \[1, 2, 3\]",
            ),
            (name, HOME + 1, ValueError, rf"{name}: expected values in 0\.\.5, got 6"),
            (name, HOME - 1, ValueError, rf"{name}: expected values in 0\.\.5, got -1"),
            (name, HOME.to(META), ValueError, rf"{name}: expected the device of mask \(cpu\), got meta"),
        ]
    ),
]

OF_LABELS: list[Wrong] = [
    ("labels", LABELS.numpy(), TypeError, "labels: expected a torch.Tensor, got ndarray"),
    ("labels", LABELS.float(), TypeError, "labels: expected dtype .* got float32"),
    (
        "labels",
        LABELS[0, 0],
        ValueError,
        r"expected shape \[P, m, gh, gw, 2\] or \[B_out, gh, gw, 2\], got \[2",
    ),
    ("labels", LABELS[..., :1], ValueError, r"labels: expected shape .* got \[2, 3, 2, 2, 1\]"),
    ("labels", LABELS[:, :0], ValueError, r"labels: expected shape .* got \[2, 0, 2, 2, 2\]"),
    ("labels", LABELS - 1, ValueError, r"labels: expected values in 0\.\.2, got -1"),
    ("labels", LABELS + 3, ValueError, r"labels: expected values in 0\.\.2, got 3"),
    ("labels", LABELS[0] - 1, ValueError, r"source: expected values in 0\.\..* got -1"),
    ("n_inputs", 0, ValueError, "n_inputs: expected an int of at least 1, got 0"),
    ("n_inputs", "3", TypeError, "n_inputs: expected an int of at least 1, got '3'"),
]

OF_MIX: list[Wrong] = [
    ("images", IMAGES.numpy(), TypeError, "images: expected a torch.Tensor, got ndarray"),
    ("images", IMAGES.int(), TypeError, "images: expected dtype float16, .* uint8, got int32"),
    ("images", IMAGES[0], ValueError, r"images: expected shape \[B, C, H, W\], got \[3, 4, 4\]"),
    ("images", IMAGES[:0], ValueError, "images: expected a batch of at least one image, got shape"),
    ("images", IMAGES[:1], ValueError, r"images: expected at least 2 \(the plan uses input 1\), got 1"),
    (
        "images",
        IMAGES[..., :1],
        ValueError,
        "images: expected at least one pixel per block of the 1 x 2 plan",
    ),
    ("images", IMAGES.to(META), ValueError, r"images: expected the device of plan \(cpu\), got meta"),
]

SOFT = torch.rand(2, 3)
OF_TARGETS: list[tuple[Any, Any, type[Exception], str]] = [
    ([0, 1], 3, TypeError, "targets: expected a torch.Tensor, got list"),
    (INDEX, None, ValueError, "num_classes: expected the number of classes, since targets are class indices"),
    (INDEX, 1, ValueError, r"targets: expected values in 0\.\.0, got 1"),
    (INDEX - 1, 2, ValueError, r"targets: expected values in 0\.\.1, got -1"),
    (INDEX, 0, ValueError, "num_classes: expected an int of at least 1, got 0"),
    (INDEX, 2.0, TypeError, "num_classes: expected an int of at least 1, got 2.0"),
    (INDEX.float(), 2, TypeError, "targets: expected dtype uint8, .* got float32"),
    (INDEX[:1], 2, ValueError, r"targets: expected at least 2 \(the plan uses input 1\), got 1"),
    (SOFT[:1], None, ValueError, r"targets: expected at least 2 \(the plan uses input 1\), got 1"),
    (SOFT, 4, ValueError, r"targets: expected 4 columns \(num_classes\), got \[2, 3\]"),
    (
        SOFT[:, :0],
        None,
        ValueError,
        r"targets: expected shape \[B\] \(class indices\) or \[B, K\] \(soft lab",
    ),
    (SOFT[None], None, ValueError, r"targets: expected shape .* got \[1, 2, 3\]"),
    (SOFT * math.nan, None, ValueError, r"targets: expected finite values, got 6"),
    (SOFT.to(torch.complex64), None, TypeError, "targets: expected a real dtype, got complex64"),
    (SOFT.to(META), None, ValueError, r"targets: expected the device of plan \(cpu\), got meta"),
]

CALLS: dict[str, tuple[Any, dict[str, Any], list[Wrong]]] = {
    "MixPlan": (MixPlan, {"source": SOURCE, "block": BLOCK, "weight": WEIGHT}, OF_PLAN),
    "from_mask": (MixPlan.from_mask, {"mask": MASK, "index": INDEX}, OF_MASK),
    "from_labels": (MixPlan.from_labels, {"labels": LABELS}, OF_LABELS),
    "mix": (PLAN.mix, {"images": IMAGES}, OF_MIX),
}
EVERY = [(call, *wrong) for call, (_, _, table) in CALLS.items() for wrong in table]


@pytest.mark.parametrize(
    ("call", "name", "value", "error", "text"), EVERY, ids=[f"{e[0]}-{e[1]}-{i}" for i, e in enumerate(EVERY)]
)
def test_wrong_arguments_are_named(
    call: str, name: str, value: Any, error: type[Exception], text: str
) -> None:
    function, fitting, _ = CALLS[call]
    function(**fitting)
    with pytest.raises(error, match=text):
        function(**{**fitting, name: value})


@pytest.mark.parametrize(
    ("targets", "num_classes", "error", "text"), OF_TARGETS, ids=[str(i) for i in range(len(OF_TARGETS))]
)
def test_wrong_targets_are_named(targets: Any, num_classes: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        PLAN.mix_targets(targets, num_classes=num_classes)


def test_ratio() -> None:
    with pytest.raises(ValueError, match=r"n_inputs: expected at least 2 \(the plan uses input 1\), got 1"):
        PLAN.ratio(1)
    with pytest.raises(ValueError, match="n_inputs: expected an int of at least 1, got 0"):
        PLAN.ratio(0)
    for value in (1.5, True, None):
        with pytest.raises(TypeError, match="n_inputs: expected an int of at least 1, got"):
            PLAN.ratio(value)


def test_an_index_far_beyond_the_batch_is_no_crash() -> None:
    far = MixPlan(SOURCE + 2**31 - 2, BLOCK, WEIGHT)
    for call in (lambda: far.mix(IMAGES), lambda: far.ratio(2), lambda: far.mix_targets(SOFT)):
        with pytest.raises(ValueError, match=r"expected at least 2147483648 \(the plan uses input 2147"):
            call()


def test_a_device_without_solvers() -> None:
    with pytest.raises(comix.BackendUnavailable, match=r"images: is on meta, .* move it with \.cpu\(\)"):
        PLAN.to(META).mix(IMAGES.to(META))


def test_a_device_that_is_not_there() -> None:
    for value in (None, True, torch.float64, 1.5):
        with pytest.raises(TypeError, match=r"device: expected a torch\.device or its name, got"):
            PLAN.to(value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"device: expected a torch\.device or its name, got 'gpu'"):
        PLAN.to("gpu")
    missing = "mps" if torch.cuda.is_available() else "cuda:0"
    with pytest.raises(
        comix.BackendUnavailable, match=f"device: expected a device that .* have, got {missing}"
    ):
        PLAN.to(missing)
