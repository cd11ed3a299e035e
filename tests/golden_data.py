"""Access to the stored outputs of the official code in `tests/golden` (see `fields` in its index.json).

    for case in cases("cut_grid"):          # one dict of settings and recorded values per case
        arrays = load("cut_grid", case["id"])  # its arrays by field name

The files: cut_grid, puzzlemix_label, puzzlemix_full, transport, comixup_label, comixup_full.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "golden"
FILES = ("cut_grid", "puzzlemix_label", "puzzlemix_full", "transport", "comixup_label", "comixup_full")

Case = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


@functools.cache
def _index() -> dict[str, Any]:
    with open(FOLDER / "index.json", encoding="utf-8") as file:
        return dict(json.load(file)["files"])


@functools.cache
def _archive(file: str) -> Any:
    return np.load(FOLDER / f"{_stem(file)}.npz")


def _stem(file: str) -> str:
    stem = file.removesuffix(".npz")
    if stem not in FILES:
        raise ValueError(f"unknown golden file {file!r}; there are {', '.join(FILES)}")
    return stem


def cases(file: str) -> list[Case]:
    """Settings and recorded values of every case of a file, in stored order; case["id"] names it."""
    return [dict(case) for case in _index()[f"{_stem(file)}.npz"]["cases"]]


def case(file: str, case_id: str) -> Case:
    """The settings of one case."""
    return next(c for c in cases(file) if c["id"] == case_id)


def fields(file: str) -> dict[str, str]:
    """What each array of a file holds: dtype, shape and meaning, by field name."""
    return dict(_index()[f"{_stem(file)}.npz"]["fields"])


def load(file: str, case_id: str) -> Arrays:
    """The arrays of one case by field name; fresh copies, so a test may write to them."""
    archive = _archive(file)
    prefix = f"{case_id}."
    names = [name for name in archive.files if name.startswith(prefix)]
    if not names:
        raise ValueError(f"no case {case_id!r} in {file}")
    return {name.removeprefix(prefix): archive[name].copy() for name in names}


def ids(chosen: list[Case]) -> list[str]:
    """Names for pytest.mark.parametrize(..., ids=ids(...))."""
    return [str(c["id"]) for c in chosen]


# --- predicates on case records -------------------------------------------------------------------------


def cut_size(case: Case) -> int:
    """Sites times labels of a cut_grid case."""
    return int(case["H"] * case["W"] * case["L"])


def has_optimum(case: Case) -> bool:
    """Whether an exact optimum of a cut_grid case is stored."""
    return "E_opt" in case


def has_expansion(case: Case) -> bool:
    """Whether the pairwise table of a cut_grid case is a metric, so that expansion labels are stored."""
    return "E_exp" in case


def has_own_ties(case: Case) -> bool:
    """Whether replaying a comixup_label case needs no recorded members: lowest index first gives the same."""
    return bool(case["same_with_lowest_index_ties"])


# --- views of stored fields in comix's terms ------------------------------------------------------------


def comixup_threshold(case: Case) -> str:
    """The threshold= name of what the official code evaluates (its hard one has a precedence slip)."""
    return "hard_official" if case["thres_type"] == "hard" else "soft"


def labels_from_mask2(mask2: NDArray[Any]) -> NDArray[np.int64]:
    """The two inputs of every block, ascending, from twice the mask.

    Args:
        mask2: [..., n] values 0, 1, 2 that sum to 2 along the last axis.

    Returns:
        [..., 2] int64; equal entries where one input fills the block.
    """
    first = np.argmax(mask2 > 0, axis=-1)
    last = mask2.shape[-1] - 1 - np.argmax(mask2[..., ::-1] > 0, axis=-1)
    return np.stack([first, last], axis=-1).astype(np.int64)


def normalised_images(case: Case, arrays: Arrays) -> NDArray[np.float32]:
    """Normalised images of a puzzlemix_full or comixup_full case, as the official code received them.

    Returns:
        [B, 3, W, W] float32, (image/255 - mean)/std.
    """
    mean = np.asarray(case["mean"], np.float32)[:, None, None]
    std = np.asarray(case["std"], np.float32)[:, None, None]
    image: NDArray[np.float32] = arrays["image"].astype(np.float32) / np.float32(255)
    return (image - mean) / std
