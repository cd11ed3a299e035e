"""Mix plans: from which blocks of which inputs every block of every output is made.

A plan has, for each block of each output, two entries of (source input, source block, weight); both methods
are plans. Guarantee: linear in the images; exact weights. Cost: linear in the output pixels.

Sources: Kim, Choo, Song, "Puzzle Mix", ICML 2020, section 4 (mask and transport); Kim, Choo, Jeong, Song,
"Co-Mixup", ICLR 2021, section 4 (outputs as block-wise mixtures of all inputs).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .puzzlemix import block_edges


class Plan(NamedTuple):
    """What every block is made from."""

    source: NDArray[np.int64]  # [B_out, gh, gw, 2] index of the input
    block: NDArray[np.int64]  # [B_out, gh, gw, 2] block of that input, row-major
    weight: NDArray[np.float64]  # [B_out, gh, gw, 2] sums to 1 along the last axis


def plan_from_mask(
    mask: ArrayLike,
    index: ArrayLike,
    plan_own: ArrayLike | None = None,
    plan_partner: ArrayLike | None = None,
) -> Plan:
    """PuzzleMix: the own image with the weight of the mask, the partner with the rest.

    Args:
        mask: [B, gh, gw] weight of the own image.
        index: [B] partner of every image.
        plan_own: [B, gh, gw] source block of every block of the own image; None: nothing moves.
        plan_partner: [B, gh, gw] the same of the partner, in the partner's blocks; None: nothing moves.
    """
    mask = np.asarray(mask, np.float64)  # [B, gh, gw]
    n, gh, gw = mask.shape
    own, partner = np.arange(n).reshape(n, 1, 1), np.asarray(index).reshape(n, 1, 1)
    stay = np.arange(gh * gw).reshape(1, gh, gw)
    blocks = [stay if moved is None else np.asarray(moved) for moved in (plan_own, plan_partner)]
    source = [np.broadcast_to(image, mask.shape) for image in (own, partner)]
    block = [np.broadcast_to(where, mask.shape) for where in blocks]
    weight = [mask, 1 - mask]
    return Plan(
        np.stack(source, -1).astype(np.int64), np.stack(block, -1).astype(np.int64), np.stack(weight, -1)
    )


def plan_from_labels(labels: ArrayLike, n_inputs: int | None = None) -> Plan:
    """Co-Mixup: every block shows its two inputs half each, where they are; partitions are laid end to end.

    Args:
        labels: [P, m, gh, gw, 2] or [m, gh, gw, 2] inputs within each partition.
        n_inputs: inputs per partition; None: as many as outputs.
    """
    labels = np.asarray(labels, np.int64)
    labels = labels.reshape(-1, *labels.shape[-4:])  # [P, m, gh, gw, 2]
    n_partitions, m, gh, gw, _ = labels.shape
    first = np.arange(n_partitions) * (m if n_inputs is None else n_inputs)
    source = (labels + first.reshape(-1, 1, 1, 1, 1)).reshape(-1, gh, gw, 2)
    block = np.broadcast_to(np.arange(gh * gw).reshape(1, gh, gw, 1), source.shape)
    return Plan(source, block.copy(), np.full(source.shape, 0.5))


def mix(source: ArrayLike, block: ArrayLike, weight: ArrayLike, images: ArrayLike) -> NDArray[np.float64]:
    """The mixed images of a plan.

    Block i of g along n pixels covers pixels ceil(i n/g) .. ceil((i+1) n/g) - 1. A target pixel reads the
    source block at its own offset within the block, or at the last row or column where that block is smaller.

    Args:
        source: [B_out, gh, gw, 2].
        block: [B_out, gh, gw, 2].
        weight: [B_out, gh, gw, 2].
        images: [n, C, H, W].

    Returns:
        [B_out, C, H, W] float64.
    """
    source, block, weight = np.asarray(source), np.asarray(block), np.asarray(weight, np.float64)
    images = np.asarray(images, np.float64)
    n_outputs, gh, gw, _ = source.shape
    rows, columns = block_edges(images.shape[2], gh), block_edges(images.shape[3], gw)
    mixed = np.zeros((n_outputs, *images.shape[1:]))
    for o, i, j, k in np.ndindex(source.shape):
        y, x = np.arange(rows[i], rows[i + 1]), np.arange(columns[j], columns[j + 1])  # target pixels
        from_i, from_j = divmod(int(block[o, i, j, k]), gw)
        from_y = np.minimum(rows[from_i] + y - y[0], rows[from_i + 1] - 1)
        from_x = np.minimum(columns[from_j] + x - x[0], columns[from_j + 1] - 1)
        patch = images[source[o, i, j, k]][:, from_y[:, None], from_x]  # [C, block height, block width]
        mixed[o, :, y[0] : y[-1] + 1, x[0] : x[-1] + 1] += weight[o, i, j, k] * patch
    return mixed


def ratio(source: ArrayLike, weight: ArrayLike, n_inputs: int) -> NDArray[np.float64]:
    """The share of every input in every output, all blocks counting alike.

    Args:
        source: [B_out, gh, gw, 2].
        weight: [B_out, gh, gw, 2].
        n_inputs: n.

    Returns:
        [B_out, n] float64; rows sum to 1.
    """
    source, weight = np.asarray(source), np.asarray(weight, np.float64)
    total = np.zeros((len(source), n_inputs))
    for o in range(len(source)):
        np.add.at(total[o], source[o].reshape(-1), weight[o].reshape(-1))
    return total / source[0, ..., 0].size
