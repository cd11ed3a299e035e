"""Moving salient blocks to where a mask shows them, as a permutation of the blocks.

The costs are ::

    cost(i, j) = eps * C(i, j) - saliency[i] * [mask[j] > 0],  block i landing at position j
    C(i, j) = squared distance of the blocks / (max(gh, gw) - 1)^2

Kim, Choo & Song, "Puzzle Mix", ICML 2020, section 4.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from comix import _checks as checks
from comix import _native as native
from comix._on_cuda import transport as on_cuda
from comix._solver_arrays import SolverArrays

METHODS = ("exact", "greedy")

_READY = (torch.float32, torch.float64)  # what the native code reads as it is
_NATIVE = (np.dtype(np.float32), np.dtype(np.float64))


_Map = np.ndarray[Any, Any] | torch.Tensor  # an array on the CPU, a tensor on CUDA


def _floats(arrays: SolverArrays, value: Any, name: str) -> _Map:
    """``value`` as a contiguous float32 or float64 array: its own memory where it is one already.

    The native code checks the values of such an array while it reads them. On CUDA: a float64 tensor.
    """
    if isinstance(value, np.ndarray):
        if value.dtype in _NATIVE and value.flags.c_contiguous:
            return value
    elif (
        isinstance(value, torch.Tensor)
        and value.dtype in _READY
        and value.device.type == "cpu"
        and value.layout == torch.strided
        and not value.is_nested
        and not value.is_neg()
        and value.is_contiguous()
    ):
        return value.detach().numpy()
    tensor = arrays.floats(value, name).contiguous()
    return native.array(tensor) if tensor.device.type == "cpu" else tensor


def _device_of(values: _Map) -> torch.device:
    return values.device if isinstance(values, torch.Tensor) else torch.device("cpu")


def _maps(arrays: SolverArrays, saliency: Any, mask: Any) -> tuple[_Map, _Map]:
    """Saliency and mask as float32 or float64 ``[B, gh, gw]``, of checked shapes, on one device."""
    saliency = _floats(arrays, saliency, "saliency")
    mask = _floats(arrays, mask, "mask")
    place = _device_of(saliency)
    if _device_of(mask) != place:
        checks.fail("mask", f"the device of saliency ({place})", str(_device_of(mask)))
    if saliency.ndim != 3:
        checks.fail("saliency", "shape [B, gh, gw]", list(saliency.shape))
    if 0 in saliency.shape:
        checks.fail("saliency", "at least one map of one block", f"shape {list(saliency.shape)}")
    if mask.shape != saliency.shape:
        checks.fail("mask", f"the shape of saliency, {list(saliency.shape)}", list(mask.shape))
    if isinstance(saliency, torch.Tensor):  # of themselves only inside debug()
        checks.check_range(saliency, "saliency", 0, float("inf"))
        checks.check_range(mask, "mask", 0, 1)
    return saliency, mask


def transport_plan(saliency: Any, mask: Any, *, eps: float = 0.8, method: str = "exact") -> Any:
    """Which block lands at each position, so that what the mask shows is salient and few blocks move.

    Args:
        saliency: ``[B, gh, gw]`` block saliency >= 0, usually summing to 1 per image.
        mask: ``[B, gh, gw]`` in 0..1; positions with a value above 0 are shown. A block that lands there
            earns its saliency.
        eps: price of moving across the whole grid. Default 0.8.
        method: ``"exact"`` (default): the permutation of least cost, by shortest augmenting paths.
            ``"greedy"``: the official code's row/column contest for every position the mask shows; the
            positions it hides keep their own block when that is free and else take the rest in order,
            so that the plan is still a permutation (the official one is not: it leaves holes).

    Returns:
        int64 ``[B, gh, gw]``: the block (row-major index) that lands at each position, a permutation per
        image; NumPy if ``saliency`` was.

    Raises:
        TypeError: not a tensor or array, or of a wrong dtype.
        ValueError: wrong shapes, NaN, saliency < 0, mask outside 0..1, eps < 0, unknown method.

    Example:
        >>> import comix, torch
        >>> saliency = torch.tensor([[[0.1, 0.9]]])  # the salient block is on the right
        >>> comix.transport_plan(saliency, torch.tensor([[[1.0, 0.0]]]), eps=0.2)  # shown: the left
        tensor([[[1, 0]]])
    """
    checks.check_option(method, "method", METHODS)
    eps = checks.check_number(eps, "eps", 0.0)
    arrays = SolverArrays(saliency)
    saliency, mask = _maps(arrays, saliency, mask)
    if isinstance(saliency, torch.Tensor):
        return on_cuda.transport_plan(saliency, mask, eps, method)
    plan = torch.empty(saliency.shape, dtype=torch.int64, device="cpu")
    native.core.transport_plan(saliency, mask, eps, method, native.threads(), plan.numpy())
    return arrays.give_back(plan)


def transport_cost(plan: Any, saliency: Any, mask: Any, *, eps: float = 0.8) -> Any:
    """Cost of plans: moves paid, saliency shown earned, summed over all positions.

    Args:
        plan: ``[B, gh, gw]`` integers, the block that lands at each position.
        saliency: ``[B, gh, gw]`` block saliency >= 0.
        mask: ``[B, gh, gw]`` in 0..1.
        eps: price of moving across the whole grid. Default 0.8.

    Returns:
        float64 ``[B]``; NumPy if ``plan`` was.

    Raises:
        TypeError: not a tensor or array, or of a wrong dtype.
        ValueError: wrong shapes, NaN, values or blocks out of range.

    Example:
        >>> import comix, torch
        >>> saliency, mask = torch.tensor([[[0.25, 0.75]]]), torch.tensor([[[1.0, 0.0]]])
        >>> comix.transport_cost(torch.tensor([[[1, 0]]]), saliency, mask, eps=0.125)
        tensor([-0.5000], dtype=torch.float64)
    """
    eps = checks.check_number(eps, "eps", 0.0)
    arrays = SolverArrays(plan)
    saliency, mask = _maps(arrays, saliency, mask)
    indices = arrays.indices(plan, "plan")
    if indices.shape != saliency.shape:
        checks.fail("plan", f"the shape of saliency, {list(saliency.shape)}", checks.shape_of(indices))
    if indices.device != _device_of(saliency):
        checks.fail("plan", f"the device of saliency ({_device_of(saliency)})", str(indices.device))
    if isinstance(saliency, torch.Tensor):
        blocks = saliency.shape[1] * saliency.shape[2]
        checks.check_range(indices, "plan", 0, blocks - 1)
        return on_cuda.transport_cost(indices.contiguous(), saliency, mask, eps)
    cost = torch.empty(saliency.shape[0], dtype=torch.float64, device="cpu")
    native.core.transport_cost(native.array(indices.contiguous()), saliency, mask, eps, cost.numpy())
    return arrays.give_back(cost)
