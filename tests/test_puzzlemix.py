"""PuzzleMix energies and masks: the reference, enumeration, a minimum cut by scipy, and the official code."""

from __future__ import annotations

import math
from typing import Any

import comix
import numpy as np
import pytest
import torch
from comix import reference
from golden_data import Case, cases, ids, load, normalised_images
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from solvers import CUT_METHODS, DEVICES, torch_threads

Float = NDArray[np.float64]
FULL_CASES = cases("puzzlemix_full")
LABEL_CASES = cases("puzzlemix_label")


def batch(seed: int, shape: tuple[int, int, int, int], dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Random images in 0..1, saliency, partners and one lam per sample."""
    generator = torch.Generator().manual_seed(seed)
    count, _, height, width = shape
    return {
        "images": torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype),
        "saliency": torch.rand(count, height, width, generator=generator, dtype=torch.float64) ** 2,
        "index": torch.randperm(count, generator=generator),
        "lam": torch.rand(count, generator=generator, dtype=torch.float64),
    }


def as_numpy(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: v.cpu().double().numpy() if k != "index" else v.cpu().numpy() for k, v in arguments.items()}


def on(device: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value.to(device) for name, value in arguments.items()}


def one_image(energy: Any, b: int) -> tuple[Float, Float, Float, Float]:
    """unary, pairwise, weight_v, weight_h of one image as arrays."""
    unary, pairwise, weight_v, weight_h = (np.asarray(torch.as_tensor(term).cpu()) for term in energy)
    return unary[b], pairwise, weight_v[b], weight_h[b]


def labels_of(mask: torch.Tensor, n_labels: int) -> NDArray[np.int64]:
    """Labels of a mask whose values must lie on the label grid."""
    labels = (1 - mask.cpu().double().numpy()) * (n_labels - 1)
    rounded = np.rint(labels).astype(np.int64)
    np.testing.assert_allclose(labels, rounded, atol=1e-5)
    assert mask.dtype == torch.float32
    return rounded


def minimum_cut(unary: Float, pairwise: Float, weight_v: Float, weight_h: Float) -> NDArray[np.int64]:
    """Labels of least energy when the label distance is convex, by Ishikawa's graph and scipy's flow.

    Node (p, k) with k = 1..L-1 is on the source side when label_p >= k. scipy's capacities are int32, so the
    labels are optimal up to 1e-8 of the energy's size per site.
    """
    height, width, n_labels = unary.shape
    k = n_labels - 1
    scale = 1e9 / (np.abs(unary).sum() + weight_v.sum() + weight_h.sum())
    cost = np.diff(unary.reshape(-1, n_labels), axis=1)  # [N, L-1] of crossing each level
    site = np.arange(height * width).reshape(height, width)
    edges = [(site[:-1], site[1:], weight_v), (site[:, :-1], site[:, 1:], weight_h)]
    ends = [np.concatenate([e[i].reshape(-1) for e in edges]) for i in range(3)]
    mixed = -(pairwise[1:, 1:] - pairwise[:-1, 1:] - pairwise[1:, :-1] + pairwise[:-1, :-1])  # [L-1, L-1]
    assert (mixed >= -1e-12).all()
    tails, heads, capacities = [], [], []
    for i, j in np.ndindex(k, k):
        np.add.at(cost, (ends[0], i), -ends[2] * mixed[i, j])
        tails.append(ends[0] * k + i)
        heads.append(ends[1] * k + j)
        capacities.append(ends[2] * mixed[i, j])
    for i in range(k):  # distances to label 0
        np.add.at(cost, (ends[0], i), ends[2] * (pairwise[i + 1, 0] - pairwise[i, 0]))
        np.add.at(cost, (ends[1], i), ends[2] * (pairwise[0, i + 1] - pairwise[0, i]))
    node = np.arange(site.size * k)
    source, sink = len(node), len(node) + 1
    cheap = cost.reshape(-1) < 0
    tails += [np.full(cheap.sum(), source), node[~cheap], node.reshape(-1, k)[:, 1:].reshape(-1)]
    heads += [node[cheap], np.full((~cheap).sum(), sink), node.reshape(-1, k)[:, :-1].reshape(-1)]
    capacities += [-cost.reshape(-1)[cheap], cost.reshape(-1)[~cheap], np.full(site.size * (k - 1), 1.0)]
    amounts = np.rint(np.concatenate(capacities) * scale).clip(0, 2**30).astype(np.int32)
    graph = csr_matrix((amounts, (np.concatenate(tails), np.concatenate(heads))), (len(node) + 2,) * 2)
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = np.zeros(len(node) + 2, bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    return reached[: len(node)].reshape(height, width, k).sum(-1)


# ---- the energy ------------------------------------------------------------------------------------------

ENERGIES: list[tuple[tuple[int, int, int, int], Any, int, int, float]] = [
    # images, grid, n_labels, neigh_size, gamma
    ((3, 3, 32, 32), 4, 3, 4, 0.5),
    ((2, 3, 32, 32), 16, 3, 4, 0.5),  # blocks smaller than a cell
    ((2, 3, 64, 64), 8, 4, 2, 1.5),
    ((3, 1, 28, 28), 8, 2, 4, 0.5),  # sizes that do not divide
    ((2, 4, 30, 45), 4, 5, 3, 0.5),
    ((2, 5, 17, 23), (3, 4), 6, 2, 1.5),
    ((2, 2, 9, 40), (2, 8), 3, 4, 0.5),
    ((2, 3, 40, 12), (5, 1), 3, 4, 0.0),
    ((2, 3, 8, 8), 8, 3, 4, 0.5),  # a block is a pixel
    ((1, 3, 20, 20), 1, 3, 4, 0.5),  # one block, and its own partner
    ((2, 1, 7, 1), (3, 1), 2, 1, 1.5),
    ((4, 3, 33, 31), (4, 4), 3, 100, 0.5),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("shape", "grid", "n_labels", "neigh_size", "gamma"), ENERGIES)
def test_energy_is_the_reference(
    shape: tuple[int, int, int, int],
    grid: Any,
    n_labels: int,
    neigh_size: int,
    gamma: float,
    dtype: torch.dtype,
    device: str,
) -> None:
    arguments = batch(sum(shape), shape, dtype)
    arguments["saliency"] = arguments["saliency"].to(dtype)
    options: dict[str, Any] = {"grid": grid, "n_labels": n_labels, "neigh_size": neigh_size, "gamma": gamma}
    got = comix.puzzlemix_energy(**on(device, arguments), **options)
    expected = reference.puzzlemix_energy(**as_numpy(arguments), **options)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-6
    for name, ours, theirs in zip(got._fields, got, expected, strict=True):
        assert ours.dtype == torch.float64, name
        assert ours.shape == theirs.shape, name
        scale = tolerance * float(np.abs(theirs).max(initial=0))
        np.testing.assert_allclose(ours.cpu(), theirs, rtol=tolerance, atol=scale, err_msg=name)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_energy_is_the_reference_for_any_sizes(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5)), height, width)
    arguments = batch(data.draw(st.integers(0, 2**32)), shape)
    options: dict[str, Any] = {
        "grid": (data.draw(st.integers(1, min(height, 8))), data.draw(st.integers(1, min(width, 8)))),
        "n_labels": data.draw(st.integers(2, 6)),
        "neigh_size": data.draw(st.integers(1, 6)),
        "beta": data.draw(st.sampled_from([0.0, 0.3, 1.2, 7.0])),
        "gamma": data.draw(st.sampled_from([0.0, 0.5, 1.5])),
        "eta": data.draw(st.sampled_from([0.0, 0.2, 3.0])),
        "std": data.draw(st.sampled_from([None, 0.25, list(np.linspace(0.2, 1.5, shape[1]))])),
    }
    got = comix.puzzlemix_energy(**arguments, **options)
    for ours, theirs in zip(got, reference.puzzlemix_energy(**as_numpy(arguments), **options), strict=True):
        scale = 1e-10 * float(np.abs(theirs).max(initial=0))
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=scale)


def test_normalised_images_with_their_mean_and_std_are_the_plain_images() -> None:
    arguments = batch(1, (3, 3, 16, 16))
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    plain = comix.puzzlemix_energy(**arguments)
    shift, scale = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (mean, std))
    images = (arguments.pop("images") - shift) / scale
    for options in (
        {"mean": mean, "std": std},
        {"mean": torch.tensor(mean, dtype=torch.float64), "std": torch.tensor(std, dtype=torch.float64)},
        {"std": std},  # only differences of pixels matter
    ):
        for ours, theirs in zip(comix.puzzlemix_energy(images, **arguments, **options), plain, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    one = comix.puzzlemix_energy(images, **arguments, mean=0.5, std=0.25)
    each = comix.puzzlemix_energy(images, **arguments, mean=(0.5,) * 3, std=(0.25,) * 3)
    assert all(torch.equal(a, b) for a, b in zip(one, each, strict=True))
    ones = comix.puzzlemix_energy(images, **arguments, mean=1.0)
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):  # torch knows the longer ones since 2.3
        typed = comix.puzzlemix_energy(images, **arguments, mean=np.ones(3, dtype))
        assert all(torch.equal(a, b) for a, b in zip(ones, typed, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8], ids=str)
def test_short_dtypes_are_their_values_in_float32(dtype: torch.dtype) -> None:
    arguments = batch(2, (3, 3, 20, 24))
    images = arguments.pop("images")
    short = (images * 255).to(dtype) if dtype == torch.uint8 else images.to(dtype)
    long = short.float() / 255 if dtype == torch.uint8 else short.float()
    ours = comix.puzzlemix_energy(short, **arguments)
    theirs = comix.puzzlemix_energy(long, **arguments)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    maps = arguments.pop("saliency").to(torch.float16 if dtype == torch.uint8 else dtype)
    ours = comix.puzzlemix_energy(long, maps, **arguments)
    theirs = comix.puzzlemix_energy(long, maps.float(), **arguments)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_saliency_without_information_is_uniform() -> None:
    arguments = batch(3, (4, 3, 16, 16))
    maps = arguments.pop("saliency")
    maps[0], maps[1, 3, 4], maps[2, 0, 0] = 0, math.nan, math.inf
    got = comix.puzzlemix_energy(saliency=maps, **arguments)
    maps[:3] = 1
    for ours, theirs in zip(got, comix.puzzlemix_energy(saliency=maps, **arguments), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=0)
    assert all(torch.isfinite(term).all() for term in got)


def test_scale_of_the_saliency_is_irrelevant() -> None:
    arguments = batch(4, (2, 3, 16, 16))
    plain = comix.puzzlemix_energy(**arguments)
    for scale in (1e-30, 1e30, 255.0):
        scaled = comix.puzzlemix_energy(**{**arguments, "saliency": arguments["saliency"] * scale})
        torch.testing.assert_close(scaled.unary, plain.unary, rtol=1e-12, atol=0)


def test_forms_of_index_and_lam() -> None:
    arguments = batch(5, (3, 3, 12, 12))
    plain = comix.puzzlemix_energy(**{**arguments, "lam": 0.25})
    index = arguments["index"]
    for same in (index.tolist(), tuple(index.tolist()), index.to(torch.uint8), index.int()):
        other = comix.puzzlemix_energy(**{**arguments, "index": same, "lam": 0.25})
        assert torch.equal(other.unary, plain.unary)
    for lam in (torch.tensor(0.25), torch.full((3,), 0.25, dtype=torch.float16), np.float64(0.25)):
        other = comix.puzzlemix_energy(**{**arguments, "lam": lam})
        assert torch.equal(other.unary, plain.unary)


# ---- the mask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("grid", "n_labels"), [((3, 4), 2), ((2, 3), 3), ((2, 2), 5), ((1, 5), 4), (1, 6)])
@pytest.mark.parametrize("gamma", [0.5, 1.5])
def test_exact_masks_are_the_best_of_all(grid: Any, n_labels: int, gamma: float, device: str) -> None:
    arguments = batch(n_labels, (4, 3, 18, 21))
    options: dict[str, Any] = {"grid": grid, "n_labels": n_labels, "gamma": gamma, "beta": 12.0}
    energy = reference.puzzlemix_energy(**as_numpy(arguments), **options)
    labels = labels_of(comix.puzzlemix_mask(**on(device, arguments), **options), n_labels)
    for b in range(4):
        terms = one_image(energy, b)
        least = reference.brute_force(*terms)[1]
        assert reference.grid_energy(labels[b], *terms) == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize("case", FULL_CASES, ids=ids(FULL_CASES))
def test_masks_of_the_official_codes_images_are_optimal(case: Case) -> None:
    stored, n_labels = load("puzzlemix_full", case["id"]), case["n_labels"]
    names = ("n_labels", "beta", "gamma", "eta", "neigh_size", "mean", "std")
    options = {"grid": case["blocks"], **{name: case[name] for name in names}}
    images = normalised_images(case, stored)
    energy = reference.puzzlemix_energy(
        images, stored["saliency"], stored["indices"], case["alpha"], **options
    )
    mask = comix.puzzlemix_mask(
        torch.from_numpy(images),
        torch.from_numpy(stored["saliency"]),
        torch.from_numpy(stored["indices"]),
        case["alpha"],
        **options,
    )
    labels = labels_of(mask, n_labels)
    for b in range(case["B"]):
        terms = one_image(energy, b)
        found = float(reference.grid_energy(labels[b], *terms))
        # The energy was computed from float32 saliency, so ties may fall differently by 1e-7 of it.
        tolerance = 1e-7 * abs(found)
        assert found <= reference.grid_energy(stored["label"][b], *terms) + tolerance
        assert found <= reference.grid_energy(minimum_cut(*terms), *terms) + tolerance
        if n_labels ** case["blocks"] <= 256:
            assert found == pytest.approx(reference.frontier_cut(*terms)[1], abs=tolerance)


@pytest.mark.parametrize("case", LABEL_CASES, ids=ids(LABEL_CASES))
def test_recorded_costs_are_solved_to_the_stored_optimum(case: Case) -> None:
    stored = load("puzzlemix_label", case["id"])
    unary1, unary2, pw_x, pw_y = (stored[k].astype(np.float64) for k in ("unary1", "unary2", "pw_x", "pw_y"))
    smooth = case["beta_arg"]
    energy = reference.mask_energy(
        unary1, unary2, pw_x + smooth, pw_y + smooth, stored["alpha"], case["eta"], case["n_labels"]
    )
    cut = comix.grid_cut(*energy, method="exact")
    np.testing.assert_allclose(cut.energy, stored["E_opt"], rtol=1e-11)
    assert cut.optimal.all()
    assert (cut.energy <= stored["E_ref"] + 1e-12).all()
    terms = one_image(energy, 0)  # and the oracle used above is one
    assert reference.grid_energy(minimum_cut(*terms), *terms) == pytest.approx(stored["E_opt"][0], rel=1e-6)


@pytest.mark.parametrize("method", CUT_METHODS)
@pytest.mark.parametrize("n_labels", [2, 3, 6])
def test_every_method_gives_a_mask_near_the_optimum(method: str, n_labels: int) -> None:
    arguments = batch(8, (6, 3, 32, 32))
    options: dict[str, Any] = {"grid": 8, "n_labels": n_labels, "beta": 4.0}
    energy = comix.puzzlemix_energy(**arguments, **options)
    least = comix.grid_cut(*energy, method="exact").energy
    labels = labels_of(comix.puzzlemix_mask(**arguments, **options, method=method), n_labels)
    found = comix.grid_energy(torch.from_numpy(labels), *energy)
    assert (found >= least - 1e-12).all()
    assert (found <= least + (1e-12 if method in ("exact", "auto") else 0.02)).all()


def test_lam_of_one_and_zero() -> None:
    arguments = batch(9, (3, 3, 16, 16))
    for lam in (0.0, 1.0):
        options: dict[str, Any] = {**arguments, "lam": lam}
        expected = reference.puzzlemix_energy(**as_numpy(arguments) | {"lam": lam})
        np.testing.assert_allclose(comix.puzzlemix_energy(**options).unary, expected.unary, rtol=1e-10)
        # With a strong prior nothing else counts.
        assert (comix.puzzlemix_mask(**options, eta=1e3) == lam).all()
        assert (comix.puzzlemix_mask(**{**arguments, "lam": [1.0, 0.0][int(lam)]}, eta=0.0)).isfinite().all()
    each = comix.puzzlemix_mask(**{**arguments, "lam": torch.tensor([1.0, 0.0, 1.0])}, eta=1e3)
    assert each.mean((1, 2)).tolist() == [1, 0, 1]


def test_no_smoothness_shows_the_more_salient_image_of_each_block() -> None:
    arguments = batch(10, (4, 3, 16, 16)) | {"index": torch.tensor([2, 3, 1, 0])}
    mask = comix.puzzlemix_mask(**arguments, beta=0.0, eta=0.0, n_labels=2)
    blocks = comix.pool_saliency(arguments["saliency"], 4)
    assert torch.equal(mask == 1, blocks > blocks[arguments["index"]])
    same = comix.puzzlemix_mask(**{**arguments, "index": [0, 1, 2, 3], "lam": 1.0})
    assert (same == 1).all()  # its own partner: only the prior speaks


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("whole", [True, False], ids=["boards", "one edge"])
def test_opposite_images_at_gamma_one_stay_exact(dtype: torch.dtype, whole: bool) -> None:
    """Their edge weights are exactly 0, and rounding of the normalised images must not make them negative."""
    where = torch.arange(64) // 4
    board = ((where[:, None] + where) % 2).double()
    pair = torch.stack([board, 1 - board])
    if not whole:  # elsewhere grey, so that the rest of the grid is one hard problem
        shown = torch.zeros(64, 64, dtype=torch.bool)
        shown[28:36, 28:32] = True
        pair = torch.where(shown, pair, 0.5)
    mean, std = torch.tensor([0.507, 0.487, 0.441]), torch.tensor([0.267, 0.256, 0.276])
    images = (pair[:, None] - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    saliency = torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(0))
    arguments: Any = (images.to(dtype), saliency, [1, 0], 0.5)
    options: dict[str, Any] = {"grid": 16, "gamma": 1.0, "beta": 20.0, "mean": mean, "std": std}
    energy = comix.puzzlemix_energy(*arguments, **options)
    assert energy.weight_v.min() >= 0
    assert energy.weight_h.min() >= 0
    assert energy.weight_v.min() < 1e-2 * 20 / 16 / 16
    labels = labels_of(comix.puzzlemix_mask(*arguments, **options), 3)
    for b in range(2):
        terms = one_image(energy, b)
        found = float(reference.grid_energy(labels[b], *terms))
        assert found <= float(reference.grid_energy(minimum_cut(*terms), *terms)) + 1e-12


def test_gamma_above_one_on_a_wide_grid() -> None:
    where = torch.arange(64) // 4
    board = ((where[:, None] + where) % 2).float().expand(3, 64, 64)
    saliency = torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(0))
    arguments: Any = (torch.stack([board, 1 - board]), saliency, [1, 0], 0.5)
    options: dict[str, Any] = {"grid": 16, "gamma": 3.0, "beta": 5.0}
    energy = comix.puzzlemix_energy(*arguments, **options)
    assert energy.weight_h.max() < 0
    labels = labels_of(comix.puzzlemix_mask(*arguments, **options), 3)
    found = comix.grid_energy(torch.from_numpy(labels), *energy)
    assert (found <= comix.grid_cut(*energy, method="expansion").energy + 1e-12).all()
    # Where the grid is narrow, by another algorithm.
    narrow = {**options, "grid": (16, 4)}
    found = labels_of(comix.puzzlemix_mask(*arguments, **narrow), 3)
    terms = one_image(comix.puzzlemix_energy(*arguments, **narrow), 0)
    assert reference.grid_energy(found[0], *terms) == pytest.approx(reference.frontier_cut(*terms)[1])


def test_exact_masks_are_refused_where_too_much_is_open() -> None:
    colours = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = colours.repeat_interleave(4, -1).repeat_interleave(4, -2)
    arguments: Any = (images, torch.ones(2, 128, 128), [1, 0], 0.5)
    options: dict[str, Any] = {"grid": 32, "gamma": 3.0, "beta": 500.0, "eta": 0.0}
    with pytest.raises(ValueError, match=r"method: 'exact' needs .* weights >= 0 .* use method='auto'"):
        comix.puzzlemix_mask(*arguments, **options)
    energy = comix.puzzlemix_energy(*arguments, **options)
    assert energy.weight_h.min() < 0
    labels = labels_of(comix.puzzlemix_mask(*arguments, **options, method="auto"), 3)
    flat = comix.grid_energy(torch.zeros(2, 32, 32, dtype=torch.int64), *energy)
    assert (comix.grid_energy(torch.from_numpy(labels), *energy) < flat).all()


# ---- what the result may and may not depend on -----------------------------------------------------------


def test_threads_and_the_rest_of_the_batch_do_not_matter() -> None:
    arguments = batch(11, (6, 3, 30, 26), torch.float32)
    arguments["index"] = torch.tensor([1, 0, 3, 2, 5, 4])
    with torch_threads(2):
        energy, mask = comix.puzzlemix_energy(**arguments), comix.puzzlemix_mask(**arguments)
    with torch_threads(1):
        assert torch.equal(comix.puzzlemix_energy(**arguments).unary, energy.unary)
        assert torch.equal(comix.puzzlemix_mask(**arguments), mask)
    for first in range(0, 6, 2):
        pair = {name: value[first : first + 2] for name, value in arguments.items()} | {"index": [1, 0]}
        for one, all_of_them in zip(comix.puzzlemix_energy(**pair), energy, strict=True):
            assert torch.equal(one, all_of_them[first : first + 2] if one.ndim > 2 else all_of_them)
        assert torch.equal(comix.puzzlemix_mask(**pair), mask[first : first + 2])


def test_memory_layout_does_not_matter_and_inputs_stay_as_they_are() -> None:
    arguments = batch(12, (3, 4, 20, 16))
    plain = comix.puzzlemix_energy(**arguments)
    views = {
        "images": arguments["images"].to(memory_format=torch.channels_last),
        "saliency": arguments["saliency"].transpose(1, 2).contiguous().transpose(1, 2),
        "index": torch.stack([arguments["index"]] * 2, 1)[:, 0],
        "lam": arguments["lam"].clone().requires_grad_(),
    }
    before = {name: value.detach().clone() for name, value in views.items()}
    for ours, theirs in zip(comix.puzzlemix_energy(**views), plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=0)  # block means add up in another order
        assert not ours.requires_grad
    assert torch.equal(comix.puzzlemix_mask(**views), comix.puzzlemix_mask(**arguments))
    images = arguments.pop("images").requires_grad_()  # as in a training step
    assert not comix.puzzlemix_mask(images, **arguments).requires_grad
    assert all(torch.equal(views[name], before[name]) for name in views)
