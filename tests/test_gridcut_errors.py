"""Grid cuts: what is wrong is named, with what was expected and what came; nothing aborts."""

from __future__ import annotations

import re
import warnings
from typing import Any

import comix
import numpy as np
import pytest
import torch
from solvers import CUT_METHODS

RNG = np.random.default_rng(0)
GOOD: dict[str, Any] = {
    "unary": RNG.random((2, 3, 4, 3)),
    "pairwise": 1 - np.eye(3),
    "weight_v": RNG.random((2, 2, 4)),
    "weight_h": RNG.random((2, 3, 3)),
}
NUMERIC = "float16, bfloat16, float32, float64, uint8, int8, int16, int32, int64"
INTEGERS = "uint8, int8, int16, int32, int64"


def changed(array: Any, value: Any) -> Any:
    """A copy with one entry replaced."""
    copy = array.copy()
    copy.flat[1] = value
    return copy


def refusal(error: type[Exception], text: str, **arguments: Any) -> None:
    """grid_cut, by the method given or by all, and grid_energy if it has the arguments, say exactly this."""
    for method in [arguments["method"]] if "method" in arguments else CUT_METHODS:
        with pytest.raises(error, match=f"^{re.escape(text)}$"):
            comix.grid_cut(**{**GOOD, "method": method, **arguments})
    if set(arguments) <= set(GOOD):
        with pytest.raises(error, match=f"^{re.escape(text)}$"):
            comix.grid_energy(np.zeros((3, 4), int), **{**GOOD, **arguments})


def test_the_good_arguments_are_good() -> None:
    for method in CUT_METHODS:
        comix.grid_cut(**GOOD, method=method, init=np.zeros((2, 3, 4), int), max_sweeps=1)
    comix.grid_energy(np.zeros((2, 3, 4), int), **GOOD)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("unary", np.ones((4, 3)), "unary: expected shape [..., H, W, L], got [4, 3]"),
        ("unary", np.array(1.0), "unary: expected shape [..., H, W, L], got []"),
        (
            "unary",
            np.ones((0, 3, 4, 3)),
            "unary: expected at least one problem, site and label, got shape [0, 3, 4, 3]",
        ),
        (
            "unary",
            np.ones((2, 3, 0, 3)),
            "unary: expected at least one problem, site and label, got shape [2, 3, 0, 3]",
        ),
        (
            "unary",
            np.ones((2, 3, 4, 0)),
            "unary: expected at least one problem, site and label, got shape [2, 3, 4, 0]",
        ),
        ("pairwise", np.eye(4), "pairwise: expected shape [3, 3] (unary has 3 labels), got [4, 4]"),
        ("pairwise", np.ones(3), "pairwise: expected shape [3, 3] (unary has 3 labels), got [3]"),
        (
            "pairwise",
            np.ones((2, 3, 3)),
            "pairwise: expected shape [3, 3] (unary has 3 labels), got [2, 3, 3]",
        ),
        (
            "weight_v",
            np.ones((2, 3, 4)),
            "weight_v: expected a number or shape [..., 2, 4], got [2, 3, 4]",
        ),
        ("weight_v", np.ones(4), "weight_v: expected a number or shape [..., 2, 4], got [4]"),
        (
            "weight_v",
            np.ones((3, 2, 4)),
            "weight_v: expected a shape that broadcasts to [2, 2, 4], got [3, 2, 4]",
        ),
        (
            "weight_h",
            np.ones((2, 3, 4)),
            "weight_h: expected a number or shape [..., 3, 3], got [2, 3, 4]",
        ),
        (
            "weight_h",
            np.ones((1, 2, 3, 3)),
            "weight_h: expected a shape that broadcasts to [2, 3, 3], got [1, 2, 3, 3]",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_shapes(name: str, value: Any, text: str, kind: str) -> None:
    refusal(ValueError, text, **{name: value if kind == "numpy" else torch.from_numpy(value)})


@pytest.mark.parametrize("name", list(GOOD))
def test_dtypes(name: str) -> None:
    value = GOOD[name]
    for dtype in (bool, np.complex64, np.complex128):
        spelled = np.dtype(dtype).name
        text = f"{name}: expected dtype {NUMERIC}, got {spelled}"
        refusal(TypeError, text, **{name: value.astype(dtype)})
        refusal(TypeError, text, **{name: torch.from_numpy(value.astype(dtype))})
    for array in (value.astype(object), value.astype(str), value.astype(">f8")):
        text = f"{name}: expected a dtype that torch has, got {array.dtype} array"
        refusal(TypeError, text, **{name: array})
    for other in (value.tolist(), object(), {1: 2}, np.bool_(True), 1j):
        if name.startswith("weight") or not isinstance(other, (bool, complex)):
            text = f"{name}: expected a torch.Tensor or numpy.ndarray, got {type(other).__name__}"
            refusal(TypeError, text, **{name: other})
    text = f"{name}: expected a dense tensor, got a sparse or nested one"
    refusal(TypeError, text, **{name: torch.from_numpy(value).to_sparse()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its nested tensors a prototype
        nested = torch.nested.nested_tensor([torch.from_numpy(value)])
    refusal(TypeError, text, **{name: nested})


@pytest.mark.parametrize("name", ["unary", "pairwise"])
@pytest.mark.parametrize("other", [None, 1.0, "potts", True])
def test_what_is_no_array(name: str, other: Any) -> None:
    text = f"{name}: expected a torch.Tensor or numpy.ndarray, got {type(other).__name__}"
    refusal(TypeError, text, **{name: other})


@pytest.mark.parametrize("name", ["weight_v", "weight_h"])
@pytest.mark.parametrize("other", [None, "1.0", True, False])
def test_weights_that_are_no_numbers(name: str, other: Any) -> None:
    refusal(TypeError, f"{name}: expected a number or a tensor, got {other!r}", **{name: other})


@pytest.mark.parametrize("name", list(GOOD))
def test_values_that_are_not_finite(name: str) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        text = f"{name}: expected finite values, got 1 value(s) that are NaN or infinite"
        array = changed(GOOD[name], bad)
        refusal(ValueError, text, **{name: array})
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            refusal(ValueError, text, **{name: torch.from_numpy(array).to(dtype)})
    both = changed(GOOD[name], np.inf)
    both.flat[0] = -np.inf
    text = f"{name}: expected finite values, got 2 value(s) that are NaN or infinite"
    refusal(ValueError, text, **{name: both})


@pytest.mark.parametrize("name", ["weight_v", "weight_h"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), 10**400])
def test_numbers_that_are_not_finite(name: str, bad: Any) -> None:
    refusal(ValueError, f"{name}: expected a finite number, got {bad!r}", **{name: bad})


@pytest.mark.parametrize("name", list(GOOD))
def test_integers_beyond_float64(name: str) -> None:
    for bad in (2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)):
        array = changed(np.zeros(GOOD[name].shape, np.int64), bad)
        text = f"{name}: expected integers within +-2**53 (exact in float64), got {bad}"
        refusal(ValueError, text, **{name: array})
    comix.grid_cut(**{**GOOD, name: changed(np.zeros(GOOD[name].shape, np.int64), 2**53)})


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_unsigned_integers_that_torch_cannot_compute_with(dtype: Any) -> None:
    spelled = np.dtype(dtype).name
    text = f"unary: expected dtype {NUMERIC}, got {spelled}"
    if not hasattr(torch, spelled):  # before torch 2.3
        text = f"unary: expected a dtype that torch has, got {spelled} array"
    refusal(TypeError, text, unary=GOOD["unary"].astype(dtype))


OVERFLOW = "costs: expected a sum of magnitudes that float64 can hold, got one that overflows"


@pytest.mark.parametrize("method", CUT_METHODS)
def test_sums_beyond_float64(method: str) -> None:
    huge = np.where(GOOD["unary"] > 0.5, 1e308, -1e308)
    for arguments in (
        {"unary": huge},
        {"pairwise": GOOD["pairwise"] * 1e308},
        {"pairwise": GOOD["pairwise"] * 1e300, "weight_v": 1e10},
        {"weight_h": 1.7e308},
        {"weight_v": GOOD["weight_v"] * -1.7e308},
    ):
        refusal(ValueError, OVERFLOW, method=method, **arguments)
    fine = comix.grid_cut(**{**GOOD, "unary": np.full((2, 3, 4, 3), 1e305)}, method=method)
    assert np.isfinite(fine.energy).all()


# --- labels and options -------------------------------------------------------------------------------


def label_calls(name: str, value: Any) -> list[Any]:
    if name == "init":
        return [lambda m=m: comix.grid_cut(**GOOD, method=m, init=value) for m in CUT_METHODS]
    return [lambda: comix.grid_energy(value, **GOOD)]


ZEROS = np.zeros((2, 3, 4), int)


@pytest.mark.parametrize("name", ["init", "labels"])
@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (changed(ZEROS, 3), ValueError, "{}: expected values in 0..2, got 3"),
        (changed(ZEROS, -1), ValueError, "{}: expected values in 0..2, got -1"),
        (changed(ZEROS.astype(np.int8), -128), ValueError, "{}: expected values in 0..2, got -128"),
        (ZEROS[:, :2], ValueError, "{}: expected shape [2, 3, 4], got [2, 2, 4]"),
        (ZEROS[0, 0], ValueError, "{}: expected shape [2, 3, 4], got [4]"),
        (ZEROS[[0, 0, 0]], ValueError, "{}: expected a shape that broadcasts to [2, 3, 4], got [3, 3, 4]"),
        (ZEROS.astype(float), TypeError, f"{{}}: expected dtype {INTEGERS}, got float64"),
        (ZEROS.astype(bool), TypeError, f"{{}}: expected dtype {INTEGERS}, got bool"),
        (ZEROS.tolist(), TypeError, "{}: expected a torch.Tensor or numpy.ndarray, got list"),
        (0, TypeError, "{}: expected a torch.Tensor or numpy.ndarray, got int"),
    ],
)
def test_labels(name: str, value: Any, error: type[Exception], text: str) -> None:
    for call in label_calls(name, value):
        with pytest.raises(error, match=f"^{re.escape(text.format(name))}$"):
            call()


@pytest.mark.parametrize("method", ["Exact", "", "ishikawa", None, 3, [], np.array(["exact", "swap"])])
def test_unknown_method(method: Any) -> None:
    text = f"method: expected one of 'expansion', 'swap', 'exact', 'auto', got {method!r}"
    refusal(ValueError, text, method=method)


@pytest.mark.parametrize(
    ("sweeps", "error"),
    [(0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError), ("2", TypeError)],
)
def test_max_sweeps(sweeps: Any, error: type[Exception]) -> None:
    refusal(error, f"max_sweeps: expected an int of at least 1, got {sweeps!r}", max_sweeps=sweeps)


def test_numpy_integers_count_as_integers() -> None:
    a = comix.grid_cut(**GOOD, max_sweeps=np.int32(1))
    np.testing.assert_array_equal(a.labels, comix.grid_cut(**GOOD, max_sweeps=1).labels)


def test_options_have_names() -> None:
    with pytest.raises(TypeError, match="positional"):
        comix.grid_cut(*GOOD.values(), "exact")  # type: ignore[misc]


# --- devices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*GOOD, "init"])
def test_devices_without_solvers(name: str) -> None:
    terms = {key: torch.from_numpy(value) for key, value in GOOD.items()}
    terms["init"] = torch.zeros(2, 3, 4, dtype=torch.int64)
    terms[name] = terms[name].to("meta")
    with pytest.raises(comix.BackendUnavailable, match=rf"^{name}: is on meta, but .*\.cpu\(\)"):
        comix.grid_cut(**terms)
    assert issubclass(comix.BackendUnavailable, RuntimeError)


def test_one_bad_problem_of_a_batch_is_reported_and_the_next_call_works() -> None:
    rng = np.random.default_rng(0)
    unary = np.zeros((6, 30, 30, 4))
    unary[..., 1:] = 1e-3 * rng.random((6, 30, 30, 3))  # hard: labels hardly differ, and edges disagree
    weight_v, weight_h = rng.choice([-1.0, 1.0], (29, 30)), rng.choice([-1.0, 1.0], (30, 29))
    problem = unary, 1 - np.eye(4), weight_v, weight_h
    for _ in range(3):
        with pytest.raises(ValueError, match=r"'exact' needs .* this one \(30 x 30, 4 labels\)"):
            comix.grid_cut(*problem, method="exact")
    assert comix.grid_cut(*problem).labels.shape == (6, 30, 30)


def test_an_energy_beyond_float64_is_refused() -> None:
    unary = np.full((1, 2, 1), 1.7e308)
    with pytest.raises(ValueError, match=r"costs: expected an energy that float64 can hold, got one that"):
        comix.grid_energy(np.zeros((1, 2), int), unary, np.zeros((1, 1)))
