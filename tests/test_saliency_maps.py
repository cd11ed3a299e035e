"""Saliency from the picture alone, and its mean per block: against plain float64 NumPy loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from comix import _checks as checks
from comix.saliency import pool_saliency, spectral_residual
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]

# ---- spectral_residual -----------------------------------------------------------------------------------


def numpy_spectral_residual(image: np.ndarray) -> np.ndarray:
    """Float64 version for images that need no resizing: [C, H, W] -> [H, W]."""
    grey = image.astype(np.float64).mean(axis=0)
    spectrum = np.fft.fft2(grey)
    log_amplitude = np.log(np.maximum(np.abs(spectrum), 1e-6 * np.abs(spectrum).max()))
    around = [np.roll(log_amplitude, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    residual = log_amplitude - np.mean(around, axis=0)
    saliency = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    sigma = 2.5 * max(grey.shape) / 64
    radius = math.ceil(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    for axis in (0, 1):
        padding = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(saliency, padding, mode="edge")
        saliency = np.apply_along_axis(np.convolve, axis, padded, kernel / kernel.sum(), "valid")
    return saliency


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 32, 48), (4, 17, 9), (3, 5, 64)])
def test_spectral_residual_against_numpy(shape: tuple[int, int, int]) -> None:
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(3))
    saliency = spectral_residual(images)
    assert saliency.shape == (2, *shape[1:])
    for ours, image in zip(saliency, images, strict=True):
        expected = numpy_spectral_residual(image.numpy())
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-3, atol=expected.max() * 1e-4)


@pytest.mark.parametrize(("size", "small"), [((80, 32), (64, 26)), ((37, 96), (25, 64)), ((128, 1), (64, 1))])
def test_spectral_residual_of_large_images_is_that_of_small_ones(
    size: tuple[int, int], small: tuple[int, int]
) -> None:
    """The longer side shrinks to 64 pixels, the shorter one to the nearest number."""
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3))
    maps = spectral_residual(F.interpolate(images, size=small, mode="area"))
    expected = F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(
        spectral_residual(images), expected, rtol=1e-3, atol=1e-4 * float(expected.max())
    )


def test_spectral_residual_finds_the_odd_one_out() -> None:
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    scene = 0.5 + 0.25 * torch.sin(2 * torch.pi * x / 8) * torch.sin(2 * torch.pi * y / 8)
    scene[80:96, 24:40] = 1.0
    pooled = pool_saliency(spectral_residual(scene.expand(1, 3, 128, 128)), 4)[0]
    assert divmod(int(pooled.argmax()), 4) in [(2, 0), (2, 1)]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (63, 64), (65, 64), (300, 40), (2, 500)])
@pytest.mark.parametrize("channels", [1, 3, 13])
def test_spectral_residual_takes_any_size(size: tuple[int, int], channels: int) -> None:
    saliency = spectral_residual(torch.rand(2, channels, *size))
    assert saliency.shape == (2, *size)
    assert saliency.dtype == torch.float32
    assert saliency.isfinite().all()
    assert (saliency >= 0).all()


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-30, 1e30])
def test_spectral_residual_of_a_constant_image(value: float) -> None:
    saliency = spectral_residual(torch.full((1, 3, 40, 30), value))
    assert saliency.isfinite().all()
    assert (saliency >= 0).all()


def test_spectral_residual_dtypes_and_repeatability() -> None:
    images = (random_maps(2, 3, 48, 40) * 255).byte()
    saliency = spectral_residual(images)
    assert torch.equal(saliency, spectral_residual(images))
    assert torch.equal(saliency, spectral_residual(images.float()))
    assert torch.equal(saliency, spectral_residual(images.to(memory_format=torch.channels_last)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(saliency, spectral_residual(images))
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        other = spectral_residual(images.to(dtype))
        assert other.dtype == torch.float32
        torch.testing.assert_close(other, saliency, rtol=1e-3, atol=1e-6)
    # Each image stands alone, and its scale does not matter.
    torch.testing.assert_close(spectral_residual(images[1:])[0], saliency[1], rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(spectral_residual(images / 255), saliency, rtol=1e-3, atol=1e-6)


def test_spectral_residual_errors() -> None:
    with pytest.raises(TypeError, match=r"^images: expected a torch\.Tensor, got list$"):
        spectral_residual([1])
    with pytest.raises(TypeError, match=r"^images: expected dtype .*, got int64$"):
        spectral_residual(torch.zeros(1, 3, 8, 8, dtype=torch.long))
    with pytest.raises(ValueError, match=r"^images: expected shape \[B, C, H, W\], got \[8, 8\]$"):
        spectral_residual(torch.zeros(8, 8))


# ---- pool_saliency ---------------------------------------------------------------------------------------


def numpy_pool(saliency: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The documented rule, pixel by pixel in float64: [B, H, W] -> [B, rows, columns]."""
    count, height, width = saliency.shape
    pooled = np.zeros((count, rows, columns))
    for b in range(count):
        for r in range(rows):
            for c in range(columns):
                top, bottom = math.ceil(r * height / rows), math.ceil((r + 1) * height / rows)
                left, right = math.ceil(c * width / columns), math.ceil((c + 1) * width / columns)
                pooled[b, r, c] = saliency[b, top:bottom, left:right].astype(np.float64).mean()
        pooled[b] /= pooled[b].sum()
    return pooled


def random_maps(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("size", "grid"),
    [((8, 8), 2), ((32, 32), 4), ((28, 28), 8), ((30, 44), 7), ((7, 5), (7, 5)), ((9, 16), (1, 5))],
)
def test_pool_is_the_loop(device: str, size: tuple[int, int], grid: int | tuple[int, int]) -> None:
    rows, columns = (grid, grid) if isinstance(grid, int) else grid
    for dtype, tolerance in ((torch.float32, 2e-6), (torch.float64, 1e-14)):
        maps = random_maps(3, *size, dtype=dtype)
        pooled = pool_saliency(maps.to(device), grid)
        assert pooled.shape == (3, rows, columns)
        assert pooled.dtype == dtype
        assert pooled.device.type == device
        assert pooled.is_contiguous()
        np.testing.assert_allclose(
            pooled.cpu().numpy(), numpy_pool(maps.numpy(), rows, columns), rtol=tolerance
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.data())
def test_pool_partitions_the_pixels(count: int, height: int, width: int, data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    scale = data.draw(st.sampled_from([1e-37, 1e-20, 1.0, 1e20, 1e37]))
    maps = random_maps(count, height, width) * scale
    pooled = pool_saliency(maps, (rows, columns))
    assert (pooled >= 0).all()
    torch.testing.assert_close(pooled.sum(dim=(1, 2)), torch.ones(count), rtol=1e-5, atol=0)
    expected = numpy_pool(maps.double().numpy(), rows, columns)
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=1e-5, atol=1e-9)
    # A map with one bright pixel lights up exactly one block: the one whose range holds it.
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    spot = torch.zeros(1, height, width)
    spot[0, y, x] = scale
    lit = pool_saliency(spot, (rows, columns))[0]
    assert lit[y * rows // height, x * columns // width] == 1
    assert lit.sum() == 1


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-30, 1e30, 3e38])
def test_pool_does_not_care_about_scale(scale: float) -> None:
    maps = torch.ones(1, 64, 64)
    maps[:, :16] = 0.5
    pooled = pool_saliency(maps * scale, 2)
    if scale > 1e-40:  # below, half of a denormal number rounds
        torch.testing.assert_close(pooled, pool_saliency(maps, 2))
    assert pooled.isfinite().all()
    torch.testing.assert_close(pooled.sum(), torch.tensor(1.0))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, "zero", "all nan", "all inf"])
@pytest.mark.parametrize("grid", [4, 3])
def test_maps_that_say_nothing_become_uniform(device: str, bad: float | str, grid: int) -> None:
    maps = random_maps(3, 8, 8)
    if isinstance(bad, str):
        maps[1] = {"zero": 0.0, "all nan": math.nan, "all inf": math.inf}[bad]
    else:
        maps[1, 7, 7] = bad
    pooled = pool_saliency(maps.to(device), grid).cpu()
    assert torch.equal(pooled[1], torch.full((grid, grid), 1 / grid**2))
    others = torch.tensor([0, 2])
    torch.testing.assert_close(pooled[others], pool_saliency(maps[others], grid))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pool_of_half_maps_computes_in_float32(dtype: torch.dtype) -> None:
    maps = (random_maps(2, 224, 224) * 60000).to(dtype)  # a block's sum would overflow float16
    pooled = pool_saliency(maps, 4)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, pool_saliency(maps.float(), 4), rtol=0, atol=0)


def test_pool_ignores_autocast_precision_switches_and_grad_modes() -> None:
    maps = random_maps(2, 48, 48)
    expected = pool_saliency(maps, 5)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
            pooled = pool_saliency(maps, 5)
    finally:
        torch.set_float32_matmul_precision(before)
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled, expected)
    assert torch.equal(pool_saliency(maps, 5), expected)


def test_pool_takes_any_layout_and_writes_nothing() -> None:
    maps = random_maps(2, 30, 20)
    copy = maps.clone()
    expected = pool_saliency(maps, (4, 3))
    assert torch.equal(pool_saliency(maps.transpose(1, 2).contiguous().transpose(1, 2), (4, 3)), expected)
    assert torch.equal(pool_saliency(maps[:1].expand(2, -1, -1), [4, 3])[1], expected[0])
    assert torch.equal(maps, copy)


@pytest.mark.parametrize(
    ("saliency", "grid", "error", "text"),
    [
        ([[1.0]], 1, TypeError, r"saliency: expected a torch\.Tensor, got list"),
        (torch.ones(1, 4, 4).long(), 2, TypeError, r"saliency: expected dtype float16, .*, got int64"),
        (torch.ones(4, 4), 2, ValueError, r"saliency: expected shape \[B, H, W\], got \[4, 4\]"),
        (torch.ones(1, 0, 4), 2, ValueError, r"saliency: .*at least one pixel, got shape \[1, 0, 4\]"),
        (torch.tensor([[[1.0, -0.5]]]), 1, ValueError, r"saliency: expected values >= 0, got -0\.5"),
        (torch.ones(1, 4, 6), 5, ValueError, r"grid: expected no more blocks than pixels \(4 x 6\), got 5"),
        (torch.ones(1, 4, 6), (4, 7), ValueError, r"grid: expected no more blocks than .*, got \(4, 7\)"),
        (torch.ones(1, 4, 6), 0, ValueError, r"grid: expected at least 1 block per side, got 0"),
        (torch.ones(1, 4, 6), 2.0, TypeError, r"grid: expected an int or a pair of ints, got 2\.0"),
        (torch.ones(1, 4, 6), (1, 2, 3), TypeError, r"grid: expected an int or a pair .*, got \(1, 2, 3\)"),
    ],
)
def test_pool_errors(saliency: object, grid: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}$"):
        pool_saliency(saliency, grid)


def test_pool_without_value_checks_stays_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    # What happens on a GPU outside comix.debug(): negative values are not noticed, and do no harm.
    monkeypatch.setattr(checks, "values_checked", lambda tensor: False)
    for value in (-1.0, -math.inf):
        maps = random_maps(2, 8, 8)
        maps[1, 2, 3] = value
        assert pool_saliency(maps, 4).isfinite().all()
    assert torch.equal(pool_saliency(torch.full((1, 8, 8), -1.0), 2), torch.full((1, 2, 2), 0.25))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_does_not_wait_and_can_be_captured() -> None:
    images = torch.rand(4, 3, 50, 40, device="cuda")
    expected = pool_saliency(spectral_residual(images), 7)  # also warms up cuFFT
    torch.cuda.set_sync_debug_mode("error")
    try:
        pooled = pool_saliency(spectral_residual(images), 7)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(pooled, expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = pool_saliency(spectral_residual(images), 7)
    images.copy_(torch.rand_like(images))
    graph.replay()
    torch.testing.assert_close(captured, pool_saliency(spectral_residual(images), 7))
    with checks.debug(), pytest.raises(ValueError, match=r"^saliency: expected values >= 0, got -1$"):
        pool_saliency(torch.full((1, 4, 4), -1.0, device="cuda"), 2)
