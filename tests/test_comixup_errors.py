"""What comixup_labels and comixup_objective say about arguments that do not fit: the name, expected, got."""

from __future__ import annotations

import math
from typing import Any

import comix
import numpy as np
import pytest
import torch

COST = -torch.rand(2, 3, 2, 2)
INIT = torch.randint(0, 3, (2, 3, 2, 2))
LABELS = torch.stack([INIT, INIT], -1)
EYE = torch.eye(3).repeat(2, 1, 1)

BOTH: list[tuple[str, Any, type[Exception], str]] = [
    ("cost", COST.numpy(), TypeError, "cost: expected a torch.Tensor, got ndarray"),
    ("cost", COST[0], ValueError, r"cost: expected shape \[P, n, gh, gw\], got \[3, 2, 2\]"),
    ("cost", COST[:0], ValueError, r"cost: expected at least one partition, input and block, got shape \[0,"),
    ("cost", COST[:, :0], ValueError, r"cost: expected at least one partition, input and block, got shape"),
    ("cost", COST.int(), TypeError, "cost: expected dtype float16, .* float64, got int32"),
    ("cost", COST * math.nan, ValueError, r"cost: expected finite values, got 24 value\(s\) that are NaN"),
    ("cost", COST.to("meta"), comix.BackendUnavailable, r"cost: is on meta, .* move it with \.cpu\(\)"),
    ("compatibility", EYE.numpy(), TypeError, "compatibility: expected a torch.Tensor, got ndarray"),
    ("compatibility", EYE[0], ValueError, r"compatibility: expected shape \[2, 3, 3\], got \[3, 3\]"),
    ("compatibility", EYE[:1], ValueError, r"compatibility: expected shape \[2, 3, 3\], got \[1, 3, 3\]"),
    ("compatibility", EYE.int(), TypeError, "compatibility: expected dtype .* got int32"),
    ("compatibility", EYE / 0, ValueError, "compatibility: expected finite values, got 18 value"),
    ("compatibility", EYE - 0.5, ValueError, r"compatibility: expected values in 0\.\.inf, got -0\.5"),
    ("compatibility", EYE.to("meta"), ValueError, r"compatibility: expected the device of cost \(cpu\), got"),
    (
        "threshold",
        "firm",
        ValueError,
        "threshold: expected one of 'hard', 'soft', 'hard_official', got 'firm'",
    ),
    ("threshold", None, ValueError, "threshold: expected one of .* got None"),
]

OF_LABELS: list[tuple[str, Any, type[Exception], str]] = [
    ("init", INIT.numpy(), TypeError, "init: expected a torch.Tensor, got ndarray"),
    ("init", INIT[0], ValueError, r"expected shape \[2, m, 2, 2\] or \[2, R, m, 2, 2\], got \[3, 2, 2\]"),
    ("init", INIT[:1], ValueError, r"init: expected shape .* got \[1, 3, 2, 2\]"),
    ("init", INIT[:, :0], ValueError, r"init: expected shape .* got \[2, 0, 2, 2\]"),
    ("init", INIT[..., :1], ValueError, r"init: expected shape .* got \[2, 3, 2, 1\]"),
    ("init", INIT[:, None, :, :1], ValueError, r"init: expected shape .* got \[2, 1, 3, 1, 2\]"),
    ("init", INIT.float(), TypeError, "init: expected dtype uint8, .* int64, got float32"),
    ("init", INIT - 3, ValueError, r"init: expected values in 0\.\.2, got -"),
    ("init", INIT + 3, ValueError, r"init: expected values in 0\.\.2, got [345]"),
    ("init", INIT.to("meta"), ValueError, r"init: expected the device of cost \(cpu\), got meta"),
    ("n_outputs", 4, ValueError, "n_outputs: expected 3, as init has, got 4"),
    ("n_outputs", 0, ValueError, "n_outputs: expected an int of at least 1, got 0"),
    ("n_outputs", "3", TypeError, "n_outputs: expected an int of at least 1, got '3'"),
    ("sweeps", 0, ValueError, "sweeps: expected an int of at least 1, got 0"),
    ("sweeps", 1.5, TypeError, "sweeps: expected an int of at least 1, got 1.5"),
    ("sweeps", True, TypeError, "sweeps: expected an int of at least 1, got True"),
    ("resolve_duplicates", "no", TypeError, "resolve_duplicates: expected True or False, got 'no'"),
    ("resolve_duplicates", None, TypeError, "resolve_duplicates: expected True or False, got None"),
    ("select", "first", ValueError, "select: expected one of 'best', 'last', got 'first'"),
    (
        "method",
        "fast",
        ValueError,
        "method: expected one of 'expansion', 'swap', 'exact', 'auto', got 'fast'",
    ),
    ("generator", 3, TypeError, "generator: expected a torch.Generator or None, got int"),
    ("generator", np.random.default_rng(0), TypeError, "generator: expected .* got Generator"),
]

OF_OBJECTIVE: list[tuple[str, Any, type[Exception], str]] = [
    ("labels", LABELS.numpy(), TypeError, "labels: expected a torch.Tensor, got ndarray"),
    ("labels", LABELS[0], ValueError, r"labels: expected shape \[2, m, 2, 2, 2\], got \[3, 2, 2, 2\]"),
    ("labels", LABELS[:1], ValueError, r"labels: expected shape .* got \[1, 3, 2, 2, 2\]"),
    ("labels", LABELS[:, :0], ValueError, r"labels: expected shape .* got \[2, 0, 2, 2, 2\]"),
    ("labels", LABELS[..., :1], ValueError, r"labels: expected shape .* got \[2, 3, 2, 2, 1\]"),
    ("labels", LABELS.float(), TypeError, "labels: expected dtype uint8, .* got float32"),
    ("labels", LABELS + 3, ValueError, r"labels: expected values in 0\.\.2, got [345]"),
    ("labels", LABELS - 3, ValueError, r"labels: expected values in 0\.\.2, got -"),
    ("labels", LABELS.to("meta"), ValueError, r"labels: expected the device of cost \(cpu\), got meta"),
]


def names(table: list[tuple[str, Any, type[Exception], str]]) -> list[str]:
    return [f"{name}-{i}" for i, (name, *_) in enumerate(table)]


@pytest.mark.parametrize(("name", "value", "error", "text"), BOTH + OF_LABELS, ids=names(BOTH + OF_LABELS))
def test_labels_names_the_wrong_argument(name: str, value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        comix.comixup_labels(**{"cost": COST, "init": INIT, name: value})


@pytest.mark.parametrize(
    ("name", "value", "error", "text"), BOTH + OF_OBJECTIVE, ids=names(BOTH + OF_OBJECTIVE)
)
def test_objective_names_the_wrong_argument(name: str, value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        comix.comixup_objective(**{"cost": COST, "labels": LABELS, name: value})


@pytest.mark.parametrize("name", ["beta", "gamma", "tau"])
def test_weights_are_numbers_of_at_least_zero(name: str) -> None:
    for function, start in (
        (comix.comixup_labels, {"init": INIT}),
        (comix.comixup_objective, {"labels": LABELS}),
    ):
        for value in (-1, math.nan, math.inf):
            with pytest.raises(ValueError, match=f"{name}: expected a number of at least 0, got"):
                function(cost=COST, **start, **{name: value})
        for value in ("1", None, True):
            with pytest.raises(TypeError, match=f"{name}: expected a number of at least 0, got"):
                function(cost=COST, **start, **{name: value})


@pytest.mark.parametrize("value", [0, 1.5])
def test_n_outputs_without_init(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="n_outputs: expected an int of at least 1, got"):
        comix.comixup_labels(COST, n_outputs=value)


def test_exact_says_why_not() -> None:
    generator = torch.Generator().manual_seed(0)
    cost = -torch.rand(1, 30, 24, 24, generator=generator) / 24**2  # noise that edges must smooth
    init = torch.randint(0, 30, (1, 2, 24, 24), generator=generator)
    with pytest.raises(ValueError, match=r"method: 'exact' needs .* of this one \(24 x 24, 30 labels\)"):
        comix.comixup_labels(cost, init=init, beta=0.3, method="exact")
