"""Pictures of a mix: who went in, what was salient, who ended up where, and in which shares.

Every source has one colour and one number, the same for its frame, its blocks and its share bars.
Needs matplotlib (``pip install "comix[cli]"``); draws without pyplot, so no display and no global state.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from comix import _checks as checks
from comix import _tiles as tiles
from comix._mixers import MixResult
from comix.mixing import MixPlan

# The layout, in inches.
_TILE, _GAP, _SECTION_GAP, _MARGIN = 1.7, 0.12, 0.45, 0.45
_HEADER, _CAPTION = 0.4, 0.22
_DPI = 120
_INPUTS_PER_ROW = 10
_NAME_LENGTH = 20


@dataclass
class _Cell:
    """A tile in its column. Cells of later sections stand further to the right."""

    column: int
    section: int
    draw: tiles.Draw
    caption: str = ""


@dataclass
class _Row:
    label: str
    height: float
    cells: list[_Cell] = field(default_factory=list)
    headers: list[tuple[int, int, str]] = field(default_factory=list)  # column, section, text


def mixing_figure(
    images: Tensor,  # [B, C, H, W]
    saliency: Tensor,  # [B, h, w]
    result: MixResult | Mapping[str, MixResult],
    names: Sequence[str] | None = None,
    max_outputs: int = 8,
) -> Figure:
    """Draw the inputs, their saliency, and for each output its mask, the mixed image and the shares.

    Args:
        images: Inputs [B, C, H, W] on any device, floating or uint8. Floating values outside 0..1 are scaled
            to their range. One and three channels are shown as they are, other counts as their mean.
        saliency: [B, h, w] >= 0, at the images' resolution or a coarser one.
        result: What ``comix.PuzzleMix`` or ``comix.CoMixup`` returned for these images (its ``images`` and
            ``plan`` are read), or a mapping from titles to such results, which are drawn side by side.
        names: One name per input, shown above it. Default None: numbers only.
        max_outputs: How many outputs of each result to draw, from the first on. Default 8.

    Returns:
        A matplotlib figure that no pyplot state knows; ``save_figure`` writes it.

    Raises:
        TypeError: If ``images`` or ``saliency`` is not a tensor of a suitable dtype.
        ValueError: If shapes or the number of names do not fit together, there is no result to draw, or
            ``max_outputs`` is below 1.

    Example:
        >>> import torch, comix
        >>> from comix.picture import mixing_figure
        >>> images = torch.rand(4, 3, 64, 64)
        >>> result = comix.CoMixup()(images, torch.eye(4))
        >>> figure = mixing_figure(images, comix.spectral_residual(images), result)
    """
    checks.check_images(images)
    checks.check_saliency(saliency)
    count = images.shape[0]
    if saliency.shape[0] != count:
        checks.fail("saliency", f"{count} maps, one per image", str(saliency.shape[0]))
    if names is not None and len(names) != count:
        checks.fail("names", f"{count} names, one per image", str(len(names)))
    checks.check_count(max_outputs, "max_outputs", 1)
    results = dict(result) if isinstance(result, Mapping) else {"Mixed": result}
    if not results:
        checks.fail("result", "at least one result", "an empty mapping")

    low, high = tiles.value_range(images)
    inputs = tiles.to_pixels(images, low, high)
    heat = tiles.glow(saliency, inputs)
    outputs = _output_rows(results, count, max_outputs, low, high)
    columns = max(min(count, _INPUTS_PER_ROW), 1 + max(cell.column for row in outputs for cell in row.cells))
    striped = any(_has_mixed_blocks(mix.plan) for mix in results.values())
    note = "Striped blocks show two sources, in the proportion of the stripes." if striped else ""
    return _page(_input_rows(inputs, heat, names, columns) + outputs, columns, note)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure to ``path`` in full or not at all; the suffix names the format (none: PNG).

    The picture is written beside its destination first and moved there when complete.

    Args:
        figure: Any matplotlib figure.
        path: Destination; its directory must exist. An existing file is replaced.

    Raises:
        OSError: If the directory is missing or cannot be written to.
        ValueError: If matplotlib does not know the format.

    Example:
        >>> import tempfile
        >>> from matplotlib.figure import Figure
        >>> from comix.picture import save_figure
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_figure(Figure(), f"{folder}/empty.png")
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # Not a tempfile: those are readable by their owner only, and the picture would stay so.
        with open(partial, "xb") as file:
            figure.savefig(file, format=path.suffix.removeprefix(".").lower() or "png")
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _input_rows(
    inputs: tiles.Pixels, heat: tiles.Pixels, names: Sequence[str] | None, columns: int
) -> list[_Row]:
    count, height, width, _ = inputs.shape
    tile_height = _TILE * height / width
    # Two results make the page wide: then inputs and saliency share a row, each above one result.
    wide = 2 * count <= columns
    column, section = (columns // 2, 1) if wide else (0, 0)
    rows = []
    for first in range(0, count, _INPUTS_PER_ROW):
        photos = _Row("" if wide else "input", tile_height)
        maps = photos if wide else _Row("saliency", tile_height)
        if first == 0:
            photos.headers.append((0, 0, "Inputs"))
        if wide:
            photos.headers.append((column, section, "Saliency"))
        for i in range(first, min(first + _INPUTS_PER_ROW, count)):
            name = "" if names is None else names[i]
            name = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 3] + "..."
            photos.cells.append(_Cell(i - first, 0, tiles.framed(inputs[i], i), name))
            maps.cells.append(_Cell(column + i - first, section, tiles.framed(heat[i], i)))
        rows += [photos] if wide else [photos, maps]
    return rows


def _output_rows(
    results: Mapping[str, MixResult], count: int, max_outputs: int, low: float, high: float
) -> list[_Row]:
    masks, mixes, shares = _Row("mask", 0.0), _Row("mixed", 0.0), _Row("shares", 0.0)
    ratios: list[tiles.Pixels] = []
    for section, (title, mix) in enumerate(results.items()):
        total, _, height, width = mix.images.shape
        masks.height = mixes.height = _TILE * height / width
        shown = min(total, max_outputs)
        header = title if shown == total else f"{title} (first {shown} of {total})"
        masks.headers.append((len(ratios), section, header))
        pictures = tiles.to_pixels(mix.images[:shown], low, high)
        source, weight = mix.plan.source.cpu().numpy(), mix.plan.weight.cpu().double().numpy()
        for i in range(shown):
            masks.cells.append(_Cell(len(ratios) + i, section, tiles.mask(source[i], weight[i])))
            mixes.cells.append(_Cell(len(ratios) + i, section, tiles.plain(pictures[i])))
        ratios += list(mix.plan.ratio(count)[:shown].cpu().double().numpy())  # each [B]
    shares.height = max(tiles.share_lines(ratio) for ratio in ratios) * tiles.SHARE_LINE
    for cell, ratio in zip(masks.cells, ratios, strict=True):
        shares.cells.append(_Cell(cell.column, cell.section, tiles.shares(ratio, _TILE, shares.height)))
    return [masks, mixes, shares]


def _has_mixed_blocks(plan: MixPlan) -> bool:
    two_sources = plan.source[..., 0] != plan.source[..., 1]
    return bool((two_sources & (plan.weight > 0).all(dim=-1)).any())


def _page(rows: list[_Row], columns: int, note: str) -> Figure:
    sections = 1 + max(cell.section for row in rows for cell in row.cells)
    width = 2 * _MARGIN + columns * (_TILE + _GAP) - _GAP + (sections - 1) * _SECTION_GAP
    above = [_HEADER * bool(row.headers) + _CAPTION * any(cell.caption for cell in row.cells) for row in rows]
    height = sum(above) + sum(row.height + _GAP for row in rows) + 2 * _GAP + _CAPTION * bool(note)
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)

    def left(column: int, section: int) -> float:
        return (_MARGIN + column * (_TILE + _GAP) + section * _SECTION_GAP) / width

    top = _GAP
    for row, space in zip(rows, above, strict=True):
        for column, section, text in row.headers:
            place = (left(column, section), 1 - (top + 0.1) / height)
            figure.text(*place, text, fontsize=14, fontweight="bold", va="top", color=tiles.INK)
        top += space
        bottom, middle = 1 - (top + row.height) / height, 1 - (top + row.height / 2) / height
        figure.text(0.2 / width, middle, row.label, rotation=90, va="center", color=tiles.INK)
        for cell in row.cells:
            x = left(cell.column, cell.section)
            place = (x, 1 - (top - 0.06) / height)
            figure.text(*place, cell.caption, va="bottom", color=tiles.INK, parse_math=False)
            axes = figure.add_axes((x, bottom, _TILE / width, row.height / height))
            axes.set_xticks([])
            axes.set_yticks([])
            cell.draw(axes)
        top += row.height + _GAP
    figure.text(left(0, 0), _GAP / height, note, fontsize=9, va="bottom", color=tiles.INK)
    return figure
