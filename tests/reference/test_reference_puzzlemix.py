"""The reference PuzzleMix energy: stored energies and labels of the official code, and each term."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from comix import reference
from golden_data import Case, cases, ids, load, normalised_images
from numpy.typing import NDArray

LABEL_CASES = cases("puzzlemix_label")
FULL_CASES = cases("puzzlemix_full")


def official_labels(energy: tuple[NDArray[Any], ...]) -> NDArray[np.int64]:
    """The official code's cut of one image's unary, pairwise, weight_v, weight_h."""
    return reference.swap(*reference.gco_integers(*reference.puzzlemix_integers(*energy)))


def one_image(energy: reference.GridEnergy, b: int) -> tuple[NDArray[Any], ...]:
    return energy.unary[b], energy.pairwise, energy.weight_v[b], energy.weight_h[b]


def full_energy(case: Case) -> reference.GridEnergy:
    arrays = load("puzzlemix_full", case["id"])
    return reference.puzzlemix_energy(
        normalised_images(case, arrays),
        arrays["saliency"],
        arrays["indices"],
        case["alpha"],
        grid=case["blocks"],
        **{name: case[name] for name in ("n_labels", "beta", "gamma", "eta", "neigh_size", "mean", "std")},
    )


@pytest.mark.parametrize("case", LABEL_CASES, ids=ids(LABEL_CASES))
def test_recorded_costs_give_stored_energies_and_labels(case: Case) -> None:
    stored = load("puzzlemix_label", case["id"])
    costs = [stored[name].astype(np.float64) for name in ("unary1", "unary2", "pw_x", "pw_y")]
    energy = reference.mask_energy(
        costs[0],
        costs[1],
        costs[2] + case["beta_arg"],
        costs[3] + case["beta_arg"],
        stored["alpha"],
        case["eta"],
        case["n_labels"],
    )
    for b in range(case["K"]):
        terms = one_image(energy, b)
        assert reference.grid_energy(stored["label"][b], *terms) == pytest.approx(
            stored["E_ref"][b], rel=1e-11
        )
        assert reference.grid_energy(stored["opt"][b], *terms) == pytest.approx(stored["E_opt"][b], rel=1e-11)
        np.testing.assert_array_equal(official_labels(terms), stored["label"][b])
        if case["n_labels"] ** case["blocks"] <= 256:
            assert reference.frontier_cut(*terms)[1] == pytest.approx(stored["E_opt"][b], rel=1e-11)


@pytest.mark.parametrize("case", FULL_CASES, ids=ids(FULL_CASES))
def test_images_to_stored_labels(case: Case) -> None:
    stored = load("puzzlemix_full", case["id"])
    energy = full_energy(case)
    for b in np.flatnonzero(stored["overflow"] == 0).tolist():
        labels = official_labels(one_image(energy, b))
        np.testing.assert_array_equal(labels, stored["label"][b])
        assert 1 - labels.mean() / (case["n_labels"] - 1) == pytest.approx(stored["ratio"][b], abs=1e-6)


def test_overflow_is_the_only_reason_to_skip() -> None:
    skipped = sum(int(load("puzzlemix_full", c["id"])["overflow"].sum()) for c in FULL_CASES)
    assert skipped == 1
    assert sum(c["B"] for c in FULL_CASES) == 68


@pytest.mark.parametrize(
    ("n_pixels", "n_blocks"), [(32, 4), (30, 4), (7, 3), (5, 5), (224, 16), (29, 8), (9, 1)]
)
def test_blocks_are_those_of_a_nearest_upsampled_mask(n_pixels: int, n_blocks: int) -> None:
    edges = reference.block_edges(n_pixels, n_blocks)
    block_of = np.repeat(np.arange(n_blocks), np.diff(edges))
    np.testing.assert_array_equal(block_of, np.arange(n_pixels) * n_blocks // n_pixels)
    assert (np.diff(edges) >= n_pixels // n_blocks).all()


def test_more_blocks_than_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="3 pixels cannot be cut into 4 blocks"):
        reference.block_edges(3, 4)


def test_saliency_without_information_becomes_uniform() -> None:
    maps = np.random.default_rng(0).random((4, 6, 9))
    maps[0] = 0
    maps[1, 2, 3] = np.nan
    maps[2, 0, 0] = np.inf
    blocks = reference.block_saliency(maps, (2, 3))
    np.testing.assert_allclose(blocks[:3], 1 / 6)
    expected = maps[3].reshape(2, 3, 3, 3).mean((1, 3))
    np.testing.assert_allclose(blocks[3], expected / expected.sum())


def pooled(image: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    channels, height, width = image.shape
    cells: NDArray[np.float64] = image.reshape(channels, height // size, size, width // size, size).mean(
        (2, 4)
    )
    return cells


@pytest.mark.parametrize(("grid", "neigh_size"), [(4, 4), (2, 4), (8, 4), (4, 2), (16, 2)])
def test_neighbour_terms_where_everything_divides(grid: int, neigh_size: int) -> None:
    rng = np.random.default_rng(grid)
    a, b = rng.random((2, 3, 32, 32))
    vertical, horizontal = reference.neighbour_terms(a, b, grid, neigh_size)
    size = min(neigh_size, 32 // grid)
    k = 32 // grid // size
    qa, qb = pooled(a, size), pooled(b, size)
    for r, c in np.ndindex(grid - 1, grid):
        cells = np.s_[c * k : (c + 1) * k]
        expected = np.abs(qa[:, (r + 1) * k - 1, cells] - qb[:, (r + 1) * k, cells]).mean()
        assert vertical[r, c] == pytest.approx(expected)
        expected = np.abs(qa[:, cells, (r + 1) * k - 1] - qb[:, cells, (r + 1) * k]).mean()
        assert horizontal[c, r] == pytest.approx(expected)


def test_neighbour_terms_of_uneven_blocks_see_only_the_border() -> None:
    # 11 rows in 2 blocks of 6 and 5 rows; the smaller has 5 // 2 = 2 cells: rows 0-2, 3-5 and 6-8, 9-10.
    image = np.random.default_rng(3).random((1, 11, 4))
    vertical, horizontal = reference.neighbour_terms(image, image, (2, 1), 2)
    cells = image.reshape(1, 11, 2, 2).mean(-1)
    expected = np.abs(cells[:, 3:6].mean(1) - cells[:, 6:9].mean(1)).mean()
    assert vertical.shape == (1, 1)
    assert vertical[0, 0] == pytest.approx(expected)
    assert horizontal.shape == (2, 0)
    changed = image.copy()
    changed[:, [0, 1, 2, 9, 10]] = 0
    np.testing.assert_allclose(reference.neighbour_terms(changed, changed, (2, 1), 2)[0], vertical)


def test_binary_masks_pay_the_four_way_edge_costs() -> None:
    rng = np.random.default_rng(5)
    images, saliency, index = rng.random((3, 2, 12, 20)), rng.random((3, 12, 20)), np.array([1, 2, 0])
    grid, beta, gamma = (3, 5), 1.3, 0.7
    energy = reference.puzzlemix_energy(
        images, saliency, index, 0.5, grid=grid, n_labels=2, beta=beta, gamma=gamma, eta=0.0
    )
    beta_hat = beta / 16 / math.sqrt(15)
    blocks = reference.block_saliency(saliency, grid)

    def four_way(b: int, own: NDArray[np.bool_]) -> float:
        total = float(np.where(own, blocks[index[b]], blocks[b]).sum())
        shown = {True: images[b], False: images[index[b]]}
        for one in (False, True):
            for two in (False, True):
                terms = reference.neighbour_terms(shown[one], shown[two], grid, 4)
                where = [(own[:-1] == one) & (own[1:] == two), (own[:, :-1] == one) & (own[:, 1:] == two)]
                smooth = sum(float(t[w].sum()) for t, w in zip(terms, where, strict=True))
                cut = sum(int(w.sum()) for w in where) if one != two else 0
                total += beta_hat * (gamma * smooth + cut)
        return total

    for b in range(3):
        masks = rng.random((6, *grid)) < 0.5
        gaps = [
            float(reference.grid_energy((~own).astype(int), *one_image(energy, b))) - four_way(b, own)
            for own in masks
        ]
        np.testing.assert_allclose(gaps, gaps[0], atol=1e-14)  # a constant of the images


@pytest.mark.parametrize("n_labels", [2, 3, 4, 7])
def test_prior_prefers_the_share_lam(n_labels: int) -> None:
    chances = np.exp(-reference.prior(0.3, n_labels))
    assert chances.sum() == pytest.approx(1, abs=1e-6)
    shares_of_own = 1 - np.arange(n_labels) / (n_labels - 1)
    assert float(chances @ shares_of_own) == pytest.approx(0.3, abs=1e-6)
    np.testing.assert_allclose(reference.prior(1.0, n_labels)[1:], -math.log(1e-8))


def test_energy_of_odd_sizes_with_one_lam_per_image() -> None:
    rng = np.random.default_rng(6)
    images, saliency = rng.normal(size=(2, 1, 17, 23)), rng.random((2, 17, 23))
    keywords: dict[str, Any] = {"grid": (3, 4), "n_labels": 5, "mean": [0.1], "std": [0.2]}
    both = reference.puzzlemix_energy(images, saliency, [1, 0], [0.2, 0.9], **keywords)
    assert both.unary.shape == (2, 3, 4, 5)
    assert both.weight_v.shape == (2, 2, 4)
    assert both.weight_h.shape == (2, 3, 3)
    assert both.pairwise[0].tolist() == [0, 1 / 16, 4 / 16, 9 / 16, 1]
    for b, lam in enumerate([0.2, 0.9]):
        one = reference.puzzlemix_energy(images, saliency, [1, 0], lam, **keywords)
        np.testing.assert_array_equal(one.unary[b], both.unary[b])
    plain = reference.puzzlemix_energy(
        images * 0.2 + 0.1, saliency, [1, 0], [0.2, 0.9], grid=(3, 4), n_labels=5
    )
    np.testing.assert_allclose(plain.unary, both.unary, atol=1e-15)
