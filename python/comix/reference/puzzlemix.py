"""PuzzleMix: from two images and their saliency to the energy of a mask.

A mask gives every block of a gh x gw grid its share t of the partner image, t = k/(L-1) for label k of L. The
mask should show what is salient (unary), cut where the images agree (edges), and show about `lam` of the own
image (prior):

    E(t) = sum_p (1 - t_p) K1[p] + t_p K2[p] + eta/(gh gw) * prior(t_p) + sum_edges (g + beta^) (t_p - t_q)^2

Guarantee: none of its own; the energy is convex in the label differences wherever g + beta^ >= 0 (gamma <= 1
and images in 0..1), so its optimum is one minimum cut. Cost: linear in the pixels.

Source: Kim, Choo, Song, "Puzzle Mix: Exploiting Saliency and Local Statistics for Optimal Mixup", ICML 2020,
section 4 (objective; data and label smoothness, prior) and its official code for the constants. Where a grid
does not divide the image, comix's rule: block i of g along n pixels covers pixels ceil(i n/g) .. ceil((i+1)
n/g) - 1.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]


class GridEnergy(NamedTuple):
    """A batch of grid energies in the order that every solver takes them."""

    unary: Float  # [B, gh, gw, L]
    pairwise: Float  # [L, L]
    weight_v: Float  # [B, gh-1, gw]
    weight_h: Float  # [B, gh, gw-1]


def grid_size(grid: int | tuple[int, int]) -> tuple[int, int]:
    """(gh, gw) of a grid given as one number or two."""
    return (grid, grid) if isinstance(grid, int) else (grid[0], grid[1])


def block_edges(n_pixels: int, n_blocks: int) -> list[int]:
    """First pixel of every block along an axis, and n_pixels at the end.

    Pixel y lies in block y * n_blocks // n_pixels.

    Raises:
        ValueError: there are more blocks than pixels.
    """
    if not 1 <= n_blocks <= n_pixels:
        raise ValueError(f"{n_pixels} pixels cannot be cut into {n_blocks} blocks")
    return [-(-i * n_pixels // n_blocks) for i in range(n_blocks + 1)]


def area_means(values: Float, rows: list[int], columns: list[int]) -> Float:
    """Mean of every cell between the given rows and columns: [..., H, W] -> [..., cells, cells]."""
    cells = np.zeros((*values.shape[:-2], len(rows) - 1, len(columns) - 1))
    for i, j in np.ndindex(cells.shape[-2:]):
        cells[..., i, j] = values[..., rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean((-2, -1))
    return cells


def block_saliency(saliency: ArrayLike, grid: int | tuple[int, int]) -> Float:
    """Area mean of the saliency in every block, each map scaled to sum 1.

    A map that is zero everywhere or has a non-finite value says nothing: it becomes uniform.

    Args:
        saliency: [..., H, W], not negative.
        grid: blocks per side, or (gh, gw).

    Returns:
        [..., gh, gw] float64.
    """
    saliency = np.asarray(saliency, np.float64)
    height, width = saliency.shape[-2:]
    gh, gw = grid_size(grid)
    useful = np.isfinite(saliency).all((-2, -1), keepdims=True)  # [..., 1, 1]
    useful = useful & (np.where(useful, saliency, 0).sum((-2, -1), keepdims=True) > 0)
    blocks = area_means(np.where(useful, saliency, 1.0), block_edges(height, gh), block_edges(width, gw))
    return np.asarray(blocks / blocks.sum((-2, -1), keepdims=True))


def cells_per_block(n_pixels: int, n_blocks: int, neigh_size: int) -> int:
    """How many cells of about neigh_size pixels the neighbour terms see in a block, along one axis."""
    smallest = max(n_pixels // n_blocks, 1)
    return smallest // min(neigh_size, smallest)


def cell_edges(n_pixels: int, n_blocks: int, neigh_size: int) -> list[int]:
    """First pixel of every cell along an axis, and n_pixels at the end; all blocks have as many cells."""
    k = cells_per_block(n_pixels, n_blocks, neigh_size)
    blocks = block_edges(n_pixels, n_blocks)
    first = [start + -(-j * (stop - start) // k) for start, stop in pairwise(blocks) for j in range(k)]
    return [*first, n_pixels]


def neighbour_terms(
    a: ArrayLike, b: ArrayLike, grid: int | tuple[int, int], neigh_size: int = 4
) -> tuple[Float, Float]:
    """How much image a, shown in a block, differs across the border from image b, shown in the next block.

    Only the cells along the border enter: the last row of cells of the upper block, the first row of the
    lower one.

    Args:
        a: [..., C, H, W] image of the upper or left block, in 0..1.
        b: [..., C, H, W] image of the lower or right block, in 0..1.
        grid: blocks per side, or (gh, gw).
        neigh_size: side of a cell in pixels; a block smaller than this is one cell.

    Returns:
        Mean absolute differences [..., gh-1, gw] across vertical and [..., gh, gw-1] across horizontal edges.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    height, width = a.shape[-2:]
    gh, gw = grid_size(grid)
    ky, kx = cells_per_block(height, gh, neigh_size), cells_per_block(width, gw, neigh_size)
    rows, columns = cell_edges(height, gh, neigh_size), cell_edges(width, gw, neigh_size)
    a, b = area_means(a, rows, columns), area_means(b, rows, columns)  # [..., C, gh*ky, gw*kx]

    across = np.abs(a[..., ky - 1 : -1 : ky, :] - b[..., ky::ky, :])  # [..., C, gh-1, gw*kx]
    vertical = across.reshape(*across.shape[:-1], gw, kx).mean((-4, -1))  # [..., gh-1, gw]
    across = np.abs(a[..., :, kx - 1 : -1 : kx] - b[..., :, kx::kx])  # [..., C, gh*ky, gw-1]
    horizontal = across.reshape(*across.shape[:-2], gh, ky, gw - 1).mean((-4, -2))  # [..., gh, gw-1]
    return vertical, horizontal


def prior(lam: float, n_labels: int) -> Float:
    """-log of the binomial probability of each label; every part of a block is the own image with chance lam.

    Args:
        lam: share of the own image, in 0..1.
        n_labels: L >= 2.

    Returns:
        [L] float64.
    """
    n = n_labels - 1
    chances = [math.comb(n, k) * lam ** (n - k) * (1 - lam) ** k for k in range(n + 1)]
    return np.array([-math.log(chance + 1e-8) for chance in chances])


def reparametrise(
    cost_own: Float, cost_partner: Float, edges: dict[str, tuple[Float, Float]]
) -> tuple[Float, Float, Float, Float]:
    """Move what an edge cost says about single blocks into their unary costs.

    Args:
        cost_own: [B, gh, gw] cost paid with the share of the own image.
        cost_partner: [B, gh, gw] cost paid with the share of the partner.
        edges: costs ([B, gh-1, gw], [B, gh, gw-1]) of a vertical and a horizontal edge between a block that
            shows image i and a next one that shows image j, under the key "ij"; 1 is the own image, 0 the
            partner.

    Returns:
        K1 and K2 [B, gh, gw], and the remaining edge weights g [B, gh-1, gw] and [B, gh, gw-1].
    """
    k1, k2 = cost_own.copy(), cost_partner.copy()
    weights = []
    for axis, (upper, lower) in enumerate(
        [(np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:, :, :-1], np.s_[:, :, 1:])]
    ):
        h11, h10, h01, h00 = (edges[key][axis] for key in ("11", "10", "01", "00"))
        k1[upper] += (h10 + h11) / 2
        k2[upper] += (h01 + h00) / 2
        k1[lower] += (h01 + h11) / 2
        k2[lower] += (h10 + h00) / 2
        weights.append((h10 + h01 - h11 - h00) / 2)
    return k1, k2, weights[0], weights[1]


def mask_energy(
    k1: Float, k2: Float, weight_v: Float, weight_h: Float, lam: ArrayLike, eta: float, n_labels: int
) -> GridEnergy:
    """The grid energy of a mask from the costs K1 and K2 and the full edge weights g + beta^.

    Args:
        k1: [B, gh, gw] cost of label 0, the own image.
        k2: [B, gh, gw] cost of label L-1, the partner.
        weight_v: [B, gh-1, gw].
        weight_h: [B, gh, gw-1].
        lam: scalar or [B], share of the own image that the prior expects.
        eta: weight of the prior.
        n_labels: L.
    """
    n_images, gh, gw = k1.shape
    t = np.linspace(0, 1, n_labels)  # [L] share of the partner
    lams = np.broadcast_to(np.asarray(lam, np.float64), (n_images,))
    priors = np.stack([prior(float(one), n_labels) for one in lams])[:, None, None, :]  # [B, 1, 1, L]
    unary = (1 - t) * k1[..., None] + t * k2[..., None] + eta * priors / (gh * gw)
    return GridEnergy(unary, np.subtract.outer(t, t) ** 2, weight_v, weight_h)


def puzzlemix_energy(
    images: ArrayLike,
    saliency: ArrayLike,
    index: ArrayLike,
    lam: ArrayLike,
    *,
    grid: int | tuple[int, int] = 4,
    n_labels: int = 3,
    beta: float = 1.2,
    gamma: float = 0.5,
    eta: float = 0.2,
    neigh_size: int = 4,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> GridEnergy:
    """The energy whose minimum is the PuzzleMix mask of every image and its partner.

    Args:
        images: [B, C, H, W], normalised as (image - mean) / std.
        saliency: [B, H, W], not negative.
        index: [B] partner of every image.
        lam: scalar or [B], share of the own image that the prior expects.
        grid: blocks per side, or (gh, gw).
        n_labels: L >= 2; label k gives the partner the share k/(L-1) of the block.
        beta: weight of the smoothness of the mask.
        gamma: weight of the smoothness of the image, relative to beta.
        eta: weight of the prior.
        neigh_size: side in pixels of the cells that are compared across block borders.
        mean: [C] or scalar; None: images are in 0..1.
        std: [C] or scalar; None: images are in 0..1.

    Returns:
        unary [B, gh, gw, L], pairwise [L, L], weight_v [B, gh-1, gw], weight_h [B, gh, gw-1], all float64.
    """
    gh, gw = grid_size(grid)
    index = np.asarray(index)
    own = np.asarray(images, np.float64)  # [B, C, H, W]
    scale = np.asarray(1.0 if std is None else std, np.float64).reshape(-1, 1, 1)  # [C or 1, 1, 1]
    shift = np.asarray(0.0 if mean is None else mean, np.float64).reshape(-1, 1, 1)
    own = own * scale + shift
    partner = own[index]
    salient = block_saliency(saliency, grid)  # [B, gh, gw]

    beta_hat = beta / 16 / math.sqrt(gh * gw)
    shown = {"1": own, "0": partner}
    edges = {}
    for key in ("11", "10", "01", "00"):
        vertical, horizontal = neighbour_terms(shown[key[0]], shown[key[1]], grid, neigh_size)
        edges[key] = (beta_hat * gamma * vertical, beta_hat * gamma * horizontal)
    # Showing the own image loses the saliency of the partner, and the other way round.
    k1, k2, g_v, g_h = reparametrise(salient[index], salient, edges)
    return mask_energy(k1, k2, g_v + beta_hat, g_h + beta_hat, lam, eta, n_labels)


def puzzlemix_integers(
    unary: Float, pairwise: Float, weight_v: Float, weight_h: Float
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """The arguments of the official code's cut for one image, which it gives to `gco_integers`.

    Args:
        unary: [g, g, L].
        pairwise: [L, L].
        weight_v: [g-1, g], rounded to float32 before it is cut to an integer.
        weight_h: [g, g-1], likewise.
    """
    scale = 1000 * unary.shape[0] * unary.shape[1]
    vertical = (np.float32(scale) * weight_v.astype(np.float32)).astype(np.int32)
    horizontal = (np.float32(scale) * weight_h.astype(np.float32)).astype(np.int32)
    return (scale * unary).astype(np.int32), pairwise.astype(np.float32), vertical, horizontal
