"""The mixing figure: one colour per source everywhere, honest stripes, files written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import comix
import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="the picture needs matplotlib")

from comix import _tiles as tiles
from comix.picture import mixing_figure, save_figure
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image


def batch(count: int, channels: int = 3, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(2))


def mixed(images: torch.Tensor, grid: int = 4, partition: int = 20) -> comix.MixResult:
    aug = comix.CoMixup(grid=grid, partition=partition, generator=torch.Generator().manual_seed(3))
    return aug(images, torch.eye(len(images)))


def plan_result(images: torch.Tensor, source: list, weight: list) -> comix.MixResult:
    """A result for a hand-made plan of one output: source and weight [gh, gw, 2]."""
    plan = comix.MixPlan(
        torch.tensor([source]),
        torch.arange(len(source) * len(source[0])).reshape(1, len(source), -1, 1).repeat(1, 1, 1, 2),
        torch.tensor([weight], dtype=torch.float32),
    )
    saliency = comix.spectral_residual(images)
    return comix.MixResult(plan.mix(images), plan.ratio(len(images)), plan, saliency)


def draw_tile(draw: tiles.Draw) -> Axes:
    axes = Figure().add_subplot()
    draw(axes)
    return axes


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts if text.get_text()]


@pytest.mark.parametrize("count", [2, 3, 4, 9, 10, 11, 20])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_tiles_are_there(count: int, channels: int) -> None:
    images = batch(count, channels)
    result = mixed(images)
    figure = mixing_figure(
        images, result.saliency, result, [f"photo {i}" for i in range(count)], max_outputs=6
    )
    outputs = min(6, count)
    assert len(figure.axes) == 2 * count + 3 * outputs
    figure.canvas.draw()
    shown = texts(figure)
    for i in range(count):
        assert f"photo {i}" in shown
    assert "Inputs" in shown
    assert {"input", "saliency", "mask", "mixed", "shares"} <= set(shown)
    assert ("Mixed" if outputs == count else f"Mixed (first 6 of {count})") in shown


def test_no_tile_leaves_the_page_or_covers_another() -> None:
    images = batch(12, height=24, width=40)
    figure = mixing_figure(images, comix.spectral_residual(images), mixed(images))
    boxes = [axes.get_position() for axes in figure.axes]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= 1
        assert box.y1 <= 1
        for other in boxes[:i]:
            apart_x = box.x1 <= other.x0 + 1e-9 or other.x1 <= box.x0 + 1e-9
            assert apart_x or box.y1 <= other.y0 + 1e-9 or other.y1 <= box.y0 + 1e-9
    width, height = figure.get_size_inches()
    ratio = boxes[0].height * height / (boxes[0].width * width)
    assert ratio == pytest.approx(24 / 40)


def test_two_results_stand_side_by_side() -> None:
    images = batch(4)
    puzzle = comix.PuzzleMix(grid_choices=(8,), generator=torch.Generator().manual_seed(0))(
        images, torch.eye(4)
    )
    figure = mixing_figure(images, puzzle.saliency, {"PuzzleMix": puzzle, "Co-Mixup": mixed(images)})
    assert len(figure.axes) == 2 * 4 + 3 * 8
    headers = {t.get_text(): t.get_position() for t in figure.texts if t.get_fontweight() == "bold"}
    assert set(headers) == {"Inputs", "Saliency", "PuzzleMix", "Co-Mixup"}
    assert headers["PuzzleMix"][1] == headers["Co-Mixup"][1]
    assert headers["PuzzleMix"][0] == headers["Inputs"][0]
    assert headers["Co-Mixup"][0] == headers["Saliency"][0]


def test_colours_are_the_same_everywhere() -> None:
    images = batch(2)
    result = plan_result(
        images, [[[0, 0], [1, 1]], [[1, 1], [1, 1]]], [[[1, 0], [1, 0]], [[0, 1], [0.5, 0.5]]]
    )
    figure = mixing_figure(images, result.saliency, result)
    for i in (0, 1, 2, 3):  # two inputs, two maps
        colour = to_rgb(tiles.source_colour(i % 2))
        assert to_rgb(figure.axes[i].spines["left"].get_edgecolor()) == colour
        assert figure.axes[i].texts[0].get_text() == str(i % 2 + 1)
    mask, picture, shares = figure.axes[4:]
    pixels = mask.images[0].get_array()
    assert tuple(pixels[0, 0]) == to_rgb(tiles.source_colour(0))
    for corner in (pixels[0, -1], pixels[-1, 0], pixels[-1, -1]):
        assert tuple(corner) == to_rgb(tiles.source_colour(1))
    bars = {patch.get_facecolor()[:3]: patch.get_width() for patch in shares.patches}
    first, second = (bars[to_rgb(tiles.source_colour(i))] for i in (0, 1))
    assert second == pytest.approx(3 * first)
    assert [text.get_text() for text in shares.texts] == ["2", "75 %", "1", "25 %"]
    np.testing.assert_allclose(picture.images[0].get_array(), result.images[0].permute(1, 2, 0), atol=1e-7)
    assert not any("Striped" in text for text in texts(figure))


def test_twenty_colours_differ() -> None:
    colours = {tiles.source_colour(i) for i in range(20)}
    assert len(colours) == 20
    assert tiles.source_colour(20) == tiles.source_colour(0)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_stripes_are_as_wide_as_the_weights(share: float) -> None:
    source = np.array([[[0, 1], [2, 2]]])
    weight = np.array([[[share, 1 - share], [0.5, 0.5]]])
    axes = draw_tile(tiles.mask(source, weight))
    pixels = np.asarray(axes.images[0].get_array())
    left, right = np.split(pixels, 2, axis=1)
    assert np.isclose(left, to_rgb(tiles.source_colour(0))).all(-1).mean() == pytest.approx(share)
    assert np.isclose(left, to_rgb(tiles.source_colour(1))).all(-1).mean() == pytest.approx(1 - share)
    assert np.isclose(right, to_rgb(tiles.source_colour(2))).all()
    assert [text.get_text() for text in axes.texts] == ["3"]  # stripes carry no number


def test_mixed_blocks_are_explained() -> None:
    images = batch(2)
    result = plan_result(images, [[[0, 1]]], [[[0.5, 0.5]]])
    figure = mixing_figure(images, result.saliency, result)
    assert any(text.startswith("Striped blocks show two sources") for text in texts(figure))


def test_each_region_has_one_number_inside() -> None:
    source = np.zeros((4, 4, 2), dtype=np.int64)
    source[1:3, 1:3] = 1
    source[0, 3] = 1
    axes = draw_tile(tiles.mask(source, np.full((4, 4, 2), 0.5)))
    placed = {text.get_position(): text.get_text() for text in axes.texts}
    assert sorted(placed.values()) == ["1", "2", "2"]
    for (x, y), text in placed.items():
        assert source[int(y), int(x), 0] == int(text) - 1
    # The border runs around the square (8 segments) and the corner (2), and nowhere else.
    assert len(axes.collections[0].get_segments()) == 10


def test_a_fine_grid_has_no_numbers() -> None:
    axes = draw_tile(tiles.mask(np.zeros((16, 16, 2), dtype=np.int64), np.full((16, 16, 2), 0.5)))
    assert not axes.texts


def test_many_sources_are_summed_up() -> None:
    ratio = np.array([0.3, 0.2, 0.0, 0.15, 0.1, 0.1, 0.1, 0.05])
    axes = draw_tile(tiles.shares(ratio, 1.7, 1.2))
    assert tiles.share_lines(ratio) == 6
    assert len(axes.patches) == 5
    assert axes.texts[-1].get_text() == "2 others 15 %"


def test_percent() -> None:
    assert [tiles.percent(x) for x in (0.0, 0.001, 0.01, 0.125, 0.999, 1.0)] == [
        *("0 %", "<1 %", "1 %"),
        *("12 %", "100 %", "100 %"),
    ]


def test_value_ranges() -> None:
    images = batch(2)
    assert tiles.value_range(images) == (0.0, 1.0)
    assert tiles.value_range((images * 255).byte()) == (0.0, 255.0)
    low, high = tiles.value_range(images * 4 - 2)
    assert low == pytest.approx(-2, abs=0.01)
    assert high == pytest.approx(2, abs=0.01)
    images[0, 0, 0, 0] = float("nan")
    images[0, 0, 0, 1] = float("inf")
    assert tiles.value_range(images) == (0.0, 1.0)
    pixels = tiles.to_pixels(images, 0.0, 1.0)
    assert np.isfinite(pixels).all()
    assert tiles.to_pixels(batch(2, 5), 0.0, 1.0).shape == (2, 32, 32, 3)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
def test_any_dtype_and_coarse_or_empty_saliency(dtype: torch.dtype) -> None:
    images = (batch(3) * (255 if dtype == torch.uint8 else 1)).to(dtype)
    result = mixed(images)
    for saliency in (comix.pool_saliency(result.saliency, 4), torch.zeros(3, 32, 32)):
        mixing_figure(images, saliency, result).canvas.draw()


def test_names_are_plain_text_and_not_too_long() -> None:
    images = batch(2)
    figure = mixing_figure(images, comix.spectral_residual(images), mixed(images), ["$a_{$", "x" * 60])
    figure.canvas.draw()
    assert "$a_{$" in texts(figure)
    assert "x" * 17 + "..." in texts(figure)


def test_errors() -> None:
    images = batch(3)
    result = mixed(images)
    saliency = result.saliency
    with pytest.raises(ValueError, match=r"^saliency: expected 3 maps, one per image, got 2$"):
        mixing_figure(images, saliency[:2], result)
    with pytest.raises(ValueError, match=r"^names: expected 3 names, one per image, got 1$"):
        mixing_figure(images, saliency, result, ["a"])
    with pytest.raises(ValueError, match=r"^max_outputs: expected an int of at least 1, got 0$"):
        mixing_figure(images, saliency, result, max_outputs=0)
    with pytest.raises(ValueError, match=r"^result: expected at least one result, got an empty mapping$"):
        mixing_figure(images, saliency, {})
    with pytest.raises(TypeError, match=r"^images: expected a torch\.Tensor, got ndarray$"):
        mixing_figure(images.numpy(), saliency, result)


# ---- save_figure ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "A.PNG", "a.pdf", "a.svg", "a.jpg", "no_suffix"])
def test_save_writes_one_file(tmp_path: Path, name: str) -> None:
    figure = Figure(figsize=(2, 1), dpi=50)
    path = tmp_path / name
    save_figure(figure, path)
    assert os.listdir(tmp_path) == [name]
    if path.suffix.lower() in (".png", ".jpg", ""):
        with Image.open(path) as image:
            assert image.size == (100, 50)
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_save_replaces_but_never_damages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    figure = Figure(figsize=(1, 1))

    def half_way(file, format: str) -> None:
        file.write(b"half a picture")
        raise OSError("no space left")

    monkeypatch.setattr(figure, "savefig", half_way)
    with pytest.raises(OSError, match="no space left"):
        save_figure(figure, path)
    assert os.listdir(tmp_path) == ["a.png"]
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    save_figure(figure, str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert os.listdir(tmp_path) == ["a.png"]


def test_save_errors_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_figure(Figure(), tmp_path / "missing" / "a.png")
    with pytest.raises(ValueError, match="xyz"):
        save_figure(Figure(), tmp_path / "a.xyz")
    assert os.listdir(tmp_path) == []


def test_no_pyplot_and_no_matplotlib_before_it_is_needed() -> None:
    code = (
        "import sys, comix; assert 'matplotlib' not in sys.modules; assert 'PIL' not in sys.modules;"
        "import comix.picture; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_figure_draws_without_warnings() -> None:
    images = batch(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixing_figure(images, comix.spectral_residual(images), mixed(images)).canvas.draw()
