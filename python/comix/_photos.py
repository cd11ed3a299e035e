"""Photographs of any size and mode as square RGB tensors, for the command line. Needs Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError


def read_photo(path: Path, size: int) -> torch.Tensor:
    """Read an image file: upright, on white, its centre square at ``size`` pixels a side.

    Args:
        path: Any format and mode that Pillow reads; of an animation, the first frame.
        size: Pixels per side; the shorter side of the photo is resized to it, the longer one cropped.

    Returns:
        float32 [3, size, size] in 0..1.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If it is not an image, or a damaged one.
    """
    if not path.exists():
        raise FileNotFoundError("no such file")
    if not path.is_file():
        raise OSError("not a file")
    try:
        with warnings.catch_warnings():  # a large photo is no attack: the user named it
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return fit_square(np.asarray(_to_rgb(ImageOps.exif_transpose(image))), size)
    except UnidentifiedImageError:
        raise ValueError("not an image that Pillow can read") from None
    except PermissionError:
        raise OSError("permission denied") from None
    except Exception as error:  # damaged files make Pillow's decoders raise nearly anything
        raise ValueError(f"damaged image: {error}") from None


def fit_square(pixels: NDArray[np.uint8], size: int) -> torch.Tensor:  # [H, W, 3] -> [3, size, size]
    """Resize the shorter side of an RGB image to ``size`` and cut out the centre; float32 in 0..1."""
    square = ImageOps.fit(Image.fromarray(pixels), (size, size), method=Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        white = 65535.0 if image.mode.startswith("I;16") else None
        image = Image.fromarray(_to_bytes(np.asarray(image, dtype=np.float64), white))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _to_bytes(values: NDArray[Any], white: float | None) -> NDArray[np.uint8]:
    """Scale 16 or 32 bits per pixel to 8; Pillow would cut them off at 255."""
    values = np.nan_to_num(values, posinf=0.0).clip(min=0)
    if white is None:  # the file does not say: take the smallest usual value that nothing exceeds
        white = next((usual for usual in (1.0, 255.0, 65535.0) if values.max() <= usual), float(values.max()))
    levels: NDArray[np.uint8] = (values * (255 / white)).round().astype(np.uint8)
    return levels
