"""The tiles that ``picture`` arranges: a framed image, a glowing saliency map, a mask, a list of shares.

Each function returns what draws one tile on its axes, or the pixels for it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Draw = Callable[[Axes], None]
Pixels = NDArray[np.float64]

INK = "#333333"
SHARE_LINE = 0.2  # inches
_SHARE_LINES = 6
_STRIPES, _BLOCK = 2, 32  # stripes per mixed block of the mask, and the pixels a block is drawn with
_NUMBERED = 8  # blocks a side; a finer grid has no room for numbers

# Okabe and Ito's colours, which all readers can tell apart, then others that need their numbers.
_COLOURS = [
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442"),
    *("#8C564B", "#7F7F7F", "#393B79", "#637939", "#8C6D31", "#843C39", "#7B4173"),
    *("#6B6ECF", "#B5CF6B", "#E7BA52", "#D6616B", "#CE6DBD", "#17BECF"),
]


def source_colour(index: int) -> str:
    """Return the colour of input ``index`` as a hex string; colours repeat after twenty inputs."""
    return _COLOURS[index % len(_COLOURS)]


def framed(pixels: Pixels, index: int) -> Draw:
    """Draw an image in the frame of input ``index``, with its number in the corner."""

    def draw(axes: Axes) -> None:
        colour = source_colour(index)
        axes.imshow(pixels, aspect="auto")
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=3.5)
        axes.text(
            *(0.06, 0.94, str(index + 1)),
            transform=axes.transAxes,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "white"},
            ha="left",
            va="top",
            fontweight="bold",
            color=_ink_on(colour),
        )

    return draw


def plain(pixels: Pixels) -> Draw:
    """Draw an image without a frame."""

    def draw(axes: Axes) -> None:
        axes.imshow(pixels, aspect="auto")
        axes.set_frame_on(False)

    return draw


def mask(source: NDArray[np.int64], weight: Pixels) -> Draw:  # both [gh, gw, 2]
    """Draw which source each block comes from; stripes mean two sources, as wide as their weights."""

    def draw(axes: Axes) -> None:
        rows, columns, _ = source.shape
        palette = np.array([to_rgb(source_colour(i)) for i in range(int(source.max()) + 1)])
        fine = source.repeat(_BLOCK, 0).repeat(_BLOCK, 1)
        first = weight[..., 0].repeat(_BLOCK, 0).repeat(_BLOCK, 1)
        y, x = np.ogrid[: fine.shape[0], : fine.shape[1]]
        phase = ((x + y + 0.5) * _STRIPES / _BLOCK) % 1.0
        picture = palette[np.where(phase < first, fine[..., 0], fine[..., 1])]
        axes.imshow(picture, extent=(0, columns, rows, 0), aspect="auto")
        axes.set_frame_on(False)
        kinds = _kinds(source, weight)
        width = 1.5 if max(rows, columns) <= _NUMBERED else 0.5
        axes.add_collection(LineCollection(_borders(kinds), colors="white", linewidths=width))
        if max(rows, columns) <= _NUMBERED:
            for row, column, members in _middles(kinds):
                if len(members) == 1:  # stripes show their colours better without a number on top
                    ink = _ink_on(source_colour(members[0]))
                    place = (column + 0.5, row + 0.5, str(members[0] + 1))
                    axes.text(*place, ha="center", va="center", fontweight="bold", color=ink)

    return draw


def shares(ratio: Pixels, width: float, height: float) -> Draw:  # ratio [B]; the tile's size in inches
    """Draw one bar per source, the largest first, with its number and percentage."""

    def draw(axes: Axes) -> None:
        present = sorted(np.flatnonzero(ratio > 0), key=lambda i: -ratio[i])
        shown = present if len(present) <= _SHARE_LINES else present[: _SHARE_LINES - 1]
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for line, index in enumerate(shown):
            middle, length = (line + 0.5) * SHARE_LINE, ratio[index] * (width - 0.75)
            axes.text(0.09, middle, str(index + 1), ha="center", va="center", fontsize=9, color=INK)
            bar = Rectangle((0.22, middle - 0.065), length, 0.13, color=source_colour(int(index)))
            axes.add_patch(bar)
            axes.text(0.27 + length, middle, percent(ratio[index]), va="center", fontsize=9, color=INK)
        if rest := present[len(shown) :]:
            text = f"{len(rest)} others {percent(ratio[rest].sum())}"
            axes.text(0.22, (len(shown) + 0.5) * SHARE_LINE, text, va="center", fontsize=9, color=INK)

    return draw


def share_lines(ratio: Pixels) -> int:
    """Return how many lines ``shares`` needs."""
    return min(_SHARE_LINES, int((ratio > 0).sum()))


def percent(share: float) -> str:
    """Return a share of 0..1 as text: ``62 %``."""
    return "<1 %" if 0 < share < 0.0095 else f"{100 * share:.0f} %"


def value_range(images: Tensor) -> tuple[float, float]:
    """Return the values shown as black and white: 0..255 for uint8, else 0..1, widened to what occurs."""
    if not images.is_floating_point():
        return 0.0, 255.0
    finite = images.detach().float().nan_to_num(0.0, 0.0, 0.0)
    return min(0.0, float(finite.min())), max(1.0, float(finite.max()))


def to_pixels(images: Tensor, low: float, high: float) -> Pixels:  # [B, C, H, W] -> [B, H, W, 3] in 0..1
    """Return RGB pixels; other channel counts than one and three are shown as their mean."""
    images = ((images.detach().cpu().double() - low) / (high - low)).nan_to_num(0.0).clamp(0, 1)
    if images.shape[1] not in (1, 3):
        images = images.mean(dim=1, keepdim=True)
    pixels: Pixels = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    return pixels


def glow(saliency: Tensor, inputs: Pixels) -> Pixels:  # [B, h, w], [B, H, W, 3] -> [B, H, W, 3]
    """Return saliency as a glow over the darkened image, so that one sees what is salient."""
    maps = saliency.detach().cpu().double().nan_to_num(0.0)
    maps = F.interpolate(maps[:, None], size=inputs.shape[1:3], mode="bilinear", align_corners=False)[:, 0]
    # A few pixels far above the rest would leave everything else dark.
    top = np.quantile(maps.numpy(), 0.995, axis=(1, 2), keepdims=True)
    strength = (maps.numpy() / np.maximum(top, 1e-300)).clip(0, 1)[..., None]
    heat = np.asarray(colormaps["inferno"](strength[..., 0]))[..., :3]
    grey = inputs.mean(axis=-1, keepdims=True)
    pixels: Pixels = (0.35 * grey * (1 - strength) + heat * (0.25 + 0.75 * strength)).clip(0, 1)
    return pixels


def _ink_on(colour: str) -> str:
    red, green, blue = to_rgb(colour)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.6 else "black"


Kind = tuple[tuple[int, float], ...]  # the sources of a block with their weights, in order of their index


def _kinds(source: NDArray[np.int64], weight: Pixels) -> list[list[Kind]]:
    kinds = []
    for sources, weights in zip(source.tolist(), weight.tolist(), strict=True):
        row = []
        for pair, shares_of in zip(sources, weights, strict=True):
            total: dict[int, float] = {}
            for index, part in zip(pair, shares_of, strict=True):
                total[index] = total.get(index, 0.0) + part
            row.append(tuple(sorted((index, part) for index, part in total.items() if part > 0)))
        kinds.append(row)
    return kinds


def _borders(kinds: list[list[Kind]]) -> list[list[tuple[int, int]]]:
    """Return the line segments between neighbouring blocks that differ."""
    rows, columns = range(len(kinds)), range(len(kinds[0]))
    upright = [[(c, r), (c, r + 1)] for r in rows for c in columns[1:] if kinds[r][c] != kinds[r][c - 1]]
    level = [[(c, r), (c + 1, r)] for r in rows[1:] for c in columns if kinds[r][c] != kinds[r - 1][c]]
    return upright + level


def _middles(kinds: list[list[Kind]]) -> list[tuple[int, int, list[int]]]:
    """Return for every connected region of equal blocks its most central block, and its sources."""
    middles = []
    left = {(r, c) for r in range(len(kinds)) for c in range(len(kinds[0]))}
    while left:
        region = [min(left)]
        left.remove(region[0])
        kind = kinds[region[0][0]][region[0][1]]
        for r, c in region:  # grows while it is walked
            for near in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
                if near in left and kinds[near[0]][near[1]] == kind:
                    left.remove(near)
                    region.append(near)
        centre = np.mean(region, axis=0)
        row, column = min(region, key=lambda block: (float(np.square(block - centre).sum()), block))
        middles.append((row, column, [index for index, _ in kind]))
    return middles
