"""The reference mixing: stored images, ratios and targets of the official code, end to end for Co-Mixup."""

from __future__ import annotations

import numpy as np
import pytest
from comix import reference
from golden_data import Arrays, Case, cases, ids, labels_from_mask2, load, normalised_images
from numpy.typing import NDArray

PUZZLEMIX_CASES = cases("puzzlemix_full")
COMIXUP_CASES = cases("comixup_full")


def with_noise(case: Case, stored: Arrays, images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Images with the adversarial noise, kept in 0..1 before they are normalised again."""
    mean, std = np.array(case["mean"])[:, None, None], np.array(case["std"])[:, None, None]
    noisy: NDArray[np.float64] = np.clip(images * std + mean + stored["noise"], 0, 1)
    normalised: NDArray[np.float64] = (noisy - mean) / std
    return normalised


@pytest.mark.parametrize("case", PUZZLEMIX_CASES, ids=ids(PUZZLEMIX_CASES))
def test_puzzlemix_plans_give_stored_images_and_ratios(case: Case) -> None:
    stored = load("puzzlemix_full", case["id"])
    images = normalised_images(case, stored).astype(np.float64)
    n, size = case["B"], case["transport_grid"] if case["transport"] else case["blocks"]
    mask = 1 - stored["label"] / (case["n_labels"] - 1)
    repeats = size // case["blocks"]
    mask = mask.repeat(repeats, 1).repeat(repeats, 2)  # [B, T, T]
    noisy = with_noise(case, stored, images) if "noise" in stored else images
    # The own images first, then the partners' versions: the noise may be on either.
    inputs = np.concatenate([noisy if case["adv_mask1"] else images, noisy if case["adv_mask2"] else images])
    landing = (
        [stored[name].reshape(n, size, size) for name in ("plan1", "plan2")] if case["transport"] else None
    )
    plan = reference.plan_from_mask(
        mask,
        n + stored["indices"],
        *([np.maximum(moved, 0) for moved in landing] if landing else []),
    )
    weight = plan.weight.copy()
    if landing:  # the official code leaves places without a source black
        weight *= np.stack(landing, -1) >= 0
    mixed = reference.mix(plan.source, plan.block, weight, inputs)
    np.testing.assert_allclose(mixed, stored["out"], atol=1e-5, rtol=0)
    share = reference.ratio(plan.source, plan.weight, 2 * n)
    np.testing.assert_allclose(share[np.arange(n), np.arange(n)], stored["ratio"], atol=1e-6)
    np.testing.assert_allclose(share.sum(1), 1)


@pytest.mark.parametrize("case", COMIXUP_CASES, ids=ids(COMIXUP_CASES))
def test_comixup_masks_give_stored_images_and_targets(case: Case) -> None:
    stored = load("comixup_full", case["id"])
    images = normalised_images(case, stored)
    size = case["args"]["m_part"]
    for start in range(0, case["N"], size):
        part = slice(start, min(start + size, case["N"]))
        labels = labels_from_mask2(stored["mask2"][part])
        plan = reference.plan_from_labels(labels)
        mixed = reference.mix(*plan, images[part])
        np.testing.assert_allclose(mixed, stored["out"][part], atol=1e-5, rtol=0)
        targets = reference.ratio(plan.source, plan.weight, len(labels)) @ stored["target"][part]
        np.testing.assert_allclose(targets, stored["target_out"][part], atol=1e-6)


@pytest.mark.parametrize("case", COMIXUP_CASES, ids=ids(COMIXUP_CASES))
def test_saliency_to_stored_comixup_masks(case: Case) -> None:
    stored, args = load("comixup_full", case["id"]), case["args"]
    blocks, first_cut = case["blocks_used"], 0
    for p, start in enumerate(range(0, case["N"], args["m_part"])):
        part = slice(start, min(start + args["m_part"], case["N"]))
        n = part.stop - part.start
        cost = -reference.block_saliency(stored["saliency"][part], blocks).astype(np.float32)
        draw = stored["dirichlet"][p, :n, None, None]
        cost = cost - np.float32(args["m_eta"] / blocks**2) * np.log(draw + np.float32(1e-8))
        distance = stored["A_dist"][part, part] if "A_dist" in stored else np.eye(n, dtype=np.float32)
        omega = args["m_omega"]
        identity = np.eye(n, dtype=np.float32)
        compatibility = (1 - omega) * identity + omega * n * distance / distance.sum()
        labels = reference.comixup_labels(
            cost,
            compatibility=compatibility,
            init=stored["init"][part],
            beta=args["m_beta"],
            gamma=args["m_gamma"],
            tau=args["m_thres"],
            sweeps=args["m_niter"],
            threshold="hard_official" if args["m_thres_type"] == "hard" else "soft",
            resolve_duplicates=args["set_resolve"],
            members=stored["members"][first_cut:],
        )
        first_cut += int(stored["cuts"][p])
        np.testing.assert_array_equal(labels, labels_from_mask2(stored["mask2"][part]))


def test_uneven_blocks_read_at_their_own_offset() -> None:
    # 5 rows in 2 blocks: rows 0-2 and 3-4. 7 columns in 3 blocks: columns 0-2, 3-4, 5-6.
    image = np.arange(35.0).reshape(1, 1, 5, 7)
    block = np.array([[5, 1, 0], [0, 4, 2]])
    plan = reference.plan_from_mask(np.ones((1, 2, 3)), [0], block[None])
    mixed = reference.mix(*plan, image)[0, 0]
    rows, columns = [slice(0, 3), slice(3, 5)], [slice(0, 3), slice(3, 5), slice(5, 7)]
    whole = image[0, 0]
    np.testing.assert_array_equal(mixed[rows[0], columns[0]], whole[np.ix_([3, 4, 4], [5, 6, 6])])  # larger
    np.testing.assert_array_equal(mixed[rows[0], columns[1]], whole[rows[0], columns[1]])  # its own
    np.testing.assert_array_equal(mixed[rows[0], columns[2]], whole[rows[0], 0:2])  # narrower
    np.testing.assert_array_equal(mixed[rows[1], columns[0]], whole[0:2, columns[0]])  # lower
    np.testing.assert_array_equal(mixed[rows[1], columns[2]], whole[0:2, columns[2]])


def test_staying_plans_of_any_size_give_back_the_inputs() -> None:
    images = np.random.default_rng(0).random((3, 2, 13, 10))
    plan = reference.plan_from_mask(np.ones((3, 4, 3)), [1, 2, 0])
    np.testing.assert_array_equal(reference.mix(*plan, images), images)
    plan = reference.plan_from_mask(np.zeros((3, 4, 3)), [1, 2, 0])
    np.testing.assert_array_equal(reference.mix(*plan, images), images[[1, 2, 0]])
    assert reference.ratio(plan.source, plan.weight, 3).tolist() == np.eye(3)[[1, 2, 0]].tolist()


def test_partitions_are_laid_end_to_end() -> None:
    labels = np.array([[[[[0, 1]]], [[[1, 1]]]], [[[[0, 0]]], [[[0, 1]]]]])  # [2, 2, 1, 1, 2]
    plan = reference.plan_from_labels(labels)
    assert plan.source.reshape(4, 2).tolist() == [[0, 1], [1, 1], [2, 2], [2, 3]]
    assert reference.ratio(plan.source, plan.weight, 4).tolist() == [
        [0.5, 0.5, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0.5, 0.5],
    ]
    assert reference.plan_from_labels(labels, 5).source.max() == 6
