"""The compiled module called directly with what Python would never pass: an exception, never a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import native_arguments as given
import numpy as np
import pytest
from comix import _core
from native_arguments import (
    ARRAYS,
    CALLS,
    INDICES,
    OUTPUTS,
    L,
    graph_move_arguments,
    grid_cut_arguments,
    transport_plan_arguments,
)
from solvers import CUT_METHODS, TRANSPORT_METHODS

REFUSED = (TypeError, ValueError)
OTHER_DTYPES = ("f8", "f4", "i8", "i4", "c16", "?", "O", "U3", ">f8", ">i8")
IMAGES = {  # of any dtype, in sizes that other arguments must fit
    ("mix", "images"),
    ("mix", "mixed"),
    ("mix_transpose", "images"),
    ("mix_transpose", "mixed"),
    ("puzzlemix_energy", "images"),
    ("salient_spots", "saliency"),
    ("pool_saliency", "saliency"),
    ("pool_saliency", "pooled"),
}
MAPS = {(n, k) for n in ("transport_plan", "transport_cost") for k in ("saliency", "mask")}  # floats
MAPS |= {(n, k) for n in ("puzzlemix_masks", "puzzlemix_plan") for k in ("images", "saliency")}
MAPS |= {("comixup_plan", "saliency")}
COUNTS = {  # say how many outputs or inputs there are
    ("comixup_labels", "init"),
    ("comixup_plan", "saliency"),
    ("puzzlemix_energy", "prior"),  # one row, or one per image
    ("puzzlemix_masks", "prior"),
    ("puzzlemix_plan", "prior"),
    ("comixup_objective", "labels"),
    ("plan_ratio", "ratio"),
    ("mix_targets", "targets"),
    ("mix_classes", "targets"),
    ("mix_classes", "mixed"),
}
OPTIONAL = {"compatibility", "plan_own", "plan_partner"}
VERDICTS = {"all_finite", "all_within"}  # on arrays of any shape; tests/test_values.py


@pytest.mark.parametrize("name", list(CALLS))
def test_every_solver_is_tried(name: str) -> None:
    getattr(_core, name)(**CALLS[name]())
    public = {n for n in dir(_core) if not n.startswith("_")}
    assert public == {*CALLS, *VERDICTS, "build_info"}


@pytest.mark.parametrize(("name", "key"), ARRAYS)
def test_arrays_of_another_dtype_or_no_arrays(name: str, key: str) -> None:
    value = CALLS[name]()[key]
    for dtype in OTHER_DTYPES:
        if np.dtype(dtype) == value.dtype or (name, key) in IMAGES:
            continue
        if dtype == "f4" and (name, key) in MAPS:
            continue
        with pytest.raises(REFUSED):
            getattr(_core, name)(**{**CALLS[name](), key: value.astype(dtype)})
    for other in (None, "x", [1.0], value.tolist(), {}):
        if other is None and (key in OPTIONAL or (name, key) == ("grid_cut", "init")):
            continue  # optional
        with pytest.raises(REFUSED):
            getattr(_core, name)(**{**CALLS[name](), key: other})


@pytest.mark.parametrize(("name", "key"), ARRAYS)
def test_arrays_of_another_shape(name: str, key: str) -> None:
    value = CALLS[name]()[key]
    wrong = [value[None], value[..., None], value.ravel() if value.ndim > 1 else value[None, :, None]]
    for axis in range(value.ndim):
        wrong.append(np.ascontiguousarray(np.repeat(value, 2, axis)))
        if value.shape[axis] > 1:
            wrong.append(np.ascontiguousarray(np.take(value, [0], axis)))
    for array in wrong:
        if array.ndim == value.ndim and (name, key) in IMAGES | COUNTS:
            continue
        with pytest.raises(ValueError, match=r"expected|wrong"):
            getattr(_core, name)(**{**CALLS[name](), key: array})


@pytest.mark.parametrize(("name", "key"), sorted(k for k in IMAGES if k[0].startswith("mix")))
def test_images_of_another_dtype_than_said(name: str, key: str) -> None:
    for dtype in ("f8", "f2", "u1", "O", "U2"):
        arguments = CALLS[name]()
        arguments[key] = arguments[key].astype(dtype)
        with pytest.raises(REFUSED):
            getattr(_core, name)(**arguments)
    # 8 bytes each, like float64, but no numbers
    arguments = {**CALLS[name](), "dtype": "float64"}
    arguments["images"], arguments["mixed"] = (arguments[k].astype("f8") for k in ("images", "mixed"))
    getattr(_core, name)(**arguments)
    if key not in OUTPUTS[name]:
        with pytest.raises(REFUSED):
            getattr(_core, name)(**{**arguments, key: arguments[key].astype(object)})


@pytest.mark.parametrize(
    ("name", "key"), [("puzzlemix_energy", "images"), ("salient_spots", "saliency"), *sorted(MAPS)]
)
def test_images_and_maps_are_float32_or_float64(name: str, key: str) -> None:
    value = CALLS[name]()[key]
    getattr(_core, name)(**{**CALLS[name](), key: value.astype("f8")})
    for dtype in ("f2", "i4", "u1", "O", "c8", ">f4"):
        with pytest.raises(TypeError):
            getattr(_core, name)(**{**CALLS[name](), key: value.astype(dtype)})


@pytest.mark.parametrize(("name", "key"), ARRAYS)
def test_arrays_that_are_not_contiguous(name: str, key: str) -> None:
    value = CALLS[name]()[key]
    wide = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype)
    wide[..., ::2] = value
    for array in (wide[..., ::2], value[..., ::-1].copy()[..., ::-1], np.asfortranarray(value)):
        if array.flags.c_contiguous:
            continue
        with pytest.raises(REFUSED):
            getattr(_core, name)(**{**CALLS[name](), key: array})


@pytest.mark.parametrize(("name", "key"), [(n, k) for n, keys in OUTPUTS.items() for k in keys])
def test_outputs_that_are_read_only(name: str, key: str) -> None:
    arguments = CALLS[name]()
    before = arguments[key].copy()
    arguments[key].flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        getattr(_core, name)(**arguments)
    np.testing.assert_array_equal(arguments[key], before)


@pytest.mark.parametrize("name", list(CALLS))
def test_inputs_that_are_read_only_are_fine(name: str) -> None:
    arguments, plain = CALLS[name](), CALLS[name]()
    for key, value in arguments.items():
        if isinstance(value, np.ndarray) and key not in OUTPUTS[name]:
            value.flags.writeable = False
    assert getattr(_core, name)(**arguments) == getattr(_core, name)(**plain)
    for key in OUTPUTS[name]:
        np.testing.assert_array_equal(arguments[key], plain[key])


@pytest.mark.parametrize(("name", "key"), [(n, k) for n, keys in INDICES.items() for k in keys])
def test_indices_out_of_range(name: str, key: str) -> None:
    limit = INDICES[name][key]
    for bad in (-1, limit, 2**31, 2**32, -(2**63), 2**63 - 1):
        for position in (0, -1):
            arguments = CALLS[name]()
            arguments[key].flat[position] = bad
            with pytest.raises(ValueError, match=f"expected .*{limit - 1}"):
                getattr(_core, name)(**arguments)


@pytest.mark.parametrize(
    ("name", "key", "bad"),
    [
        ("grid_cut", "method", "fast"),
        ("grid_cut", "method", None),
        ("grid_cut", "threads", 2**40),
        ("grid_cut", "max_sweeps", 1.5),
        ("grid_cut", "weight_v", "1"),
        ("grid_cut", "weight_h", None),
        ("transport_plan", "method", "swap"),
        ("transport_plan", "eps", "1"),
        ("mix", "dtype", "int32"),
        ("mix", "dtype", "float64"),
        ("mix_transpose", "dtype", "uint16"),
        ("puzzlemix_energy", "neigh_size", 0),
        ("puzzlemix_energy", "neigh_size", -(2**40)),
        ("comixup_labels", "threshold", "none"),
        ("comixup_labels", "select", "first"),
        ("comixup_labels", "method", "none"),
        ("comixup_labels", "sweeps", 0),
        ("comixup_objective", "threshold", ""),
    ],
)
def test_options(name: str, key: str, bad: Any) -> None:
    with pytest.raises(REFUSED):
        getattr(_core, name)(**{**CALLS[name](), key: bad})


@pytest.mark.parametrize("name", [n for n, make in CALLS.items() if "threads" in make()])
def test_any_number_of_threads_gives_the_same(name: str) -> None:
    def results(threads: int) -> list[Any]:
        arguments = {**CALLS[name](), "threads": threads}
        return [getattr(_core, name)(**arguments), *(arguments[key] for key in OUTPUTS[name])]

    expected = results(1)
    for threads in (-5, 0, 2, 1000):
        for found, wanted in zip(results(threads), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("threads", [1, 2, 4, 64])
def test_a_worker_s_exception_is_raised_once(threads: int) -> None:
    rng = np.random.default_rng(0)
    unary = np.zeros((8, 30, 30, 4))  # labels hardly differ, edges disagree: no exact solution is affordable
    unary[..., 1:] = 1e-3 * rng.random((8, 30, 30, 3))
    unary[2:6, ..., 1:] = 1e6  # these are easy
    weights = rng.choice([-1.0, 1.0], (8, 29, 30)), rng.choice([-1.0, 1.0], (8, 30, 29))
    outputs = np.zeros((8, 30, 30), np.int64), np.zeros(8), np.zeros(8, bool)
    potts = 1 - np.eye(4)
    for _ in range(3):
        with pytest.raises(ValueError, match=r"^method: 'exact' needs .* this one \(30 x 30, 4 labels\)"):
            _core.grid_cut(unary, potts, *weights, "exact", None, 0, threads, *outputs)
    easy = [array[2:6] for array in (unary, *weights, *outputs)]
    _core.grid_cut(easy[0], potts, *easy[1:3], "exact", None, 0, threads, *easy[3:])
    assert outputs[2][2:6].all()


def test_values_that_are_not_finite_neither_crash_nor_hang() -> None:
    script = f"""
import itertools, sys
import numpy as np
sys.path.insert(0, {str(Path(__file__).parent)!r})
import native_arguments as given
from comix import _core
from solvers import CUT_METHODS, TRANSPORT_METHODS
for name, keys in {{"grid_cut": CUT_METHODS, "transport_plan": TRANSPORT_METHODS}}.items():
    terms = [k for k, v in given.CALLS[name]().items() if isinstance(v, np.ndarray) and v.dtype == float]
    for method, key, bad in itertools.product(keys, terms, (np.nan, np.inf, -np.inf, 1.7e308, 5e-324)):
        arguments = {{**given.CALLS[name](), "method": method}}
        arguments[key].flat[1] = bad
        try:
            getattr(_core, name)(**arguments)
        except ValueError:
            continue
        result = arguments[given.OUTPUTS[name][0]]
        assert result.min() >= 0 and result.max() < (given.L if name == "grid_cut" else given.H * given.W)
for eps, method in itertools.product((np.nan, np.inf, -np.inf, -1.0, 1.7e308), TRANSPORT_METHODS):
    arguments = {{**given.transport_plan_arguments(), "method": method, "eps": eps}}
    try:
        _core.transport_plan(**arguments)
    except ValueError:
        continue
    assert sorted(arguments["plan"][0].flat) == list(range(given.H * given.W))
print("done")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "done"


def test_methods_have_one_list() -> None:
    for method in CUT_METHODS:
        _core.grid_cut(**{**grid_cut_arguments(), "method": method})
    for method in TRANSPORT_METHODS:
        _core.transport_plan(**{**transport_plan_arguments(), "method": method})


@pytest.mark.parametrize("changes", [{"first": L}, {"first": -1}, {"second": L}])
def test_moves_of_labels_that_are_not_there(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=rf"label: expected 0\.\.{L - 1}, got"):
        _core.graph_move(**{**graph_move_arguments(), **changes})


def test_distances_of_every_edge_have_their_shape() -> None:
    own = np.zeros((2, L, L))
    for name in ("graph_cut", "graph_move"):
        getattr(_core, name)(**{**CALLS[name](), "pairwise": own})
        with pytest.raises(ValueError, match="pairwise: expected shape"):
            getattr(_core, name)(**{**CALLS[name](), "pairwise": own[:1]})


@pytest.mark.parametrize("name", ["puzzlemix_energy", "puzzlemix_masks", "puzzlemix_plan"])
def test_a_prior_has_one_row_or_one_per_image(name: str) -> None:
    arguments = CALLS[name]()
    getattr(_core, name)(**{**arguments, "prior": arguments["prior"][:1]})
    with pytest.raises(ValueError, match="prior: expected one row, or one per image"):
        getattr(_core, name)(**{**arguments, "prior": arguments["prior"][:2]})


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"grid": (9, 3)}, "grid: expected 1 to H x 1 to W blocks"),
        ({"grid": (0, 3)}, "grid: expected 1 to H x 1 to W blocks"),
        ({"finer": (5, 1)}, "grid: expected 1 to H x 1 to W blocks"),
        ({"finer": (0, 1)}, "finer: expected at least one block"),
        ({"finer": (2**62, 2**62)}, "finer: expected at least one block"),
        ({"neigh_size": 0}, "neigh_size >= 1"),
    ],
)
def test_sizes_that_puzzlemix_plan_refuses(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _core.puzzlemix_plan(**{**CALLS["puzzlemix_plan"](), **wrong})


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"grid": (9, 3)}, "grid: expected 1 to H x 1 to W blocks"),
        ({"window": (9, 1)}, "window: expected one that fits the map"),
        ({"starts": 0}, "at least 1"),
        ({"starts": 2**62}, "init: expected all starts"),
        ({"partition": 0}, "at least 1"),
        ({"partition": 3}, r"init: expected inputs in 0\.\.0|init: expected shape"),
        ({"threshold": "none"}, "threshold: expected one of"),
    ],
)
def test_sizes_that_comixup_plan_refuses(wrong: dict[str, Any], text: str) -> None:
    arguments = CALLS["comixup_plan"]()
    arguments["init"][-1] = 1
    with pytest.raises(ValueError, match=text):
        _core.comixup_plan(**{**arguments, **wrong})


# ---- batches that are mixed in the call that makes their plan ---------------------------------------------

PLANS = {"puzzlemix_plan": (given.P, 8, 9), "comixup_plan": (4, 8, 9)}  # images, height, width


@pytest.mark.parametrize("name", list(PLANS))
def test_a_batch_is_mixed_by_the_plan_of_the_same_call(name: str) -> None:
    arguments = CALLS[name]()
    batch = given.planned_batch(*PLANS[name])
    getattr(_core, name)(**{**arguments, "mixed": tuple(batch)})
    images, mixed, dtype, channels_last, targets, soft = batch
    plan = [arguments[key] for key in ("source", "block", "weight")]
    alone, soft_alone = np.zeros_like(mixed), np.zeros_like(soft)
    _core.mix(*plan, images, alone, dtype, channels_last, 1)
    _core.mix_targets(plan[0], plan[2], targets, soft_alone)
    np.testing.assert_array_equal(mixed, alone)
    np.testing.assert_array_equal(soft, soft_alone)
    assert mixed.any()
    assert soft.any()

    batch[4] = np.arange(len(images)) % 4
    getattr(_core, name)(**{**arguments, "mixed": tuple(batch)})
    _core.mix_classes(plan[0], plan[2], batch[4], soft_alone)
    np.testing.assert_array_equal(soft, soft_alone)


def _halved(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[..., :2])


@pytest.mark.parametrize("name", list(PLANS))
@pytest.mark.parametrize(
    ("place", "wrong", "text"),
    [
        (0, lambda images: images[:-1], "soft: expected shape"),
        (0, _halved, "mixed: expected images of the inputs' size"),
        (0, lambda images: images.astype("f8"), "images: expected memory that holds float32"),
        (0, lambda images: images[0], "images: expected a contiguous array of 4 dimensions"),
        (1, lambda mixed: mixed[:-1], "images: expected one of its size per saliency map"),
        (1, lambda mixed: mixed.astype("f8"), "images: expected memory that holds float32"),
        (1, lambda mixed: np.broadcast_to(mixed[:1], mixed.shape), "mixed: expected a contiguous array"),
        (2, lambda _: "int32", "dtype: expected a float or uint8 type"),
        (3, lambda _: True, "images: expected one of its size per saliency map"),
        (3, lambda _: None, "incompatible function arguments"),
        (4, lambda targets: targets[:-1], "targets: expected shape"),
        (4, _halved, "targets: expected shape"),
        (4, lambda targets: targets.astype("f8"), "targets: expected a contiguous float32 or int64 array"),
        (4, lambda targets: targets[:, 0].copy(), "targets: expected 2 dimensions"),
        (4, lambda targets: np.full(len(targets), 4), r"targets: expected values in 0\.\.3"),
        (4, lambda targets: np.full(len(targets), -1), r"targets: expected values in 0\.\.3"),
        (4, lambda targets: np.zeros(len(targets) + 1, np.int64), "targets: expected shape"),
        (4, lambda targets: targets.tolist(), "incompatible function arguments"),
        (5, lambda soft: soft[:-1], "soft: expected shape"),
        (5, _halved, "targets: expected shape"),
        (5, lambda soft: soft.astype("f8"), "incompatible function arguments"),
    ],
)
def test_batches_that_do_not_fit_the_plan(name: str, place: int, wrong: Any, text: str) -> None:
    batch = given.planned_batch(*PLANS[name])
    batch[place] = wrong(batch[place])
    with pytest.raises(REFUSED, match=text):
        getattr(_core, name)(**{**CALLS[name](), "mixed": tuple(batch)})


@pytest.mark.parametrize("name", list(PLANS))
@pytest.mark.parametrize("place", [1, 5])
def test_batches_that_are_read_only(name: str, place: int) -> None:
    batch = given.planned_batch(*PLANS[name])
    batch[place].flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        getattr(_core, name)(**{**CALLS[name](), "mixed": tuple(batch)})


@pytest.mark.parametrize("name", list(PLANS))
def test_batches_that_are_no_batch(name: str) -> None:
    batch = given.planned_batch(*PLANS[name])
    for other in (batch[:-1], (), "x", 1, batch[0]):
        with pytest.raises(TypeError):
            getattr(_core, name)(**{**CALLS[name](), "mixed": other})
